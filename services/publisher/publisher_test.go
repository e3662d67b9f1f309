package publisher_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

const token = "write-token-000000"

// rig is a publisher on a real store, real git and the local forge, with one fixed run.
type rig struct {
	*publisher.Service
	t      *testing.T
	st     *store.Store
	forge  *forgetest.Server
	hub    *github.Client
	tel    *telemetry.Test
	run    store.Run
	clone  string
	commit string
	repoID int64
	events int
}

type silent struct{}

func (silent) Emit(context.Context, streams.Event) {}

func newRig(t *testing.T) *rig {
	t.Helper()
	srv, err := forgetest.Start(forgetest.Options{Dir: t.TempDir(), WriteTokens: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v := srv.Violations(); len(v) > 0 {
			t.Errorf("requests that GitHub's description does not allow: %v", v)
		}
		_ = srv.Close()
	})
	repo, err := srv.CreateRepo("acme", "hello", "main")
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	r := &rig{t: t, st: st, forge: srv, tel: telemetry.NewTest(), clone: t.TempDir()}
	r.hub = github.New(srv.APIURL(), token, nil)
	r.Service = r.publisher()
	r.git("init", "-q", "-b", "main")
	r.write("hello.txt", "hello\n")
	r.commit = r.push("main", "first")
	r.repoID = repo.ID
	r.run = r.fixedAs(repo.ID, r.commit)
	return r
}

// publisher is another publisher process on the same store and forge.
func (r *rig) publisher() *publisher.Service {
	r.t.Helper()
	push, err := gitpush.New("", r.tel.Log)
	if err != nil {
		r.t.Fatal(err)
	}
	scanner, err := scan.New(token)
	if err != nil {
		r.t.Fatal(err)
	}
	mirrors := &publisher.Mirrors{
		Push: push, Dir: r.t.TempDir(), Name: "sre-agent", Email: "sre-agent@example.org",
		Remote: func(_ context.Context, at origin.Place) (gitrepo.Remote, error) {
			return gitrepo.Remote{URL: at.GitURL, Token: token}, nil
		},
	}
	return &publisher.Service{
		Store: r.st, Target: r.at(r.hub), Review: publisher.Rules{Scanner: scanner, Policy: policy.Default()}, Events: silent{},
		Git: mirrors, Settings: mirrors,
		Counters: r.tel.Counters, Log: r.tel.Log, Holder: "test", TTL: time.Minute, Redact: redact.New([]string{token}).String,
	}
}

func (r *rig) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.clone
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.clone, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) url() string {
	return strings.Replace(r.forge.URL(), "://", "://x-access-token:"+token+"@", 1) + "/acme/hello.git"
}

func (r *rig) push(branch, message string) string {
	r.git("add", "-A")
	r.git("commit", "-qm", message)
	r.git("push", "-q", r.url(), "HEAD:refs/heads/"+branch)
	return r.git("rev-parse", "HEAD")
}

const diff = `diff --git a/hello.txt b/hello.txt
index ce013625030ba8dba906f756967f9e9ca394464a..980a0d5f19a64b4b30a87d4206aade58726b60e3 100644
--- a/hello.txt
+++ b/hello.txt
@@ -1 +1 @@
-hello
+Hello World!
`

// fixedAs records a run with a verified fix on a commit, as the runner would.
func (r *rig) fixedAs(repoID int64, commit string) store.Run {
	r.t.Helper()
	ctx := r.t.Context()
	f := ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: fmt.Sprint(repoID), Owner: "acme", Name: "hello", DefaultBranch: "main"},
		HeadRepository: "acme/hello", Branch: "main", BaseBranch: "main", Commit: commit, Workflow: ".github/workflows/ci.yml",
		WorkflowName: "CI @everyone", RunID: "1", RunAttempt: 1, RunURL: "https://forge/run/1", Conclusion: "failure",
	}
	r.events++
	d := store.Delivery{
		Provider: "github", ID: fmt.Sprint("d", r.events), Event: "workflow_run", BodySHA256: fmt.Sprintf("%064d", r.events), ReceivedAt: time.Now(),
	}
	rec, err := r.st.RecordFailure(ctx, d, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.st.RingDue(ctx, 2, 10); err != nil {
		r.t.Fatal(err)
	}
	limits := run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second, PerRepository: 2}
	claimed, _, err := r.st.ClaimRun(ctx, store.Claim{RunID: rec.RunID, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil {
		r.t.Fatal(err)
	}
	report := evidence.Report{
		Job: "lint", Excerpt: []evidence.Line{{Number: 7, Text: "```\nhello.txt @octocat closes #1 <img src=x>"}},
		Check:  &evidence.Check{Command: "grep -q World hello.txt", Before: evidence.CheckRun{ExitCode: 1, Output: "no World"}, After: evidence.CheckRun{}},
		Policy: &evidence.Policy{Class: "safe", Danger: 5, Parts: []string{"files 5"}},
	}
	err = r.st.SaveFix(ctx, claimed.ID, claimed.Fence, store.Fix{
		BaseCommit: commit, Diff: []byte(diff), Digest: patch.Digest([]byte(diff)), Fixer: "greeter", Title: "Greet the world",
		Explanation: "The check was red and is green with this change.", Fingerprint: "f", Evidence: report.JSON(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.state(claimed.ID)
}

func (r *rig) state(id int64) store.Run {
	r.t.Helper()
	got, err := r.st.Run(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// bell is the doorbell of a run as it is now.
func (r *rig) bell(id int64) *streams.Message {
	r.t.Helper()
	got := r.state(id)
	repo := got.Failure.Repository
	return &streams.Message{Type: streams.TypeFix, Subject: streams.FixSubject(got.Failure.Provider, repo.Owner, repo.Name), RunID: id, Fence: got.Fence}
}

// publish rings the publisher until the run has ended, as the sweeper would.
func (r *rig) publish(s *publisher.Service) store.Run {
	r.t.Helper()
	for range 10 {
		got := r.state(r.run.ID)
		if run.State(got.State).Ended() {
			return got
		}
		s.Handle(r.t.Context(), r.bell(got.ID))
		r.exec("update runs set not_before = now() where state = 'fixed'")
	}
	r.t.Fatalf("the run never ends: %+v", r.state(r.run.ID))
	return store.Run{}
}

func (r *rig) exec(sql string) {
	r.t.Helper()
	if _, err := r.st.Pool().Exec(r.t.Context(), sql); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) prs() []forgetest.PR { return r.forge.PullRequests("acme", "hello") }

func (r *rig) branch() string { return publisher.Branch(r.run.Failure, 1) }

// failOnce makes the forge fail the first request that fits.
func (r *rig) failOnce(f forgetest.Fault, fits func(*http.Request) bool) (hit func() bool) {
	done := false
	r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
		if done || !fits(req) {
			return nil
		}
		done = true
		return &f
	})
	return func() bool { return done }
}

func creating(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pulls")
}
func pushing(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }
func listing(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pulls")
}

func TestAFixBecomesOnePullRequest(t *testing.T) {
	r := newRig(t)
	got := r.publish(r.Service)
	prs := r.prs()
	if got.State != "published" || len(prs) != 1 {
		t.Fatalf("%s(%s) %s, %d pull requests", got.State, got.Reason, got.Explanation, len(prs))
	}
	pr := prs[0]
	if pr.Base != "main" || pr.Head != r.branch() || pr.Title != "greeter: Greet the world so that grep -q World hello.txt passes" {
		t.Errorf("%+v", pr)
	}
	for _, want := range []string{"grep -q World hello.txt", "exit code 1", "exit code 0", "Danger score: 5", "`/sre-agent off`", patch.Digest([]byte(diff))} {
		if !strings.Contains(pr.Body, want) {
			t.Errorf("the body lacks %q:\n%s", want, pr.Body)
		}
	}
	h, err := r.st.History(t.Context(), r.run.ID)
	if err != nil || h.Publication == nil || h.Publication.State != store.PubOpened || h.Publication.CommitID != pr.HeadSHA || *h.Publication.PrUrl != pr.URL {
		t.Errorf("publication %+v, %v", h.Publication, err)
	}
}

func TestWhatCameFromOutsideRendersAsText(t *testing.T) {
	r := newRig(t)
	r.publish(r.Service)
	body := r.prs()[0].Body
	inFence, ticks := false, ""
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		if !inFence && strings.HasPrefix(line, "```") {
			inFence, ticks = true, line[:len(line)-len(strings.TrimLeft(line, "`"))]
		} else if inFence && line == ticks {
			inFence = false
		} else if !inFence {
			for _, bad := range []string{"@octocat", "closes #1", "<img"} {
				if strings.Contains(line, bad) {
					t.Errorf("%q stands outside of a fence: %s", bad, line)
				}
			}
			if strings.Contains(line, "@everyone") && !strings.Contains(line, "`CI @everyone`") {
				t.Errorf("a mention: %s", line)
			}
		}
	}
	if inFence {
		t.Error("a fence is never closed")
	}
}

func TestAClosedPullRequestIsANo(t *testing.T) {
	r := newRig(t)
	r.failOnce(forgetest.Fault{Drop: true, AfterEffect: true}, creating)
	r.Handle(t.Context(), r.bell(r.run.ID))
	if err := r.forge.ClosePullRequest("acme", "hello", r.prs()[0].Number); err != nil {
		t.Fatal(err)
	}
	r.exec("update runs set not_before = now() where state = 'fixed'")
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "pull_request_closed" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
	if r.tel.Count(telemetry.PRCreateSkipped, string(telemetry.PRExistsClosed)) != 1 {
		t.Error("not counted")
	}
}

func TestAnOpenPullRequestIsAdoptedAndCounted(t *testing.T) {
	r := newRig(t)
	r.failOnce(forgetest.Fault{Drop: true, AfterEffect: true}, creating)
	got := r.publish(r.Service)
	h, err := r.st.History(t.Context(), got.ID)
	if err != nil || h.Publication == nil || h.Publication.State != store.PubAdopted {
		t.Errorf("publication %+v, %v", h.Publication, err)
	}
	if r.tel.Count(telemetry.PRCreateSkipped, string(telemetry.PRExistsOpen)) != 1 {
		t.Error("not counted")
	}
}

func TestABranchWithSomebodyElsesCommitIsLeftAlone(t *testing.T) {
	r := newRig(t)
	r.write("mine.txt", "a person's work\n")
	foreign := r.push(r.branch(), "foreign")
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "branch_taken" || len(r.prs()) != 0 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
	if head, err := r.forge.BranchHead("acme", "hello", r.branch()); err != nil || head != foreign {
		t.Errorf("the branch was moved from %s to %s, %v", foreign, head, err)
	}
}

func TestABranchThatHasMovedOnIsLeftAlone(t *testing.T) {
	r := newRig(t)
	r.write("hello.txt", "a person's fix\n")
	r.push("main", "second")
	got := r.publish(r.Service)
	if got.State != "superseded" || got.Reason != "stale" || len(r.prs()) != 0 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
	if len(r.forge.Requests()) != 2 { // the test's own two pushes
		t.Errorf("the publisher changed something: %+v", r.forge.Requests())
	}
}

func TestAForbiddenDiffIsRefusedByThePublisherItself(t *testing.T) {
	r := newRig(t)
	forged := strings.ReplaceAll(diff, "hello.txt", ".github/workflows/ci.yml")
	if _, err := r.st.Pool().Exec(t.Context(), "update fixes set diff = $1, digest = $2", []byte(forged), patch.Digest([]byte(forged))); err != nil {
		t.Fatal(err)
	}
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "forbidden_path" || len(r.prs()) != 0 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

func TestAForgeThatIsDownCostsNothing(t *testing.T) {
	r := newRig(t)
	r.forge.SetFault(func(*http.Request) *forgetest.Fault {
		return &forgetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"120"}}, Body: `{"message":"down"}`}
	})
	r.Handle(t.Context(), r.bell(r.run.ID))
	got := r.state(r.run.ID)
	if got.State != "fixed" || got.TransientCount != 1 || got.NotBefore == nil || time.Until(*got.NotBefore) < time.Minute {
		t.Errorf("%s, %d, due %v", got.State, got.TransientCount, got.NotBefore)
	}
	r.forge.SetFault(nil)
	r.exec("update runs set not_before = now()")
	if got := r.publish(r.Service); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

func TestManyPublishersAtOnceMakeOnePullRequest(t *testing.T) {
	r := newRig(t)
	done := make(chan struct{})
	const n = 6
	for range n {
		s := r.publisher()
		go func() {
			defer func() { done <- struct{}{} }()
			s.Handle(t.Context(), r.bell(r.run.ID))
		}()
	}
	for range n {
		<-done
	}
	if got := r.publish(r.Service); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

// at is every repository on one forge.
func (r *rig) at(f publisher.Forge) func(ci.Failure) (publisher.Target, error) {
	return r.on(f, origin.GitHub, r.forge.URL())
}

func (r *rig) on(f publisher.Forge, name, base string) func(ci.Failure) (publisher.Target, error) {
	return func(failure ci.Failure) (publisher.Target, error) {
		repo := failure.Repository
		return publisher.Target{Forge: f, Place: origin.Place{
			Forge: name, Base: base, Owner: repo.Owner, Name: repo.Name, GitURL: base + "/" + repo.FullName() + ".git", User: "x",
		}}, nil
	}
}
