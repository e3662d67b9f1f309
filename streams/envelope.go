package streams

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Version of the envelope. A message of a higher version is dead-lettered, never guessed at.
const Version = 1

// The types of message.
const (
	TypeDelivery = "delivery"
	TypeRun      = "run.ready"
	TypeFix      = "fix.ready"
	TypeEvent    = "event"
	TypeDead     = "dead"
)

// The envelope's headers. Everything but the body is a header, so that `nats stream view` shows it.
const (
	hdrType     = "Sre-Type"
	hdrVersion  = "Sre-Version"
	hdrRunID    = "Sre-Run-Id"
	hdrFence    = "Sre-Fence"
	hdrTime     = "Sre-Time"
	hdrEncoding = "Content-Encoding"
	hdrObject   = "Sre-Body-Object"
)

// The headers of a delivery.
const (
	HdrProvider   = "Sre-Provider"
	HdrDeliveryID = "Sre-Delivery-Id"
	HdrEvent      = "Sre-Event"
	// HdrScoped is "true" for a delivery that only a key for one owner or repository has signed.
	HdrScoped = "Sre-Scoped"
)

// Message is what travels: the envelope and a body. Run doorbells carry the run's id and fence, not the truth.
type Message struct {
	// ID is the message id that the stream dedupes by (Nats-Msg-Id).
	ID      string
	Type    string
	Version int
	RunID   int64
	Fence   int64
	Time    time.Time
	Subject string
	// Header holds the trace context and a type's own fields.
	Header nats.Header
	Body   []byte

	// Where a received message stands; zero for one that is to be published.
	Stream     string
	Sequence   uint64
	Deliveries uint64
}

// header writes the envelope as NATS headers.
func (m *Message) header() nats.Header {
	h := nats.Header{}
	for k, v := range m.Header {
		h[k] = v
	}
	if m.ID != "" {
		h.Set(nats.MsgIdHdr, m.ID)
	}
	h.Set(hdrType, m.Type)
	h.Set(hdrVersion, strconv.Itoa(Version))
	h.Set(hdrTime, m.Time.UTC().Format(time.RFC3339Nano))
	if m.RunID != 0 {
		h.Set(hdrRunID, strconv.FormatInt(m.RunID, 10))
		h.Set(hdrFence, strconv.FormatInt(m.Fence, 10))
	}
	return h
}

// open reads the envelope of a received message; the body is still as it travelled.
func open(subject string, h nats.Header, body []byte) (*Message, error) {
	m := &Message{ID: h.Get(nats.MsgIdHdr), Type: h.Get(hdrType), Subject: subject, Header: h, Body: body}
	var err error
	if m.Version, err = strconv.Atoi(h.Get(hdrVersion)); err != nil || m.Type == "" {
		return m, fmt.Errorf("no envelope: %s=%q %s=%q", hdrType, m.Type, hdrVersion, h.Get(hdrVersion))
	}
	if m.Version > Version {
		return m, fmt.Errorf("envelope version %d is newer than %d, the newest that this program knows", m.Version, Version)
	}
	if m.Time, err = time.Parse(time.RFC3339Nano, h.Get(hdrTime)); err != nil {
		return m, fmt.Errorf("envelope: %s is not a time: %w", hdrTime, err)
	}
	if v := h.Get(hdrRunID); v != "" {
		if m.RunID, err = strconv.ParseInt(v, 10, 64); err != nil {
			return m, fmt.Errorf("envelope: %s is not a number: %w", hdrRunID, err)
		}
		if m.Fence, err = strconv.ParseInt(h.Get(hdrFence), 10, 64); err != nil {
			return m, fmt.Errorf("envelope: %s is not a number: %w", hdrFence, err)
		}
	}
	return m, nil
}
