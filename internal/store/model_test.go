package store_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/store"
)

// modelCall is a call of a run of a repository; each repository has one run.
func modelCall(t *testing.T, s *store.Store, repo, commit int, tokens, cost int64) store.ModelCall {
	t.Helper()
	f := failure(repo, commit)
	rec := record(t, s, f.RunKey(), f)
	c := store.ModelCall{RunID: rec.RunID, Model: "m", Request: patch.Digest([]byte("q")), Most: store.ModelAmount{Tokens: tokens, Cost: cost}}
	if err := s.Pool().QueryRow(t.Context(), "select repository_id from runs where id = $1", rec.RunID).Scan(&c.RepositoryID); err != nil {
		t.Fatal(err)
	}
	return c
}

func reserve(t *testing.T, s *store.Store, c store.ModelCall, b store.ModelBudget) (int64, bool) {
	t.Helper()
	id, err := s.ReserveModelCall(t.Context(), c, b)
	if reason, _ := fault.Reason(err); reason == store.ReasonModelBudget {
		return 0, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return id, true
}

func TestABudgetHoldsForARunARepositoryAndEverything(t *testing.T) {
	s := open(t)
	wide := store.ModelAmount{Tokens: 1_000_000}
	tests := map[string]store.ModelBudget{
		"a run's tokens":       {Run: store.ModelAmount{Tokens: 250}, RepositoryDay: wide, Day: wide},
		"a repository's":       {Run: wide, RepositoryDay: store.ModelAmount{Tokens: 250}, Day: wide},
		"everything's":         {Run: wide, RepositoryDay: wide, Day: store.ModelAmount{Tokens: 250}},
		"a run's cost":         {Run: store.ModelAmount{Tokens: 1_000_000, Cost: 25}, RepositoryDay: wide, Day: wide},
		"a repository's cost":  {Run: wide, RepositoryDay: store.ModelAmount{Tokens: 1_000_000, Cost: 25}, Day: wide},
		"the cost of all runs": {Run: wide, RepositoryDay: wide, Day: store.ModelAmount{Tokens: 1_000_000, Cost: 25}},
	}
	n := 0
	for name, budget := range tests {
		n++
		if _, err := s.Pool().Exec(t.Context(), "delete from model_calls"); err != nil {
			t.Fatal(err)
		}
		c, sibling, stranger := modelCall(t, s, n, 10*n, 100, 10), modelCall(t, s, n, 10*n+1, 100, 10), modelCall(t, s, 100+n, 10*n+2, 100, 10)
		reserve(t, s, c, budget)
		reserve(t, s, c, budget)
		var got []bool
		for _, call := range []store.ModelCall{c, sibling, stranger} {
			_, ok := reserve(t, s, call, budget)
			got = append(got, ok)
		}
		want := map[byte][]bool{'a': {false, false, true}, 'e': {false, false, false}, 't': {false, false, false}}[name[0]]
		if strings.HasPrefix(name, "a run") {
			want = []bool{false, true, true}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReservationsAtTheSameTimeNeverExceedABudget(t *testing.T) {
	s := open(t)
	c := modelCall(t, s, 1, 1, 100, 0)
	budget := store.ModelBudget{Run: store.ModelAmount{Tokens: 1000}, RepositoryDay: store.ModelAmount{Tokens: 1 << 40}, Day: store.ModelAmount{Tokens: 1 << 40}}
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				if _, err := s.ReserveModelCall(t.Context(), c, budget); err == nil {
					taken.Add(1)
				} else if reason, _ := fault.Reason(err); reason != store.ReasonModelBudget {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n != 10 {
		t.Errorf("%d calls of 100 tokens were let through by a budget of 1000", n)
	}
}

func TestASettledCallCountsWithWhatItWasAndAnUnsettledOneWithItsMostForADay(t *testing.T) {
	s := open(t)
	c := modelCall(t, s, 1, 1, 400, 0)
	amount := func(n int64) store.ModelBudget {
		return store.ModelBudget{Run: store.ModelAmount{Tokens: n}, RepositoryDay: store.ModelAmount{Tokens: n}, Day: store.ModelAmount{Tokens: n}}
	}
	first, ok := reserve(t, s, c, amount(1000))
	if !ok {
		t.Fatal("nothing was spent yet")
	}
	settle := func(id int64, m store.ModelSettlement) {
		t.Helper()
		m.KeepDays = 30
		if err := s.SettleModelCall(t.Context(), id, m); err != nil {
			t.Fatal(err)
		}
	}
	settle(first, store.ModelSettlement{Outcome: store.ModelAnswered, Spent: store.ModelAmount{Tokens: 50}})
	settle(first, store.ModelSettlement{Outcome: store.ModelUnknown}) // a second settling changes nothing
	second, ok := reserve(t, s, c, amount(450))
	if !ok {
		t.Fatal("the settled call counts for more than it was")
	}
	if _, ok := reserve(t, s, c, amount(849)); ok {
		t.Error("the reservation that stands doesn't count")
	}
	if _, ok := reserve(t, s, c, amount(850)); !ok {
		t.Error("it counts for more than its most")
	}
	age := func(hours int) {
		if _, err := s.Pool().Exec(t.Context(), "update model_calls set reserved_at = now() - make_interval(hours => $1)", hours); err != nil {
			t.Fatal(err)
		}
	}
	age(23)
	if _, ok := reserve(t, s, c, amount(1000)); ok {
		t.Error("a reservation was given up before its day")
	}
	age(25)
	if _, ok := reserve(t, s, c, amount(450)); !ok {
		t.Error("a reservation that nobody settled counts for ever")
	}
	settle(second, store.ModelSettlement{Outcome: store.ModelUnknown})
	age(25)
	b := amount(1 << 40)
	b.Run.Tokens = 849
	if _, ok := reserve(t, s, c, b); ok {
		t.Error("an unknown call does not count in full for its run")
	}
}

func TestAnExchangeIsKeptByItsDigestForAWhile(t *testing.T) {
	s := open(t)
	c := modelCall(t, s, 1, 1, 1, 0)
	b := store.ModelBudget{Run: store.ModelAmount{Tokens: 100}, RepositoryDay: store.ModelAmount{Tokens: 100}, Day: store.ModelAmount{Tokens: 100}}
	x := store.ModelExchange{Digest: patch.Digest([]byte(`{"q":1}`)), Request: `{"q":1}`, Answer: `{"a":1}`}
	settle := func(x *store.ModelExchange) error {
		id, _ := reserve(t, s, c, b)
		return s.SettleModelCall(t.Context(), id, store.ModelSettlement{Outcome: store.ModelAnswered, Exchange: x, KeepDays: 30})
	}
	if err := settle(&x); err != nil {
		t.Fatal(err)
	}
	second := x
	second.Answer = `{"a":2}`
	if err := settle(&second); err != nil {
		t.Fatal(err)
	}
	got, err := s.ModelExchange(t.Context(), x.Digest)
	if diff := cmp.Diff(x, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	forged := x
	forged.Request = `{"q":2}`
	if err := settle(&forged); err == nil {
		t.Error("a digest of something else was taken")
	}
	if _, err := s.Pool().Exec(t.Context(), "update model_exchanges set recorded_at = now() - interval '31 days'"); err != nil {
		t.Fatal(err)
	}
	if err := settle(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ModelExchange(t.Context(), x.Digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an old exchange is still there: %v", err)
	}
}
