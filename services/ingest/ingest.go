// Package ingest takes webhooks in: it verifies the signature over the raw bytes, publishes the delivery and
// answers 202 only when the stream has it.
//
// It promises that a request that fails verification leaves no message, that a request answered 202 is in the
// stream, and that a request it can't keep is answered 503, so that the sender sees it. It has no database and
// no forge token.
package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/streams"
)

// Publisher is what ingest needs of the streams.
type Publisher interface {
	Publish(ctx context.Context, m *streams.Message) (duplicate bool, err error)
	Emit(ctx context.Context, e streams.Event)
}

// Options are what the handler is built from.
type Options struct {
	Publisher Publisher
	Counters  *telemetry.Counters
	Log       *slog.Logger
	// Secrets are the webhook secrets; any of them may have signed (rotation).
	Secrets [][]byte
	// MaxBody is the largest body taken, in bytes.
	MaxBody int64
	// ReadTimeout bounds the reading of a request's body, PublishTimeout the wait for the stream's acknowledgement.
	ReadTimeout, PublishTimeout time.Duration
}

// Handler answers POST /webhooks/github.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /webhooks/github", &intake{Options: o})
	return mux
}

type intake struct{ Options }

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
	m, delivery, rej := h.accept(w, r)
	if rej == nil {
		h.keep(w, r, m, delivery)
		return
	}
	h.Counters.WebhookRejected(r.Context(), rej.label)
	h.Log.InfoContext(r.Context(), "webhook refused", "status", rej.code, "reason", rej.label, "detail", rej.reason, "delivery_id", delivery)
	if rej.code == http.StatusRequestEntityTooLarge || rej.code == http.StatusUnauthorized {
		// What is left of the body is not worth reading.
		w.Header().Set("Connection", "close")
	}
	reply(w, rej.code, answer{Status: "refused", Delivery: delivery, Reason: rej.reason})
}

// accept reads and verifies a request. Cheap checks come first: an unsigned request's body is never read.
func (h *intake) accept(w http.ResponseWriter, r *http.Request) (*streams.Message, string, *rejection) {
	if r.Header.Get(github.HeaderSignature) == "" {
		return nil, "", &rejection{http.StatusUnauthorized, telemetry.RejectUnsigned, "there is no " + github.HeaderSignature + " header: set the same secret in the webhook's settings and in GITHUB_WEBHOOK_SECRETS"}
	}
	if r.ContentLength > h.MaxBody {
		return nil, "", &rejection{http.StatusRequestEntityTooLarge, telemetry.RejectTooLarge, "the body is larger than WEBHOOK_MAX_BODY_BYTES"}
	}
	body, rej := h.read(w, r)
	if rej != nil {
		return nil, "", rej
	}
	if err := github.Verify(r.Header, body, h.Secrets); err != nil {
		return nil, "", &rejection{http.StatusUnauthorized, telemetry.RejectBadSignature, err.Error()}
	}
	delivery, event, err := github.Meta(r.Header)
	if err != nil {
		return nil, "", &rejection{http.StatusBadRequest, telemetry.RejectBadHeader, err.Error()}
	}
	if err := github.Valid(body); err != nil {
		return nil, delivery, &rejection{http.StatusBadRequest, telemetry.RejectMalformed, err.Error()}
	}
	return message(delivery, event, body), delivery, nil
}

func (h *intake) read(w http.ResponseWriter, r *http.Request) ([]byte, *rejection) {
	if h.ReadTimeout > 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.ReadTimeout))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &rejection{http.StatusRequestEntityTooLarge, telemetry.RejectTooLarge, "the body is larger than WEBHOOK_MAX_BODY_BYTES"}
	case err != nil:
		return nil, &rejection{http.StatusBadRequest, telemetry.RejectTimeout, "the body could not be read to its end"}
	}
	return body, nil
}

func message(delivery, event string, body []byte) *streams.Message {
	owner, name := github.Repository(body)
	sum := sha256.Sum256(body)
	h := nats.Header{}
	h.Set(streams.HdrProvider, "github")
	h.Set(streams.HdrDeliveryID, delivery)
	h.Set(streams.HdrEvent, event)
	h.Set(streams.HdrBodySHA256, hex.EncodeToString(sum[:]))
	return &streams.Message{
		ID: "github-" + delivery, Type: streams.TypeDelivery, Subject: streams.DeliverySubject("github", owner, name),
		Header: h, Body: body,
	}
}

// keep publishes a verified delivery. If the process dies before the stream's acknowledgement, the sender gets
// no 2xx; if it dies after, a redelivery of the same id is a duplicate.
func (h *intake) keep(w http.ResponseWriter, r *http.Request, m *streams.Message, delivery string) {
	// A sender that hangs up must not make us forget what it sent.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.PublishTimeout)
	defer cancel()
	duplicate, err := h.Publisher.Publish(ctx, m)
	switch {
	case err != nil:
		h.Counters.WebhookRejected(ctx, telemetry.RejectUnavailable)
		h.Log.ErrorContext(ctx, "delivery not kept", "delivery_id", delivery, "error", err)
		reason := "the stream does not answer; send it again"
		if errors.Is(err, streams.ErrFull) {
			reason = "the stream is full; send it again later"
		}
		w.Header().Set("Retry-After", "10")
		reply(w, http.StatusServiceUnavailable, answer{Status: "unavailable", Delivery: delivery, Reason: reason})
	case duplicate:
		h.Counters.WebhookDeduped(ctx, telemetry.DedupStreamWindow)
		h.emit(ctx, "delivery.duplicate", m, delivery)
		reply(w, http.StatusOK, answer{Status: "duplicate_ignored", Delivery: delivery, Reason: "this delivery id was accepted before"})
	default:
		h.emit(ctx, "delivery.accepted", m, delivery)
		reply(w, http.StatusAccepted, answer{Status: "accepted", Delivery: delivery})
	}
}

func (h *intake) emit(ctx context.Context, kind string, m *streams.Message, delivery string) {
	owner, name := github.Repository(m.Body)
	h.Publisher.Emit(ctx, streams.Event{
		Kind: kind, Provider: "github", Owner: owner, Name: name, DeliveryID: delivery, Detail: m.Header.Get(streams.HdrEvent),
	})
}

func reply(w http.ResponseWriter, code int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(a) // the sender may be gone; the outcome stands
}
