package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// TestARestoreFromADumpLosesNothingAndDoesNothingTwice: PostgreSQL comes back from a dump, on a new disk, with the commands of
// docs/backup.md, and NATS and Redis come back empty.
func TestARestoreFromADumpLosesNothingAndDoesNothingTwice(t *testing.T) {
	bin, blocks := shellBin(t), blocksOf(t, "backup.md")
	n := scenario{name: "restore", bring: func(context.Context, *incident, string) error { return nil }}.startFor(t, "")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	// One failure has its pull request, one waits because nobody takes runs, one delivery was ignored.
	done, err := n.fail()
	must(err)
	must(n.send(ctx, "workflow_run", "done", githubtest.FailedRun(done)))
	testenv.Eventually(t, time.Minute, func() bool { return n.published(ctx, 1) })
	must(n.pauseStage(ctx, streams.Runs, streams.RunnerConsumer))
	waits, err := n.fail()
	must(err)
	must(n.send(ctx, "workflow_run", "waits", githubtest.FailedRun(waits)))
	must(n.send(ctx, "push", "ignored", []byte(`{"ref":"refs/heads/main"}`)))
	testenv.Eventually(t, time.Minute, func() bool {
		counts, err := n.st.DeliveryCounts(ctx)
		return err == nil && counts[store.OutcomeRun] == 2 && counts[store.OutcomeIgnored] == 1
	})
	for _, b := range blocks["Making a dump"] {
		n.run(t, bin, b)
	}

	must(n.stopServices())
	n.st.Close()
	must(n.pg.Stop())
	must(n.redis.Stop())
	n.nats.Shutdown()
	must(os.RemoveAll(filepath.Join(n.dir, "postgres")))
	must(os.RemoveAll(n.natsDir()))
	must(n.startNATS(ctx))
	must(n.startRedis(ctx))
	must(n.startPostgres(ctx))
	n.run(t, bin, block{script: "sre-agent streams apply", codes: []int{0}}) // ingest, which went on, has done it
	for _, b := range blocks["Putting it back"] {
		n.run(t, bin, b)
	}
	n.st, err = store.Open(ctx, n.environ["DATABASE_URL"], store.Options{MaxConns: 2})
	must(err)
	must(n.startServices(ctx))

	testenv.Eventually(t, time.Minute, func() bool { return n.published(ctx, 2) })
	// Everything is sent again, as after a reconciliation with the provider; and once more under another id.
	must(n.send(ctx, "workflow_run", "done", githubtest.FailedRun(done)))
	must(n.send(ctx, "workflow_run", "waits", githubtest.FailedRun(waits)))
	must(n.send(ctx, "workflow_run", "done-under-another-id", githubtest.FailedRun(done)))
	must(n.send(ctx, "push", "ignored", []byte(`{"ref":"refs/heads/main"}`)))
	testenv.Eventually(t, time.Minute, func() bool {
		counts, err := n.st.DeliveryCounts(ctx)
		return err == nil && counts[store.OutcomeDuplicate] == 1 && backlogOf(ctx, n) == 0
	})
	runs, err := n.st.Runs(ctx, "", 10)
	must(err)
	if len(runs) != 2 || len(n.scene.PullRequests()) != 2 || n.waiting(ctx, demo.Name, "") != 0 {
		t.Errorf("%d runs and %d pull requests for 2 failures", len(runs), len(n.scene.PullRequests()))
	}
	for _, r := range runs {
		if run.State(r.State) != run.Published || r.AttemptCount != 1 {
			t.Errorf("run %d: %s(%s), %d attempts", r.ID, r.State, r.Reason, r.AttemptCount)
		}
	}
	for _, b := range blocks["How long it is kept"] {
		n.run(t, bin, b)
	}
}
