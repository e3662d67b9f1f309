package main

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
)

func TestPruneRemovesOnlyWhatNothingNeeds(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DATABASE_URL": records(t), "USER": "ben"}
	st, err := store.Open(t.Context(), environ["DATABASE_URL"], store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i, outcome := range []string{store.OutcomeIgnored, store.OutcomeIgnored, store.OutcomeDead} {
		d := store.Delivery{Provider: "github", ID: string(rune('p' + i)), Event: "push", BodySHA256: digest(t, i), ReceivedAt: time.Now()}
		if _, err := st.RecordEnd(t.Context(), d, outcome, "not_a_failure"); err != nil {
			t.Fatal(err)
		}
	}
	sreAgent(t, environ, "prune", "--dry-run").want(t, 0, "would be removed: 0 deliveries", "")
	sreAgent(t, environ, "prune", "--why", "x").want(t, 0, "nothing to remove\n", "")
	sreAgent(t, environ, "prune").want(t, 2, "", "--why is required")
	// All but one of the ignored is old, whatever became of it.
	for _, sql := range []string{
		"update deliveries set recorded_at = now() - interval '200 days' where delivery_id <> 'p'",
		"update runs set ended_at = now() - interval '200 days' where ended_at is not null",
		"update attempts set evidence = '[{\"name\": \"verify\"}]' where ended_at is not null",
	} {
		if _, err := st.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	sreAgent(t, environ, "prune", "--dry-run", "--json").want(t, 0, `"deliveries": 2`, "")
	sreAgent(t, environ, "prune", "--why", "x").want(t, 2, "", "add --yes")
	environ["RECORDS_KEEP_DAYS"], environ["DELIVERIES_MAX_AGE_HOURS"] = "2", "8760"
	sreAgent(t, environ, "prune", "--dry-run").want(t, 0, "would be removed: 0 deliveries", "") // the stream keeps them for longer
	delete(environ, "DELIVERIES_MAX_AGE_HOURS")
	sreAgent(t, environ, "prune", "--why", "the disk", "--yes").want(t, 0, "removed 2 deliveries and the evidence of 1 attempt\n", "")
	sreAgent(t, environ, "prune", "--why", "the disk", "--yes").want(t, 0, "nothing to remove\n", "")
	counts, err := st.DeliveryCounts(t.Context())
	if err != nil || counts[store.OutcomeRun] != 2 || counts[store.OutcomeIgnored] != 1 || counts[store.OutcomeDead] != 0 {
		t.Errorf("left: %v, %v", counts, err)
	}
	ops, err := st.Operations(t.Context(), 10)
	if err != nil || len(ops) != 1 || ops[0].Operation != store.OpPrune || ops[0].Who != "ben" || ops[0].Why != "the disk" {
		t.Errorf("recorded: %+v, %v", ops, err)
	}
	// And a failure that was worked on is still known.
	rec, err := st.RecordEnd(t.Context(), store.Delivery{
		Provider: "github", ID: "delivery-b", Event: "workflow_run", BodySHA256: digest(t, 9), ReceivedAt: time.Now(),
	}, store.OutcomeIgnored, "x")
	if err != nil || !rec.Known {
		t.Errorf("%+v, %v", rec, err)
	}
}

func digest(t *testing.T, n int) string {
	t.Helper()
	sum := sha256.Sum256([]byte{byte(n)})
	return hex.EncodeToString(sum[:])
}
