package runner

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// known is what is recorded of a fingerprint, and what the forge says of its pull request.
type known struct {
	t       *testing.T
	refused string
	holder  *db.Publication
	err     error
	open    bool
	away    bool
}

func (k known) Refused(_ context.Context, fingerprint string) (string, error) {
	if fingerprint == "" {
		k.t.Error("asked for no fingerprint")
	}
	return k.refused, k.err
}

func (k known) Holder(context.Context, string) (*db.Publication, error) { return k.holder, nil }

func (k known) IsOpen(_ context.Context, owner, name, branch string, number int64) (bool, error) {
	if owner != "acme" || name != "api" || branch != "sre-agent/x" || number != 7 {
		k.t.Errorf("looked at %s/%s %s %d", owner, name, branch, number)
	}
	if k.away {
		return false, errors.New("the forge is down")
	}
	return k.open, nil
}

func publication(runID int64) *db.Publication {
	number, url := int64(7), "https://forge/pull/7"
	return &db.Publication{RunID: runID, Branch: "sre-agent/x", PrNumber: &number, PrUrl: &url, PrState: store.PROpen, State: store.PubOpened}
}

func TestATroubleThatHasItsAnswerIsNotWorkedOn(t *testing.T) {
	onItsWay := publication(2)
	onItsWay.PrNumber, onItsWay.PrUrl = nil, nil
	const goesOn = ""
	for name, tc := range map[string]struct {
		known  known
		nolog  bool
		state  string
		reason string
		says   string
	}{
		"nothing is known of it":                {known{}, false, goesOn, "", ""},
		"a person has refused it":               {known{refused: "https://forge/pull/3"}, false, "blocked", "pull_request_closed", (&store.FingerprintRefusedError{PRURL: "https://forge/pull/3"}).Error()},
		"a pull request is open":                {known{holder: publication(2), open: true}, false, "superseded", "pull_request_open", "https://forge/pull/7 stands for the same trouble already"},
		"its pull request is open no more":      {known{holder: publication(2)}, false, goesOn, "", ""},
		"its pull request is this run's":        {known{holder: publication(1), open: true}, false, goesOn, "", ""},
		"its pull request is on its way":        {known{holder: onItsWay, open: true}, false, goesOn, "", ""},
		"the forge does not say":                {known{holder: publication(2), away: true}, false, goesOn, "", ""},
		"the log says nothing to tell it by":    {known{refused: "https://forge/pull/3"}, true, goesOn, "", ""},
		"the database is away, so it is waited": {known{err: errors.New("no route to host")}, false, "waits", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			catalogue, err := fix.Load()
			if err != nil {
				t.Fatal(err)
			}
			tel := telemetry.NewTest()
			tc.known.t = t
			p := &FixPipeline{Catalogue: catalogue, Troubles: tc.known, Pulls: tc.known, Redact: redact.New(nil), Counters: tel.Counters, Log: tel.Log}
			w := &work{settings: repoconfig.Default(), catalogue: catalogue, files: []string{"a.go"}}
			w.place = origin.Place{Forge: origin.GitHub, Owner: "acme", Name: "api"}
			w.run.ID = 1
			w.run.Failure = ci.Failure{Repository: ci.Repository{ID: "1", Owner: "acme", Name: "api"}, Branch: "main", WorkflowName: "CI"}
			w.log = failure.Report{Command: "gofmt -l .", Text: "a.go"}
			w.alone = w.log
			if tc.nolog {
				w.alone.Text = ""
			}
			s := p.stages()[1]
			err = s.do(t.Context(), w)
			var res Result
			if err != nil {
				res = p.ended(s, w, err)
			}
			if (res.Err != nil) != (tc.state == "waits") {
				t.Errorf("it is tried again for %v", res.Err)
			}
			if tc.state != "waits" && (string(res.State) != tc.state || res.Reason != tc.reason || res.Explanation != tc.says) {
				t.Errorf("worked on: %s(%s) %q, want %s(%s)", res.State, res.Reason, res.Explanation, tc.state, tc.reason)
			}
			if res.Reason != "" && res.Fingerprint == "" {
				t.Error("it ends without its fingerprint")
			}
			tel.Counters.EndedWithoutPullRequest(t.Context(), res.Reason, res.Fingerprint != "") // as tell does, after the commit
			if got := tel.Count(telemetry.PRCreateSkipped, string(telemetry.PRExistsClosed)); (got == 1) != (tc.state == "blocked") {
				t.Errorf("counted %v", got)
			}
			if got := tel.Count(telemetry.PRCreateSkipped, string(telemetry.PRFingerprint)); (got == 1) != (tc.state == "superseded") {
				t.Errorf("counted %v", got)
			}
		})
	}
}

func TestTheFingerprintIsTheSameForAWorkflowAndItsJobs(t *testing.T) {
	w := &work{alone: failure.Report{Text: "x"}}
	w.run.Failure = ci.Failure{Branch: "main", Workflow: ".github/workflows/ci.yml", WorkflowName: "CI"}
	job := &work{alone: w.alone}
	job.run.Failure = ci.Failure{Branch: "main", Workflow: "CI", WorkflowName: "CI"}
	if w.fingerprint() != job.fingerprint() {
		t.Error("the event of a job has another fingerprint than that of its workflow")
	}
	job.run.Failure.WorkflowName = "Lint"
	if w.fingerprint() == job.fingerprint() {
		t.Error("another workflow has the same fingerprint")
	}
}

func TestThePullReaderKnowsOpenFromClosed(t *testing.T) {
	srv, err := forgetest.Start(forgetest.Options{Dir: t.TempDir(), ReadTokens: []string{"reader"}, WriteTokens: []string{"writer"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v := srv.Violations(); len(v) > 0 {
			t.Errorf("requests that GitHub's description does not allow: %v", v)
		}
		_ = srv.Close()
	})
	branch := openPull(t, srv)
	r := NewPullReader(srv.APIURL(), "reader")
	is := func(branch string, number int64) bool {
		t.Helper()
		open, err := r.IsOpen(t.Context(), "acme", "api", branch, number)
		if err != nil {
			t.Fatal(err)
		}
		return open
	}
	if !is(branch, 1) || is(branch, 2) || is("sre-agent/other", 1) {
		t.Errorf("open %v, another number %v, another branch %v", is(branch, 1), is(branch, 2), is("sre-agent/other", 1))
	}
	if err := srv.ClosePullRequest("acme", "api", 1); err != nil {
		t.Fatal(err)
	}
	if is(branch, 1) {
		t.Error("a closed one is open")
	}
	if _, err := r.IsOpen(t.Context(), "acme", "gone", branch, 1); err == nil {
		t.Error("a repository that is not there has an answer")
	}
}

// openPull opens pull request 1 of acme/api and returns its branch.
func openPull(t *testing.T, srv *forgetest.Server) string {
	t.Helper()
	const branch = "sre-agent/x"
	repo, err := srv.CreateRepo("acme", "api", "main")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	url := strings.Replace(repo.CloneURL, "://", "://x-access-token:writer@", 1)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"commit", "-q", "--allow-empty", "-m", "one"},
		{"push", "-q", url, "main"},
		{"commit", "-q", "--allow-empty", "-m", "two"},
		{"push", "-q", url, "HEAD:refs/heads/" + branch},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	body := strings.NewReader(`{"title": "t", "head": "` + branch + `", "base": "main", "body": "b"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.APIURL()+"/repos/acme/api/pulls", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer writer")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	return branch
}
