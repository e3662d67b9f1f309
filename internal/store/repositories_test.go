package store_test

import (
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

func pause(t *testing.T, s *store.Store, id int64, paused bool) {
	t.Helper()
	op := store.OpResume
	if paused {
		op = store.OpPause
	}
	_, _, err := s.ChangeRepository(t.Context(), id, op, store.Actor{Who: "ada", Why: "test"}, func(r *store.RepositorySettings) {
		if r.PausedAt = nil; paused {
			now := time.Now()
			r.PausedAt = &now
		}
	})
	must(t, err)
}

func TestAPausedRepositoryStartsAndPublishesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	rung := record(t, s, "rung", failure(1, 1))
	if n, err := s.RingDue(t.Context(), 2, 10); err != nil || len(n) != 1 {
		t.Fatal(n, err)
	}
	fixed := at(t, s, 2, run.Fixed)
	r := state(t, s, rung.RunID)
	pause(t, s, r.RepositoryID, true)
	pause(t, s, fixed.RepositoryID, true)

	_, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != store.RefusedNoSlot {
		t.Errorf("a rung run of a paused repository is claimed: %q, %v", refused, err)
	}
	waits := record(t, s, "waits", failure(1, 3))
	if n, err := s.RingDue(t.Context(), 2, 10); err != nil || len(n) != 0 {
		t.Errorf("rung while paused: %v, %v", n, err)
	}
	if n, err := s.MendTurns(t.Context(), 2); err != nil || n != 0 {
		t.Errorf("a paused repository has no turn to mend: %d, %v", n, err)
	}
	exec(t, s, "update runs set rung_at = null where id = $1", fixed.ID)
	if n, err := s.RingFixed(t.Context(), 0, 10); err != nil || len(n) != 0 {
		t.Errorf("a fix is rung while paused: %v, %v", n, err)
	}
	if _, refused, err := s.ClaimPublication(t.Context(), fixed.ID, fixed.Fence, "h", time.Minute); err != nil || refused == "" {
		t.Errorf("a fix is published while paused: %q, %v", refused, err)
	}

	pause(t, s, r.RepositoryID, false)
	pause(t, s, fixed.RepositoryID, false)
	if n, err := s.RingDue(t.Context(), 2, 10); err != nil || len(n) != 1 || n[0].ID != waits.RunID {
		t.Errorf("rung after it was resumed: %v, %v", n, err)
	}
	if n, err := s.RingFixed(t.Context(), 0, 10); err != nil || len(n) != 1 {
		t.Errorf("fixes rung after it was resumed: %v, %v", n, err)
	}
	if _, refused, err := s.ClaimPublication(t.Context(), fixed.ID, fixed.Fence, "h", time.Minute); err != nil || refused != "" {
		t.Errorf("not published after it was resumed: %q, %v", refused, err)
	}
	ops, err := s.Operations(t.Context(), 10)
	if err != nil || len(ops) != 4 || ops[0].Who != "ada" || ops[0].Why != "test" || ops[3].Operation != store.OpPause {
		t.Errorf("recorded: %+v, %v", ops, err)
	}
}

func TestARepositorysOwnLimitOnlyNarrows(t *testing.T) {
	t.Parallel()
	s := open(t)
	for n := range 4 {
		record(t, s, string(rune('a'+n)), failure(1, n+1))
	}
	id := ids(t, s, "select id from repositories")[0]
	for _, tc := range []struct{ limit, rung int }{{1, 1}, {9, 1}, {0, 0}} { // 9 is cut to the knob's 2: one more
		_, _, err := s.ChangeRepository(t.Context(), id, store.OpLimits, store.Actor{Who: "ada", Why: "test"}, func(r *store.RepositorySettings) {
			r.ConcurrencyLimit, r.RatePerMinute, r.Mode = tc.limit, tc.limit, "shadow"
		})
		must(t, err)
		if n, err := s.RingDue(t.Context(), 2, 10); err != nil || len(n) != tc.rung {
			t.Errorf("limit %d: %d rung, want %d more, %v", tc.limit, len(n), tc.rung, err)
		}
	}
	if m, err := s.RepositoryMode(t.Context(), id); err != nil || m != "shadow" {
		t.Errorf("mode %q, %v", m, err)
	}
	if rates, err := s.RepositoryRates(t.Context()); err != nil || len(rates) != 0 {
		t.Errorf("rates that were taken away: %v, %v", rates, err)
	}
}
