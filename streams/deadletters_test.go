package streams_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

var byBen = streams.By{Actor: "ben", Why: "the parser is mended"}

// letters reads DEAD.
func letters(t *testing.T, b *streams.Bus) []streams.Letter {
	t.Helper()
	var out []streams.Letter
	err := b.Letters(t.Context(), func(l streams.Letter) (bool, error) {
		out = append(out, l)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lastEvent reads the newest event.
func lastEvent(t *testing.T, b *streams.Bus) (subject string, event map[string]any) {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), streams.Events)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), s.CachedInfo().State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m.Data, &event); err != nil {
		t.Fatal(err)
	}
	return m.Subject, event
}

// remove removes a whole stream, which makes whoever needs it fail.
func remove(t *testing.T, b *streams.Bus, stream string) {
	t.Helper()
	if err := b.JetStream().DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
}

// kill lets a handler give up one delivery with this body, and returns what the next one gets when allowed to.
func kill(t *testing.T, b *streams.Bus, body []byte) (mended *atomic.Bool, handled chan *streams.Message) {
	t.Helper()
	mended, handled = &atomic.Bool{}, make(chan *streams.Message, 10)
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome {
		if !mended.Load() {
			return streams.Dead("malformed", errors.New("can't be read"))
		}
		handled <- m
		return streams.Done()
	}, nil)
	m := delivery("d1", body)
	m.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	m.Header.Set(streams.HdrProvider, "github")
	publish(t, b, m)
	testenv.Eventually(t, 10*time.Second, func() bool { return count(t, b, streams.DeadStream) == 1 })
	return mended, handled
}

func TestADeadLetterThatIsPutBackIsHandledAsItWas(t *testing.T) {
	random := make([]byte, 3<<20) // does not compress: has to go to the object store
	_, _ = rand.Read(random)
	for name, body := range map[string][]byte{
		"a small body": []byte("{}"), "a compressed body": bytes.Repeat([]byte(`{"a":1}`), 10_000), "a body beyond max_payload": random,
	} {
		t.Run(name, func(t *testing.T) {
			b := connect(t, settings())
			mended, handled := kill(t, b, body)
			l, err := b.Letter(t.Context(), 1)
			if err != nil || !bytes.Equal(l.Body, body) || l.Reason != "malformed" || l.DeliveryID != "d1" || l.Stream != streams.Deliveries {
				t.Fatalf("%+v, %v", l.Letter, err)
			}
			mended.Store(true)
			if duplicate, err := b.ReplayLetter(t.Context(), 1, byBen); duplicate || err != nil {
				t.Fatalf("duplicate %v, %v", duplicate, err)
			}
			m := <-handled
			if !bytes.Equal(m.Body, body) || m.Type != streams.TypeDelivery || m.Subject != "deliveries.github.acme.api" ||
				!m.Time.Equal(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)) || m.Header.Get(streams.HdrReplayOf) != "DEAD/1" {
				t.Errorf("put back as %s %s of %s with %v and %d bytes", m.Type, m.Subject, m.Time, m.Header, len(m.Body))
			}
			for h := range m.Header {
				if strings.HasPrefix(h, "Sre-Dead-") {
					t.Errorf("it still has %s", h)
				}
			}
			if n := len(letters(t, b)); n != 0 {
				t.Errorf("%d letters are left", n)
			}
			subject, e := lastEvent(t, b)
			if subject != "events.dead.replayed.github.acme.api" || e["actor"] != "ben" || e["why"] != byBen.Why || e["delivery_id"] != "d1" {
				t.Errorf("recorded as %s %v", subject, e)
			}
		})
	}
}

func TestALetterThatIsReplayedTwiceIsOneMessage(t *testing.T) {
	b := connect(t, settings())
	mended, handled := kill(t, b, []byte("{}"))
	mended.Store(true)
	remove(t, b, streams.Events) // as if the process died between the stream's acknowledgement and the letter's removal
	if _, err := b.ReplayLetter(t.Context(), 1, byBen); err == nil || !strings.Contains(err.Error(), "is put back") {
		t.Fatalf("without its record: %v", err)
	}
	<-handled
	if n := len(letters(t, b)); n != 1 {
		t.Fatalf("%d letters are left after the first time", n)
	}
	if _, err := b.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if duplicate, err := b.ReplayLetter(t.Context(), 1, byBen); !duplicate || err != nil {
		t.Errorf("the second time: duplicate %v, %v", duplicate, err)
	}
	if n := count(t, b, streams.Deliveries); n != 2 {
		t.Errorf("%d messages: want the first and one replay", n)
	}
	if n := len(letters(t, b)); n != 0 {
		t.Errorf("%d letters are left after the second time", n)
	}
	if _, err := b.ReplayLetter(t.Context(), 1, byBen); !errors.Is(err, streams.ErrGone) {
		t.Errorf("the third time: %v", err)
	}
}

func TestALetterOfANewDEADStreamIsNotTakenForAnOldOne(t *testing.T) {
	b := connect(t, settings())
	for n := range uint64(2) {
		h := nats.Header{streams.HdrDeadStream: {streams.Deliveries}, streams.HdrDeadReason: {"x"}}
		if _, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "dead.deliveries.github.acme.api", Header: h}); err != nil {
			t.Fatal(err)
		}
		if duplicate, err := b.ReplayLetter(t.Context(), 1, byBen); duplicate || err != nil {
			t.Errorf("duplicate %v, %v", duplicate, err)
		}
		if got := count(t, b, streams.Deliveries); got != n+1 {
			t.Errorf("%d messages of %d", got, n+1)
		}
		remove(t, b, streams.DeadStream)
		if _, err := b.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADroppedLetterIsGoneAndRecordedFirst(t *testing.T) {
	b := connect(t, settings())
	kill(t, b, []byte("{}"))
	remove(t, b, streams.Events)
	if err := b.DropLetter(t.Context(), 1, byBen); err == nil {
		t.Error("dropped without a record")
	}
	if n := len(letters(t, b)); n != 1 {
		t.Fatalf("%d letters: one that can't be recorded has to stay", n)
	}
	if _, err := b.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.DropLetter(t.Context(), 1, byBen); err != nil {
		t.Fatal(err)
	}
	if n := len(letters(t, b)); n != 0 {
		t.Errorf("%d letters are left", n)
	}
	subject, e := lastEvent(t, b)
	if subject != "events.dead.dropped.github.acme.api" || e["actor"] != "ben" || e["detail"] != "DEAD/1 by ben: the parser is mended" {
		t.Errorf("recorded as %s %v", subject, e)
	}
	if err := b.DropLetter(t.Context(), 1, byBen); !errors.Is(err, streams.ErrGone) {
		t.Errorf("a second time: %v", err)
	}
}

func TestALetterThatCanNotBePutBackStays(t *testing.T) {
	for name, tc := range map[string]struct{ stream, subject string }{
		"of a stream that nobody works":              {streams.Events, "events.run.ready.github.acme.api"},
		"of a stream that its subject is not of":     {streams.Runs, "deliveries.github.acme.api"},
		"of a stream that there is not":              {"NOWHERE", "nowhere.github.acme.api"},
		"of no stream":                               {"", "deliveries.github.acme.api"},
		"of a delivery with the server's own prefix": {streams.Deliveries, "$JS.API.STREAM.PURGE.DELIVERIES"},
	} {
		t.Run(name, func(t *testing.T) {
			b := connect(t, settings())
			m := &nats.Msg{Subject: "dead." + tc.subject, Header: nats.Header{streams.HdrDeadStream: {tc.stream}, streams.HdrDeadReason: {"x"}}}
			if _, err := b.JetStream().PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReplayLetter(t.Context(), 1, byBen); err == nil || !strings.Contains(err.Error(), "can't be put back") {
				t.Errorf("got %v", err)
			}
			if n := len(letters(t, b)); n != 1 {
				t.Errorf("%d letters", n)
			}
		})
	}
}

func TestALetterWhoseBodyIsGoneStays(t *testing.T) {
	b := connect(t, settings())
	random := make([]byte, 3<<20)
	_, _ = rand.Read(random)
	kill(t, b, random)
	bucket, err := b.JetStream().ObjectStore(t.Context(), "delivery_bodies")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := bucket.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := bucket.Delete(t.Context(), o.Name); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := b.Letter(t.Context(), 1); err != nil || l.BodyErr == nil {
		t.Errorf("%+v, %v", l.Letter, err)
	}
	if _, err := b.ReplayLetter(t.Context(), 1, byBen); !errors.Is(err, streams.ErrGone) {
		t.Errorf("got %v", err)
	}
	if n := len(letters(t, b)); n != 1 || count(t, b, streams.Deliveries) != 1 {
		t.Errorf("%d letters, %d deliveries", n, count(t, b, streams.Deliveries))
	}
}

func TestADoorbellIsPutBackWithItsRunAndFence(t *testing.T) {
	b := connect(t, settings())
	h := nats.Header{
		streams.HdrDeadStream: {streams.Runs}, streams.HdrDeadReason: {streams.ReasonMaxDeliveries}, "Sre-Type": {streams.TypeRun},
		"Sre-Version": {"1"}, "Sre-Time": {"2026-01-02T03:04:05Z"}, "Sre-Run-Id": {"7"}, "Sre-Fence": {"3"},
		"Traceparent": {"00-11111111111111111111111111111111-2222222222222222-01"}, "Nats-Expected-Last-Sequence": {"0"},
	}
	if _, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "dead.runs.ready.github.acme.a%2Eb", Header: h}); err != nil {
		t.Fatal(err)
	}
	want := []streams.Letter{{
		Sequence: 1, Reason: streams.ReasonMaxDeliveries, Stream: streams.Runs, Subject: "runs.ready.github.acme.a%2Eb", RunID: 7,
	}}
	got := letters(t, b)
	got[0].Time = time.Time{}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := b.ReplayLetter(t.Context(), 1, byBen); err != nil {
		t.Fatal(err)
	}
	s, err := b.JetStream().Stream(t.Context(), streams.Runs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), 1)
	if err != nil || m.Header.Get("Sre-Run-Id") != "7" || m.Header.Get("Sre-Fence") != "3" || m.Header.Get("Traceparent") == "" ||
		m.Header.Get("Nats-Expected-Last-Sequence") != "" {
		t.Errorf("%v, %v", m.Header, err)
	}
	if subject, e := lastEvent(t, b); subject != "events.dead.replayed.github.acme.a%2Eb" || e["name"] != "a.b" || e["run_id"] != 7.0 {
		t.Errorf("recorded as %s %v", subject, e)
	}
}
