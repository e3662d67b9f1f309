// Package ingest takes webhooks in: it verifies the signature over the raw bytes, publishes the delivery and
// answers 202 only when the stream has it.
//
// It promises that a request that fails verification leaves no message, that a request answered 202 is in the
// stream, and that a request it can't keep is answered 503, so that the sender sees it. It has no database and
// no forge token.
package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/streams"
)

// Publisher is what ingest needs of the streams. A delivery's own message tells of it; only a duplicate, which makes
// no message, has an event.
type Publisher interface {
	Publish(ctx context.Context, m *streams.Message) (duplicate bool, err error)
	Emit(ctx context.Context, e streams.Event)
}

// Options are what the handler is built from.
type Options struct {
	Publisher Publisher
	Counters  *telemetry.Counters
	Log       *slog.Logger
	// Providers is the table of providers; one without a key in Keys is off.
	Providers []webhook.Provider
	Keys      *webhook.Keyring
	// MaxBody is the largest body taken, in bytes.
	MaxBody int64
	// BytesInFlight bounds the memory, in bytes, of all bodies together that are being read or published; 0 is 64 MiB.
	BytesInFlight int64
	// ReadTimeout bounds the reading of a request's body, PublishTimeout the wait for the stream's acknowledgement.
	ReadTimeout, PublishTimeout time.Duration
	// Proxies are believed when they say whom they speak for; Allowed may send, or anybody when it is empty.
	Proxies, Allowed []netip.Prefix
	// Served, when it is set, measures and traces a route.
	Served func(method, route string, next http.Handler) http.Handler
	// Full, when it is set, is told each time whether the stream had room.
	Full *Fullness
}

// Handler answers POST /webhooks/<provider> for each provider of the table.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	budget := newBudget(cmp.Or(o.BytesInFlight, defaultBytesInFlight))
	for _, p := range o.Providers {
		h := http.Handler(&intake{Options: o, provider: p, budget: budget, unused: newUnused(p)})
		if !o.Keys.On(p.Name) {
			h = off(p)
		}
		if route := "/webhooks/" + p.Name; o.Served != nil {
			h = o.Served(http.MethodPost, route, h)
		}
		mux.Handle("POST /webhooks/"+p.Name, h)
	}
	return mux
}

// off answers for a provider that has no key.
func off(p webhook.Provider) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		reply(w, http.StatusNotFound, answer{Status: "refused", Reason: "this provider is off: set " + variables(p)})
	})
}

// variables names what a provider's keys are set with.
func variables(p webhook.Provider) string {
	prefix := config.WebhookPrefix(p.Name)
	switch {
	case p.Signs && p.Sends:
		return prefix + "_WEBHOOK_SECRETS or " + prefix + "_WEBHOOK_TOKENS"
	case p.Sends:
		return prefix + "_WEBHOOK_TOKENS"
	default:
		return prefix + "_WEBHOOK_SECRETS"
	}
}

type intake struct {
	Options
	provider webhook.Provider
	budget   *budget
	unused   *unused
}

// answer is what the sender is told.
type answer struct {
	Status   string `json:"status"`
	Delivery string `json:"delivery,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// rejection is a request that leaves no message.
type rejection struct {
	code   int
	label  telemetry.RejectReason
	reason string
}

func (h *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hold := h.budget.hold()
	defer hold.release()
	d, rej := h.accept(w, r, hold)
	if rej == nil {
		h.keep(w, r, d)
		return
	}
	h.refuse(w, r, d, rej)
}

// closing are the answers after which what is left of the body is not worth reading.
var closing = []int{
	http.StatusRequestEntityTooLarge, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusServiceUnavailable,
}

func (h *intake) refuse(w http.ResponseWriter, r *http.Request, d delivery, rej *rejection) {
	h.Counters.WebhookRejected(r.Context(), rej.label)
	h.Log.InfoContext(r.Context(), "webhook refused", "provider", h.provider.Name, "status", rej.code, "reason", rej.label, "detail", rej.reason,
		"delivery_id", d.id, "client", client(r, h.Proxies).String())
	if slices.Contains(closing, rej.code) {
		w.Header().Set("Connection", "close")
	}
	if rej.code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	reply(w, rej.code, answer{Status: "refused", Delivery: d.id, Reason: rej.reason})
}

// delivery is a request that may be kept.
type delivery struct {
	id, event, owner, name string
	// scoped says that only a key for this owner or repository has signed it.
	scoped bool
	body   []byte
}

// accept reads and verifies a request. Cheap checks come first: an unsigned request's body is never read.
func (h *intake) accept(w http.ResponseWriter, r *http.Request, hold *hold) (delivery, *rejection) {
	if !allowed(client(r, h.Proxies), h.Allowed) {
		return delivery{}, &rejection{http.StatusForbidden, telemetry.RejectAddress, "this address may not send webhooks here: see WEBHOOK_ALLOWED_ADDRESSES"}
	}
	query := r.URL.Query()
	if !h.provider.HasCredentials(r.Header, query) {
		return delivery{}, &rejection{http.StatusUnauthorized, telemetry.RejectUnsigned, "there is no " + strings.Join(h.provider.Credentials, " or ") +
			": set the same secret in the webhook's settings and in " + variables(h.provider)}
	}
	if r.ContentLength > h.MaxBody {
		return delivery{}, tooLarge()
	}
	body, rej := h.read(w, r, hold)
	if rej != nil {
		return delivery{}, rej
	}
	req := &webhook.Request{Header: r.Header, Query: query, Body: body, Received: time.Now()}
	d := delivery{body: body}
	var err error
	if d.scoped, err = h.verify(req); err != nil {
		return delivery{}, unverified(err)
	}
	if d.id, d.event, err = h.provider.Identify(req); err != nil {
		d.id = ""
		return d, &rejection{http.StatusBadRequest, telemetry.RejectBadHeader, err.Error()}
	}
	if d.id == "" {
		sum := sha256.Sum256(body)
		d.id = "body-" + hex.EncodeToString(sum[:16])
	}
	object, err := payload.Read(body)
	if err != nil {
		return d, &rejection{http.StatusBadRequest, telemetry.RejectMalformed, err.Error()}
	}
	d.owner, d.name = h.provider.Repository(object)
	return d, nil
}

// verify checks a request with the keys that are good for every repository, and then with those of the repository that
// the body speaks of. What it speaks of is asked of Parse itself: a second reader of the same bytes could be told
// something else.
func (h *intake) verify(r *webhook.Request) (scoped bool, err error) {
	err = h.provider.Verify(r, h.Keys.For(h.provider.Name, "", ""))
	if err == nil || !h.Keys.Scoped(h.provider.Name) {
		return false, err
	}
	owner, name := h.provider.Repository(payload.Unread(r.Body))
	if _, event, err := h.provider.Identify(r); err == nil {
		if e, err := h.provider.Parse(event, r.Body); err == nil && e.Kind != webhook.Ignored {
			owner, name = e.Failure.Repository.Owner, e.Failure.Repository.Name
		}
	}
	return true, h.provider.Verify(r, h.Keys.For(h.provider.Name, owner, name))
}

func unverified(err error) *rejection {
	label := telemetry.RejectBadSignature
	switch {
	case errors.Is(err, webhook.ErrUnsigned):
		label = telemetry.RejectUnsigned
	case errors.Is(err, webhook.ErrStale):
		label = telemetry.RejectStale
	}
	return &rejection{http.StatusUnauthorized, label, err.Error()}
}

func tooLarge() *rejection {
	return &rejection{http.StatusRequestEntityTooLarge, telemetry.RejectTooLarge, "the body is larger than WEBHOOK_MAX_BODY_BYTES"}
}

func (h *intake) message(d delivery) *streams.Message {
	header := nats.Header{}
	header.Set(streams.HdrProvider, h.provider.Name)
	header.Set(streams.HdrDeliveryID, d.id)
	header.Set(streams.HdrEvent, d.event)
	if d.scoped {
		header.Set(streams.HdrScoped, "true")
	}
	return &streams.Message{
		ID: h.provider.Name + "-" + d.id, Type: streams.TypeDelivery, Subject: streams.DeliverySubject(h.provider.Name, d.owner, d.name),
		Header: header, Body: d.body,
	}
}

// keep publishes a verified delivery. If the process dies before the stream's acknowledgement, the sender gets
// no 2xx; if it dies after, a redelivery of the same id is a duplicate.
func (h *intake) keep(w http.ResponseWriter, r *http.Request, d delivery) {
	// A sender that hangs up must not make us forget what it sent.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.PublishTimeout)
	defer cancel()
	duplicate, err := h.Publisher.Publish(ctx, h.message(d))
	switch {
	case err != nil:
		h.Counters.WebhookRejected(ctx, telemetry.RejectUnavailable)
		h.Log.ErrorContext(ctx, "delivery not kept", "provider", h.provider.Name, "delivery_id", d.id, "error", err)
		reason := "the stream does not answer; send it again"
		if errors.Is(err, streams.ErrFull) {
			reason = "the stream is full; send it again later"
		}
		h.Full.note(errors.Is(err, streams.ErrFull))
		w.Header().Set("Retry-After", "10")
		reply(w, http.StatusServiceUnavailable, answer{Status: "unavailable", Delivery: d.id, Reason: reason})
	case duplicate:
		h.Counters.WebhookDeduped(ctx, telemetry.DedupStreamWindow)
		h.emitDuplicate(ctx, d)
		reply(w, http.StatusOK, answer{Status: "duplicate_ignored", Delivery: d.id, Reason: "this delivery id was accepted before"})
	default:
		h.Full.note(false)
		a := answer{Status: "accepted", Delivery: d.id}
		if reason := h.unused.reason(d.event); reason != "" {
			a.Status, a.Reason = "ignored", reason+": it is recorded, and nothing will be done about it"
		}
		reply(w, http.StatusAccepted, a)
	}
}

func (h *intake) emitDuplicate(ctx context.Context, d delivery) {
	h.Publisher.Emit(ctx, streams.Event{
		Kind: "delivery.duplicate", Provider: h.provider.Name, Owner: d.owner, Name: d.name, DeliveryID: d.id, Detail: d.event,
	})
}

func reply(w http.ResponseWriter, code int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(a) // the sender may be gone; the outcome stands
}
