package streams_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/streams"
)

// of is a delivery of a repository.
func of(owner, name, id string) *streams.Message {
	return &streams.Message{
		ID: "github-" + id, Type: streams.TypeDelivery, Subject: streams.DeliverySubject("github", owner, name),
		Header: nats.Header{streams.HdrProvider: {"github"}, streams.HdrDeliveryID: {id}}, Body: []byte(id),
	}
}

func selected(t *testing.T, b *streams.Bus, sel streams.Selection) []streams.Kept {
	t.Helper()
	var out []streams.Kept
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := b.SelectDeliveries(ctx, sel, func(k streams.Kept) (bool, error) {
		out = append(out, k)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ids(kept []streams.Kept) []string {
	out := []string{}
	for _, k := range kept {
		out = append(out, k.Header.Get(streams.HdrDeliveryID))
	}
	return out
}

func TestDeliveriesAreSelected(t *testing.T) {
	b := connect(t, settings())
	for _, m := range []*streams.Message{
		of("acme", "api", "1"), of("acme", "api.v2", "2"), of("acme", "web", "3"), of("other", "api", "4"), of("", "", "5"), of("acme", "api", "6"),
	} {
		publish(t, b, m)
	}
	all := selected(t, b, streams.Selection{})
	if len(all) != 6 || all[0].Subject != "deliveries.github.acme.api" || all[0].Bytes != 1 || all[0].Sequence != 1 || all[0].Time.IsZero() {
		t.Fatalf("%+v", all)
	}
	third, fifth := all[2].Time, all[4].Time
	for name, tc := range map[string]struct {
		sel  streams.Selection
		want []string
	}{
		"by repository":                     {streams.Selection{Provider: "github", Owner: "acme", Name: "api"}, []string{"1", "6"}},
		"by repository of any provider":     {streams.Selection{Owner: "acme", Name: "api"}, []string{"1", "6"}},
		"by a name with a dot":              {streams.Selection{Provider: "github", Owner: "acme", Name: "api.v2"}, []string{"2"}},
		"a wildcard is a name like others":  {streams.Selection{Provider: "github", Owner: "*", Name: "api"}, []string{}},
		"of a repository without any":       {streams.Selection{Provider: "github", Owner: "acme", Name: "none"}, []string{}},
		"by provider":                       {streams.Selection{Provider: "gitlab"}, []string{}},
		"from a time on":                    {streams.Selection{Since: third}, []string{"3", "4", "5", "6"}},
		"up to a time":                      {streams.Selection{Until: third}, []string{"1", "2", "3"}},
		"between times":                     {streams.Selection{Since: third, Until: fifth}, []string{"3", "4", "5"}},
		"before the first":                  {streams.Selection{Until: all[0].Time.Add(-time.Hour)}, []string{}},
		"after the last":                    {streams.Selection{Since: all[5].Time.Add(time.Hour)}, []string{}},
		"by ids":                            {streams.Selection{IDs: []string{"6", "2", "9"}}, []string{"2", "6"}},
		"by repository and time":            {streams.Selection{Provider: "github", Owner: "acme", Name: "api", Since: third}, []string{"6"}},
		"by an id of another repository":    {streams.Selection{Owner: "acme", Name: "web", IDs: []string{"1"}}, []string{}},
		"by provider and everything in all": {streams.Selection{Provider: "github", Since: third, Until: fifth, IDs: []string{"4"}}, []string{"4"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, ids(selected(t, b, tc.sel))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAReplayIsANewMessageAndTheNonceNamesIt(t *testing.T) {
	b := connect(t, settings())
	got := make(chan *streams.Message, 10)
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome { got <- m; return streams.Done() }, nil)
	first := of("acme", "api", "1")
	first.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	publish(t, b, first)
	<-got
	for _, nonce := range []string{"a", "a", "b"} {
		if err := b.ReplayDelivery(t.Context(), 1, nonce); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"replay-1-a", "replay-1-b"} {
		m := <-got
		if m.ID != id || string(m.Body) != "1" || m.Header.Get(streams.HdrDeliveryID) != "1" || !m.Time.Equal(first.Time) ||
			m.Subject != first.Subject || m.Header.Get(streams.HdrReplayOf) != "DELIVERIES/1" {
			t.Errorf("%s: %+v", id, m)
		}
	}
	if n := count(t, b, streams.Deliveries); n != 3 {
		t.Errorf("%d messages", n)
	}
	if kept := selected(t, b, streams.Selection{}); len(kept) != 1 || kept[0].Sequence != 1 {
		t.Errorf("a delivery with replays is selected %d times", len(kept))
	}
	if err := b.ReplayDelivery(t.Context(), 99, "a"); !errors.Is(err, streams.ErrGone) {
		t.Errorf("one that is not there: %v", err)
	}
}

// fill publishes n deliveries of one repository.
func fill(t *testing.T, b *streams.Bus, n int) {
	t.Helper()
	for i := range n {
		m := &nats.Msg{
			Subject: streams.DeliverySubject("github", "acme", "api"), Header: nats.Header{streams.HdrDeliveryID: {fmt.Sprint(i)}},
		}
		if _, err := b.JetStream().PublishMsgAsync(m, jetstream.WithStallWait(10*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	<-b.JetStream().PublishAsyncComplete()
}

// many is more than is fetched ahead.
const many = 1200

func TestASelectionEndsWhateverComesMeanwhile(t *testing.T) {
	b := connect(t, settings())
	fill(t, b, many)
	seen := 0
	err := b.SelectDeliveries(t.Context(), streams.Selection{}, func(streams.Kept) (bool, error) {
		if seen++; seen%10 == 0 {
			publish(t, b, of("acme", "api", fmt.Sprintf("new-%d", seen)))
		}
		return true, nil
	})
	if err != nil || seen != many {
		t.Errorf("%d of %d visited, %v", seen, many, err)
	}
	stop := errors.New("enough")
	if err := b.SelectDeliveries(t.Context(), streams.Selection{}, func(streams.Kept) (bool, error) { return true, stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's own error: %v", err)
	}
}

func TestASelectionEndsWhenWhatIsLeftIsRemoved(t *testing.T) {
	b := connect(t, settings())
	fill(t, b, many)
	s, err := b.JetStream().Stream(t.Context(), streams.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = b.SelectDeliveries(t.Context(), streams.Selection{}, func(streams.Kept) (bool, error) {
		seen++
		return true, s.Purge(t.Context())
	})
	if err != nil || seen == 0 || seen == many {
		t.Errorf("%d of %d visited, %v", seen, many, err)
	}
}
