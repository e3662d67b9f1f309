package e2e

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// told is a receiver of notifications.
type told struct {
	*httptest.Server
	mu   sync.Mutex
	text strings.Builder
}

func newTold(t *testing.T) *told {
	r := &told{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.text.Write(body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *told) heard(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.text.String(), part)
}

// address is what NOTIFY_*_URLS have.
func (r *told) address() string {
	return strings.Replace(r.URL, "http://", "generic://", 1) + "/?disabletls=yes&template=json"
}

// deliver sends a request that the scene made.
func (c *system) deliver(req *http.Request, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		c.t.Fatalf("a webhook was answered %d", res.StatusCode)
	}
}

// newest waits until the newest of n runs has ended so.
func (c *system) newest(n int, state run.State, reason string) {
	c.t.Helper()
	var last []store.Run
	defer func() {
		if c.t.Failed() && len(last) > 0 {
			c.t.Logf("%d runs; the newest is %s(%s): %s", len(last), last[0].State, last[0].Reason, last[0].Explanation)
		}
	}()
	testenv.Eventually(c.t, 60*time.Second, func() bool {
		runs, err := c.st.Runs(c.t.Context(), "", 100)
		last = runs
		return err == nil && len(runs) == n && runs[0].State == string(state) && runs[0].Reason == reason
	})
}

// pullRequestsAre waits until the pull requests are in these states, the oldest first.
func (c *system) pullRequestsAre(want ...string) {
	c.t.Helper()
	testenv.Eventually(c.t, 60*time.Second, func() bool {
		var are []string
		for _, pr := range c.scene.PullRequests() {
			are = append(are, pr.State)
		}
		return slices.Equal(are, want)
	})
}

// settings changes what operators set for a repository, as the operator's role.
func (c *system) settings(st *store.Store, owner, name, operation string, change func(*store.RepositorySettings)) {
	c.t.Helper()
	found, err := st.FindRepositories(c.t.Context(), "github", owner, name)
	if err != nil || len(found) != 1 {
		c.t.Fatalf("%v, %v", found, err)
	}
	if _, _, err := st.ChangeRepository(c.t.Context(), found[0].ID, operation, store.Actor{Who: "a person", Why: "a test"}, change); err != nil {
		c.t.Fatal(err)
	}
}

// somebodysBranch is a red branch of a repository with a person's pull request.
func (c *system) somebodysBranch(name string) failed {
	c.t.Helper()
	f := c.repository(name, 77, gofmtLog("new.go"), func(dir string) { write(c.t, dir, "go.mod", "module example.com/hello\n\ngo 1.22\n") })
	dir := filepath.Join(c.t.TempDir(), "tree")
	token := c.scene.Environ()["GITHUB_WRITE_TOKEN"]
	git := func(args ...string) string {
		c.t.Helper()
		out, err := exec.CommandContext(c.t.Context(), "git", args...).CombinedOutput()
		if err != nil {
			c.t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("clone", "--quiet", strings.Replace(f.params.CloneURL, "://", "://x-access-token:"+token+"@", 1), dir)
	write(c.t, dir, "new.go", ugly)
	git("-C", dir, "add", "-A")
	git("-C", dir, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "--message", "mine")
	git("-C", dir, "push", "--quiet", "origin", "HEAD:refs/heads/feature")
	if err := c.scene.Forge.OpenAs(demo.Person, demo.Owner, name, forgetest.PR{Title: "mine", Head: "feature", Base: demo.Branch}); err != nil {
		c.t.Fatal(err)
	}
	f.params.SHA, f.params.Branch, f.params.BaseBranch = git("-C", dir, "rev-parse", "HEAD"), "feature", demo.Branch
	return f
}

// TestWhatPeopleWantIsDoneUnderTheLeastPermissions has people close, comment, pause and be told.
func TestWhatPeopleWantIsDoneUnderTheLeastPermissions(t *testing.T) {
	s, people := guarded(t), newTold(t)
	knobs := maps.Clone(quick)
	maps.Copy(knobs, map[string]string{
		"WATCH_MIN_SECONDS": "1", "REPO_OPEN_PULL_REQUESTS": "2", "NOTIFY_INFO_URLS": people.address(), "NOTIFY_WARNING_URLS": people.address(), "NOTIFY_ERROR_URLS": people.address(),
	})
	c := startGuardedCluster(t, s, knobs)
	c.expectReady(everybody...)
	operator, err := store.Open(t.Context(), s.as("operator"), store.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(operator.Close)

	// A no, and a second thought.
	c.deliver(c.scene.Webhook(c.url, "first"), nil)
	c.newest(1, run.Published, "")
	c.deliver(c.scene.AnotherCommit(t.Context(), c.url))
	c.newest(2, run.Superseded, store.ReasonPROpen)
	first := c.scene.PullRequests()[0]
	c.deliver(c.scene.ClosedByPerson(c.url, first))
	runs, err := c.st.Runs(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 30*time.Second, func() bool {
		url, err := c.st.Refused(t.Context(), *runs[1].Fingerprint)
		return err == nil && url != ""
	})
	c.deliver(c.scene.AnotherCommit(t.Context(), c.url))
	c.newest(3, run.Blocked, store.ReasonPRClosed)
	c.deliver(c.scene.CommentByPerson(c.url, first, "/sre-agent retry"))
	c.newest(3, run.Published, "")
	c.pullRequestsAre("closed", "open")
	if runs, err = c.st.Runs(t.Context(), "", 1); err != nil {
		t.Fatal(err)
	}
	c.scene.Commit = runs[0].Failure.Commit // what fails from now on

	// A fix that is only suggested.
	suggested := c.somebodysBranch("suggested")
	c.send("workflow_run", "suggested", githubtest.FailedRun(suggested.params))
	c.newest(4, run.Published, "")
	c.settings(operator, demo.Owner, "suggested", store.OpMode, func(s *store.RepositorySettings) { s.Mode = "suggest" })
	suggested.params.RunID, suggested.params.Workflow, suggested.params.WorkflowName = suggested.params.RunID+1, ".github/workflows/i.yml", "Another"
	if _, err := c.scene.Forge.AddJob(demo.Owner, "suggested", suggested.params.RunID, 1, forgetest.Job{Name: "lint", Conclusion: "failure"}, gofmtLog("new.go")); err != nil {
		t.Fatal(err)
	}
	c.send("workflow_run", "suggested-2", githubtest.FailedRun(suggested.params))
	c.newest(5, run.Published, "suggested")

	// A repository that is paused, and goes on.
	c.settings(operator, demo.Owner, demo.Name, store.OpPause, func(s *store.RepositorySettings) { now := time.Now(); s.PausedAt = &now })
	paused := c.fail(1)
	c.send("workflow_run", "paused", githubtest.FailedRun(paused.params))
	c.newest(6, run.Waiting, "new")
	c.settings(operator, demo.Owner, demo.Name, store.OpResume, func(s *store.RepositorySettings) { s.PausedAt = nil })
	c.newest(6, run.Published, "")

	// One fix more than the repository may have open, and then it is to be left alone.
	capped := c.fail(3)
	c.send("workflow_run", "capped", githubtest.FailedRun(capped.params))
	c.newest(7, run.Waiting, "pr_cap")
	c.deliver(c.scene.CommentByPerson(c.url, c.scene.PullRequests()[1], "/sre-agent off"))
	c.pullRequestsAre("closed", "closed", "closed")
	c.newest(7, run.Cancelled, "repository_off")
	off := c.fail(2)
	c.send("workflow_run", "off", githubtest.FailedRun(off.params))
	js := c.operator()
	if _, err := js.Publish(t.Context(), "deliveries.github.a.b", []byte("no envelope")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 30*time.Second, func() bool { return c.messages(js, streams.DeadStream) == 1 })
	c.newest(7, run.Cancelled, "repository_off") // no run was made of the last failure

	for _, part := range []string{"a pull request is open", "is blocked", "was given up"} {
		testenv.Eventually(t, 30*time.Second, func() bool { return people.heard(part) })
	}
	c.nobodyWasRefused()
}
