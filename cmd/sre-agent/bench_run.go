package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/streams"
)

const (
	// answerTimeout is how long GitHub waits for an answer.
	answerTimeout = 10 * time.Second
	// benchKey is long enough for every provider; Azure DevOps wants a colon.
	benchKey = "bench:9f4c1d7ab35e4c9c8d21"
	// pacedControl is how long the control runs at a fixed rate, where only its latency is of interest.
	pacedControl = 10 * time.Second
	warmUp       = time.Second
	// perRound keeps the deliveries of different rounds apart.
	perRound = 10_000_000
)

// intakeBench is one run of `bench intake`.
type intakeBench struct {
	intakeOptions
	progress io.Writer
	root     string

	nats, ingest *bench.Part
	// bare is the control; nil with slow senders, when it is ingest without them.
	bare    *bench.Part
	bus     *streams.Bus
	records *recorder
	stops   []func() error

	// fastest is the highest rate seen: how many requests to have ready.
	fastest float64
	pairs   []pair
	found   counted
	held    int
	cut     int
}

// pair is a round of what is measured and one of its control.
type pair struct{ measured, control *bench.Result }

// start starts the servers.
func (b *intakeBench) start(ctx context.Context) (err error) {
	if err := bench.AllowFiles(b.loris + b.connections + 500); err != nil {
		return err
	}
	if b.root, err = os.MkdirTemp(b.dir, "sre-agent-bench-"); err != nil {
		return err
	}
	b.stops = append(b.stops, func() error { return os.RemoveAll(b.root) })
	args := []string{"--dir", filepath.Join(b.root, "nats")}
	if b.mode == "always" {
		args = append(args, "--sync-always")
	}
	if b.nats, err = b.child(ctx, nil, "nats", args...); err != nil {
		return err
	}
	environ := b.environ()
	if b.bus, err = connectBench(b.nats.Address); err != nil {
		return err
	}
	b.stops = append(b.stops, func() error { b.bus.Close(); return nil })
	measured := maps.Clone(environ)
	if b.telemetry {
		collector, err := bench.NewCollector(ctx)
		if err != nil {
			return err
		}
		b.stops = append(b.stops, func() error { collector.Close(); return nil })
		maps.Copy(measured, collector.Full())
		maps.Copy(environ, bench.Silent())
	}
	if b.ingest, err = b.child(ctx, measured, "ingest", b.profileFlag("")...); err != nil {
		return err
	}
	if err := b.ingest.Ready(ctx); err != nil {
		return err
	}
	if err := b.startControl(ctx, environ); err != nil {
		return err
	}
	if b.intakeOptions.records {
		if b.records, err = startRecorder(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// startControl starts what ingest is compared with, unless that is itself.
func (b *intakeBench) startControl(ctx context.Context, environ map[string]string) (err error) {
	switch {
	case b.loris > 0:
		return nil
	case b.telemetry:
		if b.bare, err = b.child(ctx, environ, "ingest", b.profileFlag(".bare")...); err != nil {
			return err
		}
		return b.bare.Ready(ctx)
	default:
		b.bare, err = b.child(ctx, environ, "bare", b.profileFlag(".bare")...)
		return err
	}
}

func (b *intakeBench) child(ctx context.Context, environ map[string]string, part string, args ...string) (*bench.Part, error) {
	p, err := startPart(ctx, b.root, environ, part, args...)
	if err == nil {
		b.stops = append(b.stops, p.Stop)
	}
	return p, err
}

// startPart starts one that benchPartCommand knows.
func startPart(ctx context.Context, dir string, environ map[string]string, part string, args ...string) (*bench.Part, error) {
	return bench.StartPart(ctx, dir, part, environ, nil, append([]string{"bench", "part", part}, args...)...)
}

func (b *intakeBench) profileFlag(suffix string) []string {
	if b.profile == "" {
		return nil
	}
	return []string{"--cpuprofile", b.profile + suffix}
}

// close stops everything, the last one started first.
func (b *intakeBench) close() error {
	var errs []error
	for i := len(b.stops) - 1; i >= 0; i-- {
		errs = append(errs, b.stops[i]())
	}
	b.stops = nil
	return errors.Join(errs...)
}

// environ configures ingest as an operator would.
func (b *intakeBench) environ() map[string]string {
	environ := map[string]string{"NATS_URL": b.nats.Address, "HTTP_ADDR": "127.0.0.1:0"}
	for _, s := range b.senders() {
		if s.SendsToken {
			environ[config.WebhookPrefix(s.Provider)+"_WEBHOOK_TOKENS"] = benchKey
			environ["WEBHOOK_TRUSTED_PROXIES"] = "127.0.0.1"
		} else {
			environ[config.WebhookPrefix(s.Provider)+"_WEBHOOK_SECRETS"] = benchKey
		}
	}
	if b.loris > 0 {
		environ["GITHUB_WEBHOOK_SECRETS"] = benchKey
	}
	return environ
}

func connectBench(url string) (*streams.Bus, error) {
	cfg, err := config.Load(config.Operator, map[string]string{"NATS_URL": url})
	if err != nil {
		return nil, err
	}
	return streams.ConnectWith(cfg, "bench", slog.New(slog.DiscardHandler), nil)
}

// measure does the rounds. Each pair is the other way round than the one before, so that a machine that gets slower or
// faster favours neither.
func (b *intakeBench) measure(ctx context.Context) error {
	b.say("warming up")
	each := b.duration / time.Duration(b.rounds)
	warm := min(warmUp, each)
	for _, control := range []bool{true, false} {
		requests, err := b.requests(0, warm, 20_000)
		if err != nil {
			return err
		}
		if _, err := b.round(ctx, requests, warm, control, false); err != nil {
			return err
		}
	}
	for n := range b.rounds {
		b.say("round %d of %d", n+1, b.rounds)
		requests, err := b.requests(n+1, each, 1.5*b.fastest)
		if err != nil {
			return err
		}
		var p pair
		for i := range 2 {
			control := (i == 0) == (n%2 == 1)
			length := each
			if b.rate > 0 && control {
				length = min(each, pacedControl)
			}
			r, err := b.round(ctx, requests, length, control, !control)
			if err != nil {
				return err
			}
			if control {
				p.control = r
			} else {
				p.measured = r
			}
		}
		b.pairs = append(b.pairs, p)
	}
	return nil
}

func (b *intakeBench) say(format string, args ...any) {
	if !b.json {
		fmt.Fprintf(b.progress, format+"\n", args...)
	}
}

// requests makes those of one round, signed and ready.
func (b *intakeBench) requests(round int, length time.Duration, most float64) (bench.Requests, error) {
	if b.rate > 0 {
		most = b.rate
	}
	m := bench.Mix{
		URL: "http://localhost/webhooks/", Senders: b.senders(), Keys: map[string]string{}, Size: b.size, Repositories: b.repositories,
		Duplicates: b.duplicates, First: round * perRound, Seed: 1, At: time.Now(),
	}
	for _, s := range m.Senders {
		m.Keys[s.Provider] = benchKey
	}
	count := max(1, bench.Pace{Rate: most}.Count(length))
	if b.provider == "github" {
		return m.Stamp(count)
	}
	return m.Make(count)
}

// round sends one load to ingest or to the control, on empty streams, and checks what became of it.
func (b *intakeBench) round(ctx context.Context, requests bench.Requests, length time.Duration, control, check bool) (*bench.Result, error) {
	if err := b.renew(ctx); err != nil {
		return nil, err
	}
	address := b.ingest.Address
	if control && b.bare != nil {
		address = b.bare.Address
	}
	if b.loris > 0 && !control {
		stop, err := b.besiege(ctx)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	if b.rate > 0 {
		requests = firstOf{requests, min(requests.Len(), max(1, bench.Pace{Rate: b.rate}.Count(length)))}
	}
	r, err := bench.Load{
		Address: address, Connections: b.connections, Requests: requests, Rate: b.rate, Duration: length, Timeout: answerTimeout,
	}.Run(ctx)
	if err != nil {
		return nil, err
	}
	b.fastest = max(b.fastest, r.Rate())
	if check {
		return r, b.check(ctx, requests, r)
	}
	return r, nil
}

// firstOf are the first requests of others.
type firstOf struct {
	bench.Requests
	count int
}

func (f firstOf) Len() int { return f.count }

// renew makes the stream of deliveries anew, and has what the last round left behind written out.
func (b *intakeBench) renew(ctx context.Context) error {
	if err := b.bus.JetStream().DeleteStream(ctx, streams.Deliveries); err != nil && !strings.Contains(err.Error(), "not found") {
		return err
	}
	if _, err := b.bus.Apply(ctx); err != nil {
		return err
	}
	if b.records != nil {
		return settle(b.records.pg.Dir())
	}
	return nil
}

// settle has every file of a folder written to disk.
func settle(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		f, err := os.Open(path)
		if err != nil {
			return ignoreGone(err)
		}
		err = f.Sync()
		_ = f.Close()
		return err
	})
}

// ignoreGone passes over a file that PostgreSQL has removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// besiege opens the slow connections, and notes at the end how many there were all the time.
func (b *intakeBench) besiege(ctx context.Context) (stop func(), err error) {
	l := bench.StartLoris(ctx, b.ingest.Address, b.loris)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for l.Open() < b.loris*9/10 {
		select {
		case <-tick.C:
		case <-late:
			open := l.Open()
			l.Stop()
			return nil, fmt.Errorf("only %d of %d slow connections could be opened", open, b.loris)
		case <-ctx.Done():
			l.Stop()
			return nil, ctx.Err()
		}
	}
	done, watched := make(chan struct{}), make(chan int)
	go func() {
		least := l.Open()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				least = min(least, l.Open())
			case <-done:
				watched <- least
				return
			}
		}
	}()
	return func() {
		close(done)
		least := <-watched
		if b.held == 0 || least < b.held {
			b.held = least
		}
		l.Stop()
		b.cut += l.Cut()
	}, nil
}
