package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// TestNATSRestoredFromAnOlderCopy: the streams go back in time. What was done stays done once, and what only the
// newer copy knew is still known to PostgreSQL.
func TestNATSRestoredFromAnOlderCopy(t *testing.T) {
	c := startCluster(t, quick)
	c.expectReady(everybody...)
	old := c.fail(0)
	c.send("workflow_run", "old", githubtest.FailedRun(old.params))
	c.published(old)

	nats := c.procs["nats"]
	data := storeDir(t, nats.Args)
	nats.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	nats.start()
	c.expectReady(everybody...)
	newer := c.fail(1)
	c.send("workflow_run", "newer", githubtest.FailedRun(newer.params))
	c.published(newer)

	nats.stop()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	nats.start()
	c.expectReady(everybody...)
	for _, id := range []string{"old", "newer"} { // and everything is redelivered by its sender
		params := old.params
		if id == "newer" {
			params = newer.params
		}
		c.send("workflow_run", id, githubtest.FailedRun(params))
	}
	third := c.fail(2)
	c.send("workflow_run", "third", githubtest.FailedRun(third.params))
	c.published(third)
	if n := len(c.scene.PullRequests()); n != 3 {
		t.Errorf("%d pull requests for 3 failures", n)
	}
}

// TestALostStreamDiskLosesNothingThatTheDatabaseKnew: every stream is wiped while a run waits and one is done.
func TestALostStreamDiskLosesNothingThatTheDatabaseKnew(t *testing.T) {
	c := startCluster(t, quick)
	c.expectReady(everybody...)
	c.procs["runner"].Kill()
	f := c.fail(1)
	c.send("workflow_run", "waits", githubtest.FailedRun(f.params))
	testenv.Eventually(t, 20*time.Second, func() bool {
		runs, err := c.st.Runs(t.Context(), "", 10)
		return err == nil && len(runs) == 1
	})
	nats := c.procs["nats"]
	nats.Kill()
	if err := os.RemoveAll(storeDir(t, nats.Args)); err != nil {
		t.Fatal(err)
	}
	nats.start()
	c.procs["runner"].start()
	c.expectReady(everybody...)
	c.published(f)
	// A duplicate after any time at all: the stream has forgotten it, the database has not.
	c.send("workflow_run", "waits", githubtest.FailedRun(f.params))
	next := c.fail(2)
	c.send("workflow_run", "next", githubtest.FailedRun(next.params))
	c.published(next)
	if n := len(c.scene.PullRequests()); n != 2 {
		t.Errorf("%d pull requests for 2 failures", n)
	}
}

func storeDir(t *testing.T, args []string) string {
	t.Helper()
	for i, a := range args {
		if a == "-sd" {
			return args[i+1]
		}
	}
	t.Fatal("nats-server has no -sd")
	return ""
}
