package publisher_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// feature makes a person's pull request whose branch is red.
func (r *rig) feature() (commit string) {
	r.t.Helper()
	r.git("checkout", "-qb", "feature")
	r.write("new.txt", "new\n")
	commit = r.push("feature", "feature")
	if err := r.forge.OpenAs("octocat", "acme", "hello", forgetest.PR{Title: "mine", Head: "feature", Base: "main"}); err != nil {
		r.t.Fatal(err)
	}
	return commit
}

// onFeature is a failure of that branch; way is what the repository's settings want.
func onFeature(commit, way string) func(*ci.Failure, *store.Fix, *evidence.Report) {
	return func(f *ci.Failure, fix *store.Fix, report *evidence.Report) {
		f.Branch, f.Commit, fix.BaseCommit, fix.Fingerprint, report.Way = "feature", commit, commit, "feature", way
	}
}

// pushes counts what was pushed by the publisher.
func (r *rig) branches() string { return r.git("ls-remote", r.url(), "refs/heads/sre-agent/*") }

func TestAFailureOnSomebodysBranchLeadsToAPullRequestAgainstIt(t *testing.T) {
	r := newRig(t)
	got := r.once(r.another(onFeature(r.feature(), "")).ID)
	r.wants(got, "published", "", 2)
	if pr := r.prs()[1]; pr.Base != "feature" || pr.Head != publisher.Branch(got.Failure, 1) {
		t.Errorf("from %s against %s", pr.Head, pr.Base)
	}
}

func TestASuggestionIsOneCommentAndNothingIsPushed(t *testing.T) {
	r := newRig(t)
	commit := r.feature()
	got := r.once(r.another(onFeature(commit, evidence.ByComment)).ID)
	r.wants(got, "published", "suggested", 1)
	comments := r.prs()[0].Comments
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "```diff\n"+diff+"```\n") || r.branches() != "" {
		t.Fatalf("comments %+v, branches %q", comments, r.branches())
	}
	h, err := r.st.History(t.Context(), got.ID)
	if err != nil || h.Publication != nil || h.Suggestion == nil || h.Suggestion.State != store.SuggestionPosted || *h.Suggestion.CommentID == "" {
		t.Errorf("%+v, %v", h.Suggestion, err)
	}
	r.wants(r.once(r.another(onFeature(commit, evidence.ByComment)).ID), "superseded", "suggested_before", 1)
	if n := r.tel.Count("sre_agent_pr_create_skipped_total", "suggested"); n != 2 || len(r.prs()[0].Comments) != 1 {
		t.Errorf("%d comments, counted %d times", len(r.prs()[0].Comments), n)
	}
}

func TestASuggestionWhoseReplyIsLostIsFoundAgain(t *testing.T) {
	for name, fault := range map[string]forgetest.Fault{
		"fails with 500":             {Status: 500, Body: `{}`},
		"is dropped before it works": {Drop: true},
		"is made, and nobody hears":  {Drop: true, AfterEffect: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.run = r.another(onFeature(r.feature(), evidence.ByComment))
			hit := r.failOnce(fault, commenting)
			r.wants(r.publish(r.Service), "published", "suggested", 1)
			if n := len(r.prs()[0].Comments); !hit() || n != 1 {
				t.Errorf("%d comments", n)
			}
		})
	}
}

func TestASuggestionWithoutAPullRequestIsKept(t *testing.T) {
	r := newRig(t)
	commit := r.feature()
	if err := r.forge.ClosePullRequest("acme", "hello", 1); err != nil {
		t.Fatal(err)
	}
	r.wants(r.once(r.another(onFeature(commit, evidence.ByComment)).ID), "declined", "suggest_mode", 1)
}

// forked makes a pull request from a fork, and the failure of its branch.
func (r *rig) forked() func(*ci.Failure, *store.Fix, *evidence.Report) {
	r.t.Helper()
	if _, err := r.forge.Fork("acme", "hello", "mallory"); err != nil {
		r.t.Fatal(err)
	}
	r.git("checkout", "-qb", "evil")
	r.write("evil.txt", "evil\n")
	r.git("add", "-A")
	r.git("commit", "-qm", "evil")
	r.git("push", "-q", strings.Replace(r.url(), "acme/hello", "mallory/hello", 1), "HEAD:refs/heads/evil")
	commit := r.git("rev-parse", "HEAD")
	if err := r.forge.OpenAs("mallory", "acme", "hello", forgetest.PR{Title: "evil", Head: "mallory:evil", Base: "main"}); err != nil {
		r.t.Fatal(err)
	}
	return func(f *ci.Failure, fix *store.Fix, _ *evidence.Report) {
		f.HeadRepository, f.Branch, f.Commit, fix.BaseCommit = "mallory/hello", "evil", commit, commit
	}
}

func TestAForksFailureLeadsToACommentAtMost(t *testing.T) {
	r := newRig(t)
	r.wants(r.once(r.another(r.forked()).ID), "published", "suggested", 1)
	if n := len(r.prs()[0].Comments); n != 1 || r.branches() != "" {
		t.Errorf("%d comments, branches %q", n, r.branches())
	}
}

func TestAForkThatMovedOnGetsNoComment(t *testing.T) {
	r := newRig(t)
	failed := r.forked()
	r.write("evil.txt", "more\n")
	r.git("commit", "-qam", "more")
	r.git("push", "-q", strings.Replace(r.url(), "acme/hello", "mallory/hello", 1), "HEAD:refs/heads/evil")
	r.wants(r.once(r.another(failed).ID), "superseded", "stale", 1)
	if n := len(r.prs()[0].Comments); n != 0 {
		t.Errorf("%d comments", n)
	}
}

func TestWhatIsGreenMeanwhileIsLeftAlone(t *testing.T) {
	forbidden := forgetest.Fault{Status: 403, Body: `{"message":"Resource not accessible by personal access token"}`}
	for name, tt := range map[string]struct {
		outcome string
		fault   *forgetest.Fault
		state   string
		reason  string
	}{
		"green":                     {"success", nil, "superseded", "green"},
		"red":                       {"failure", nil, "published", ""},
		"running again":             {"", nil, "published", ""},
		"green, and not to be seen": {"success", &forbidden, "published", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if err := r.forge.Report("acme", "hello", forgetest.Check{Commit: r.commit, Name: "lint", Outcome: tt.outcome}); err != nil {
				t.Fatal(err)
			}
			if tt.fault != nil {
				r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
					if strings.Contains(req.URL.Path, "/commits/") {
						return tt.fault
					}
					return nil
				})
			}
			want := 0
			if tt.state == "published" {
				want = 1
			}
			r.wants(r.once(r.run.ID), tt.state, tt.reason, want)
		})
	}
}

func TestAPersonWhoIsFixingItIsLeftAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text, base string
		state, reason    string
	}{
		"the same line":              {"hello.txt", "hi\n", "main", "superseded", "person_fixing"},
		"another file":               {"other.txt", "hi\n", "main", "published", ""},
		"the same line of a release": {"hello.txt", "hi\n", "release", "published", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.git("push", "-q", r.url(), "HEAD:refs/heads/release")
			r.write(tt.file, tt.text)
			r.push("mine", "mine")
			if err := r.forge.OpenAs("octocat", "acme", "hello", forgetest.PR{Title: "mine", Head: "mine", Base: tt.base}); err != nil {
				t.Fatal(err)
			}
			want := 1
			if tt.state == "published" {
				want = 2
			}
			r.wants(r.once(r.run.ID), tt.state, tt.reason, want)
		})
	}
}
