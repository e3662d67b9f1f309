package runner

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/store"
)

func TestAPatchIsSuggestedWhereTheRepositoryWantsItAndThereIsAPlace(t *testing.T) {
	base := ci.Failure{Repository: ci.Repository{Owner: "acme", Name: "shop"}, HeadRepository: "acme/shop", Branch: "main", BaseBranch: "main"}
	branch, fork, unknown := base, base, base
	branch.Branch = "feature"
	fork.HeadRepository = "mallory/shop" // from its own main, too
	unknown.BaseBranch = ""
	for name, tt := range map[string]struct {
		failure ci.Failure
		mode    repoconfig.Mode
		on      string
		want    string
	}{
		"the base branch":                 {base, repoconfig.ModePR, repoconfig.BranchComment, ""},
		"the base branch, suggested":      {base, repoconfig.ModeSuggest, repoconfig.BranchPR, ""},
		"a pull request's branch":         {branch, repoconfig.ModePR, repoconfig.BranchPR, ""},
		"the same, with comments":         {branch, repoconfig.ModePR, repoconfig.BranchComment, evidence.ByComment},
		"the same, suggested":             {branch, repoconfig.ModeSuggest, repoconfig.BranchPR, evidence.ByComment},
		"the same, in the shadow":         {branch, repoconfig.ModeShadow, repoconfig.BranchComment, ""},
		"a fork's":                        {fork, repoconfig.ModePR, repoconfig.BranchPR, evidence.ByComment},
		"a fork's, in the shadow":         {fork, repoconfig.ModeShadow, repoconfig.BranchPR, ""},
		"where the webhook names no base": {unknown, repoconfig.ModeSuggest, repoconfig.BranchPR, ""},
	} {
		w := &work{run: store.Run{Failure: tt.failure}, settings: &repoconfig.Config{Mode: tt.mode, PullRequestBranches: tt.on}}
		if got := way(w); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestAForksBranchIsAnotherOneThanTheRepositorysOwn(t *testing.T) {
	own := &work{run: store.Run{Failure: ci.Failure{Repository: ci.Repository{Owner: "acme", Name: "shop"}, HeadRepository: "acme/shop", Branch: "main"}}}
	own.alone.Text = "x"
	fork := *own
	fork.run.Failure.HeadRepository = "mallory/shop"
	if own.fingerprint() == fork.fingerprint() {
		t.Error("a fork's failure stands for the repository's own")
	}
}

func TestAForksCodeIsOnlyRunWhereTheRepositorySaysSo(t *testing.T) {
	own := ci.Failure{Repository: ci.Repository{Owner: "acme", Name: "shop"}, HeadRepository: "acme/shop"}
	fork := own
	fork.HeadRepository = "mallory/shop"
	for name, tt := range map[string]struct {
		failure ci.Failure
		yaml    string
		want    string
	}{
		"without a word":       {fork, "", "fork"},
		"with a no":            {fork, "version: 1\nforks: false\n", "fork"},
		"with a yes":           {fork, "version: 1\nforks: true\n", ""},
		"a yes that is off":    {fork, "version: 1\nmode: 'off'\nforks: true\n", "mode_off"},
		"the repository's own": {own, "", ""},
	} {
		settings, err := repoconfig.Parse([]byte(tt.yaml))
		if err != nil {
			t.Fatal(err)
		}
		if reason, _ := fault.Reason(allowed(tt.failure, settings)); reason != tt.want {
			t.Errorf("%s: %q, want %q", name, reason, tt.want)
		}
	}
}
