package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// firstUpgrade is what is upgraded from while there is no release: two migrations ago.
const firstUpgrade = "09593f7"

// previous is the version to upgrade from: the newest release that is not this very commit. Sources without their history
// have none, and CI fetches it.
func previous(t *testing.T) string {
	t.Helper()
	if out, err := git(t, "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"); err == nil {
		return out
	}
	if _, err := git(t, "cat-file", "-e", firstUpgrade+"^{commit}"); err != nil {
		t.Skipf("these sources have no history, so no version before: git fetch --unshallow --tags (%v)", err)
	}
	return firstUpgrade
}

func git(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", "../.."}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

// buildPrevious builds the four programs of a version, from the repository alone.
func buildPrevious(t *testing.T, version string) (bin string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	bin = filepath.Join(dir, "bin")
	args := "go build -o '" + bin + "/' ./cmd/ingest ./cmd/throttle ./cmd/runner ./cmd/publisher"
	script := "mkdir src && git -C \"$0\" archive " + version + " | tar -x -C src && cd src && " + args
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-ec", script, root)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", version, err, out)
	}
	return bin
}

// replace stops a program as an orchestrator does, and starts another build of it in its place.
func (c *system) replace(name, bin string, env map[string]string) {
	c.t.Helper()
	old := c.procs[name]
	old.stop()
	addr := ""
	for _, e := range old.Env {
		if a, ok := strings.CutPrefix(e, "HTTP_ADDR="); ok {
			addr = a
		}
	}
	c.add(cluster.Program(bin, c.dir, name, name, addr, env))
}

// upgrade is a system under way from one version to another, and what it was sent.
type upgrade struct {
	*system
	env  map[string]string
	sent []failed
}

func (u *upgrade) fails(n int) {
	u.t.Helper()
	for range n {
		f := u.fail(len(u.sent))
		u.send("workflow_run", fmt.Sprint("upgrade-", len(u.sent)), githubtest.FailedRun(f.params))
		u.sent = append(u.sent, f)
	}
}

// inFlight waits until work is in hand and more of it waits.
func (u *upgrade) inFlight() {
	u.t.Helper()
	testenv.Eventually(u.t, time.Minute, func() bool {
		running, err := u.st.Runs(u.t.Context(), string(run.Running), 10)
		if err != nil || len(running) == 0 {
			return false
		}
		waiting, err := u.st.Runs(u.t.Context(), string(run.Waiting), 10)
		return err == nil && len(waiting) > 0
	})
}

// endsOnce waits for everything that was sent: each has one pull request, and the replacing cost no attempt.
func (u *upgrade) endsOnce() {
	u.t.Helper()
	for _, f := range u.sent {
		r := u.ended(f, 2*time.Minute)
		if r.State != "published" || u.prs(r) != 1 || r.AttemptCount != 1 {
			u.t.Errorf("%s: %s(%s) %s, %d pull requests, %d attempts", f.workflow, r.State, r.Reason, r.Explanation, u.prs(r), r.AttemptCount)
		}
	}
	if n := len(u.scene.PullRequests()); n != len(u.sent) {
		u.t.Errorf("%d pull requests for %d failures", n, len(u.sent))
	}
}

// TestAnUpgradeUnderWayEndsEveryFailureOnce replaces the programs of the version before one by one, with work in flight
// at each step: the old ones work on the new schema beside the new ones. Whoever reads a message is replaced before whoever
// writes it. Then it goes back, the other way round, on the schema as it is.
func TestAnUpgradeUnderWayEndsEveryFailureOnce(t *testing.T) {
	version := previous(t)
	t.Logf("from %s", version)
	old := buildPrevious(t, version)
	database := testenv.Postgres(t)
	u := &upgrade{system: newSystem(t, database, "../../deploy/nats.conf")}
	u.env = u.environ(map[string]string{"DATABASE_URL": database, "REDIS_URL": testenv.RedisURL(t), "REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "1000"}, quick)
	for _, name := range cluster.Programs {
		u.startProgram(old, u.dir, name, u.env)
	}
	u.expectReady(everybody...)
	u.fails(1)
	testenv.Eventually(t, time.Minute, func() bool { return len(u.scene.PullRequests()) == 1 })
	if _, err := store.Migrate(t.Context(), database); err != nil { // the first step of an upgrade
		t.Fatal(err)
	}
	u.endsOnce()

	order := []string{"publisher", "runner", "throttle", "ingest"}
	for _, name := range order {
		u.fails(4)
		u.inFlight()
		u.replace(name, u.bin, u.env)
	}
	u.fails(2)
	u.endsOnce()
	u.expectReady(everybody...)

	slices.Reverse(order)
	for _, name := range order {
		u.fails(2)
		u.replace(name, old, u.env)
	}
	u.fails(1)
	u.endsOnce()
}
