package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Options are what a bus is built from.
type Options struct {
	// Name says to the server's operators who is connected.
	Name string
	// Role is what the server lets this user do; empty is somebody without bounds.
	Role     Role
	URL      string
	Login    Login
	Settings Settings
	Log      *slog.Logger
	Tracer   trace.TracerProvider
}

// Bus publishes to and consumes from the streams. It is safe for concurrent use.
type Bus struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	role     Role
	settings Settings
	rows     []Row
	bodies   *bodies
	log      *slog.Logger
	tracer   trace.Tracer
	prop     propagation.TextMapPropagator
	measures measures
}

// ErrFull says that the stream has no room: its size cap is reached.
var ErrFull = errors.New("the stream is full")

// ErrUnavailable says that the stream did not answer.
var ErrUnavailable = errors.New("the stream does not answer")

// publishWait is how long a publish may wait for the stream's acknowledgement when its context says nothing else.
const publishWait = 5 * time.Second

// Connect connects to NATS. It goes on trying for as long as the process lives; Ready says how it stands.
func Connect(o Options) (*Bus, error) {
	opts := []nats.Option{
		nats.Name(o.Name), nats.CustomInboxPrefix(o.Role.inboxPrefix()), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 250*time.Millisecond),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(5 * time.Second),
		// A publish while disconnected fails at once: whoever sent it must hear of it.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: we closed it ourselves
				o.Log.Warn("disconnected from NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { o.Log.Info("connected to NATS again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.Log.Warn("NATS", "error", err) }),
	}
	nc, err := nats.Connect(o.URL, append(opts, o.Login.options()...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	b := &Bus{
		nc: nc, js: js, role: o.Role, settings: o.Settings, rows: Topology(o.Settings), log: o.Log, prop: propagation.TraceContext{}, measures: unmeasured(),
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider()
	}
	b.tracer = o.Tracer.Tracer(instrumentation)
	if b.bodies, err = newBodies(js, nc.MaxPayload); err != nil {
		nc.Close()
		return nil, err
	}
	return b, nil
}

// Close closes the connection.
func (b *Bus) Close() { b.nc.Close() }

// JetStream is for tools that look at streams and consumers.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Ready says whether NATS and the stream that this role can't do without answer.
func (b *Bus) Ready(ctx context.Context) error {
	if !b.nc.IsConnected() {
		return errors.New("NATS: not connected")
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	stream, _ := b.role.home()
	if _, err := b.js.Stream(ctx, stream); err != nil {
		return fmt.Errorf("NATS: stream %s: %w", stream, err)
	}
	return nil
}

// Await waits until the server has the stream and the consumer that this role works with: the throttle makes them.
func (b *Bus) Await(ctx context.Context) error {
	if err := b.AwaitConnected(ctx); err != nil {
		return err
	}
	rest := newPause(50*time.Millisecond, time.Second)
	for said := false; ; said = true {
		err := b.there(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the streams: %w", ctx.Err())
		}
		if !said {
			b.log.WarnContext(ctx, "waiting for the streams, which the throttle or sre-agent streams apply makes", "error", err)
		}
		rest.wait(ctx)
	}
}

func (b *Bus) there(ctx context.Context) error {
	if err := b.Ready(ctx); err != nil {
		return err
	}
	stream, consumer := b.role.home()
	if consumer == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	if _, err := b.js.Consumer(ctx, stream, consumer); err != nil {
		return fmt.Errorf("NATS: consumer %s of %s: %w", consumer, stream, err)
	}
	return nil
}

// Apply waits for the server and then makes its streams what the table says.
func (b *Bus) Apply(ctx context.Context) ([]Change, error) {
	if err := b.AwaitConnected(ctx); err != nil {
		return nil, err
	}
	return Apply(ctx, b.js, b.settings)
}

// AwaitConnected waits until the server answers.
func (b *Bus) AwaitConnected(ctx context.Context) error {
	connected := b.nc.StatusChanged(nats.CONNECTED)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !b.nc.IsConnected() {
		select {
		case <-connected:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("connect to NATS: %w", ctx.Err())
		}
	}
	return nil
}

// Publish publishes a message and waits until the stream has it. duplicate is true when the stream knew the
// message's id already. ErrFull and ErrUnavailable say why it could not be taken.
func (b *Bus) Publish(ctx context.Context, m *Message) (duplicate bool, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishWait)
		defer cancel()
	}
	began := time.Now()
	if m.Time.IsZero() {
		m.Time = began
	}
	h := m.header()
	b.prop.Inject(ctx, propagation.HeaderCarrier(h))
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	body, err := b.bodies.pack(ctx, m.ID, h, m.Body, *buf)
	if err != nil {
		return false, fmt.Errorf("%w: publish %s: %w", ErrUnavailable, m.Subject, err)
	}
	ack, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: h, Data: body})
	if err != nil {
		kind, ending := ErrUnavailable, "unavailable"
		var api *jetstream.APIError
		if errors.As(err, &api) && full(api) {
			kind, ending = ErrFull, "full"
		}
		b.tellPublished(ctx, m.Subject, ending, began)
		return false, fmt.Errorf("%w: publish %s: %w", kind, m.Subject, err)
	}
	b.tellPublished(ctx, m.Subject, "", began)
	return ack.Duplicate, nil
}

// full recognises the server's refusals for want of room: the stream's or the server's own limits.
func full(e *jetstream.APIError) bool {
	const storeFailed, insufficient, memory, storage = 10077, 10023, 10028, 10047
	switch int(e.ErrorCode) {
	case storeFailed, insufficient, memory, storage:
		return true
	default:
		return false
	}
}

// Ring publishes a run's doorbell. The message id names the ring, so that a lost reply and a retry are one.
func (b *Bus) Ring(ctx context.Context, kind, subject string, runID, fence int64, rings int32) error {
	_, err := b.Publish(ctx, &Message{
		ID: fmt.Sprintf("%s-%d-%d-%d", kind, runID, fence, rings), Type: kind, Subject: subject, RunID: runID, Fence: fence,
	})
	return err
}

// Wake tells the scheduler, without any promise, that it may have something to do.
func (b *Bus) Wake() { _ = b.nc.Publish(WakeSubject, nil) }

// OnWake calls f whenever somebody calls Wake, until stop is called.
func (b *Bus) OnWake(f func()) (stop func(), err error) {
	sub, err := b.nc.Subscribe(WakeSubject, func(*nats.Msg) { f() })
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", WakeSubject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// Event is one thing that happened, for the audit trail and the live view.
type Event struct {
	Kind       string    `json:"kind"`
	Time       time.Time `json:"time"`
	Provider   string    `json:"provider"`
	Owner      string    `json:"owner"`
	Name       string    `json:"name"`
	RunID      int64     `json:"run_id,omitempty"`
	DeliveryID string    `json:"delivery_id,omitempty"`
	Attempt    int       `json:"attempt,omitempty"`
	Stage      string    `json:"stage,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Seconds    float64   `json:"seconds,omitempty"`
}

// Emit publishes an event without waiting. Events tell; they decide nothing, so one may be lost.
func (b *Bus) Emit(ctx context.Context, e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	body, err := json.Marshal(e)
	if err != nil {
		b.log.WarnContext(ctx, "event not published", "kind", e.Kind, "error", err)
		return
	}
	m := Message{Type: TypeEvent, Time: e.Time, RunID: e.RunID}
	h := m.header()
	b.prop.Inject(ctx, propagation.HeaderCarrier(h))
	err = b.nc.PublishMsg(&nats.Msg{Subject: EventSubject(e.Kind, e.Provider, e.Owner, e.Name), Header: h, Data: body})
	if err != nil {
		b.log.DebugContext(ctx, "event not published", "kind", e.Kind, "error", err)
	}
}

// Server says which server answers, and how long one round trip takes.
func (b *Bus) Server() (version string, roundTrip time.Duration, err error) {
	rtt, err := b.nc.RTT()
	if err != nil {
		return "", 0, fmt.Errorf("NATS: %w", err)
	}
	return b.nc.ConnectedServerVersion(), rtt, nil
}
