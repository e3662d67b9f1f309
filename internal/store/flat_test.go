package store_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// TestNoDeliveryReadsEveryRun takes in what is found by its names, in front of many runs.
func TestNoDeliveryReadsEveryRun(t *testing.T) {
	t.Parallel()
	// One connection: what its statements have read is known once it says so itself.
	s, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, migrate), store.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	const others = 5000
	makeRepositories(t, s, 1)
	exec(t, s, `insert into runs (run_key, repository_id, failure, state, reason, not_before)
		select 'other-' || i, (select id from repositories), '{}', 'waiting', 'new', now() from generate_series(1, $1::int) i`, others)
	exec(t, s, "insert into run_names (name, run_id) select run_key, id from runs")
	exec(t, s, "analyze")
	read := func() (rows int) {
		t.Helper()
		exec(t, s, "select pg_stat_force_next_flush()")
		if err := s.Pool().QueryRow(t.Context(), "select seq_tup_read from pg_stat_user_tables where relname = 'runs'").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	before := read()
	first := record(t, s, "first", failure(1, 1))
	again := record(t, s, "again", failure(1, 1))
	if first.RunID != again.RunID {
		t.Errorf("the same failure made the runs %d and %d", first.RunID, again.RunID)
	}
	success(t, s, "green", failure(1, 1))
	if now := read(); now-before >= others {
		t.Errorf("three deliveries read %d runs one after the other", now-before)
	}
	if got := stateOf(t, s, first.RunID); got != "superseded(green)" {
		t.Errorf("the run is %s", got)
	}
}
