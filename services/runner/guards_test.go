package runner

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// The tests here each miss one guard of the pipeline: make mutants removes it and wants them red.

// stand stands for the sandbox: it does to the tree what a step is said to do, and answers with its exit code.
type stand struct {
	// fix are the files that the fixer writes.
	fix map[string]string
	// check is the check's exit code on a tree whose a.txt has this text.
	check func(text string) int
}

func (s stand) Run(_ context.Context, spec sandbox.Spec) (sandbox.Result, error) {
	if strings.Contains(spec.Script, "fix") {
		for name, text := range s.fix {
			if err := os.WriteFile(filepath.Join(spec.Dir, name), []byte(text), 0o600); err != nil {
				return sandbox.Result{}, err
			}
		}
		return sandbox.Result{}, nil
	}
	text, err := os.ReadFile(filepath.Join(spec.Dir, "a.txt"))
	return sandbox.Result{ExitCode: s.check(string(text))}, err
}

// bench is a pipeline on a real mirror of a repository with a red a.txt.
func bench(t *testing.T, s stand) (*FixPipeline, *work, *gittest.Repo) {
	t.Helper()
	repo := gittest.New(t).Repo(t, "public.git", map[string]string{"a.txt": "red\n", "b.txt": "b\n"})
	git, err := gitrepo.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := git.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "mirror"), gitrepo.Remote{URL: repo.URL})
	if err != nil {
		t.Fatal(err)
	}
	scanner, err := scan.New()
	if err != nil {
		t.Fatal(err)
	}
	tel := telemetry.NewTest()
	p := &FixPipeline{Git: git, Sandbox: s, Scanner: scanner, Rules: policy.Default(), Redact: redact.New(nil), Dir: t.TempDir(), Counters: tel.Counters, Log: tel.Log}
	w := &work{
		run: store.Run{Failure: ci.Failure{Commit: repo.Push("main"), Branch: "main", BaseBranch: "main"}},
		dir: t.TempDir(), mirror: mirror, settings: repoconfig.Default(),
		fixPlan: fix.Plan{
			Fixer: "painter", Fix: fix.Step{Script: "fix"}, Check: fix.Step{Script: "check"}, CheckCommand: "check", Files: []string{"a.txt"},
		},
	}
	if err := mirror.Fetch(t.Context(), w.run.Failure.Commit); err != nil {
		t.Fatal(err)
	}
	return p, w, repo
}

func redUntilGreen(text string) int {
	if text == "green\n" {
		return 0
	}
	return 1
}

// try runs stages and returns the reason of the one that says no.
func try(t *testing.T, w *work, stages ...func(context.Context, *work) error) string {
	t.Helper()
	for _, s := range stages {
		if err := s(t.Context(), w); err != nil {
			reason, permanent := fault.Reason(err)
			if !permanent {
				t.Fatal(err)
			}
			return reason
		}
	}
	return ""
}

func TestAPatchIsVerifiedRedThenGreen(t *testing.T) {
	for name, tc := range map[string]struct {
		stand  stand
		reason string
	}{
		"red, then green":              {stand{map[string]string{"a.txt": "green\n"}, redUntilGreen}, ""},
		"green before":                 {stand{map[string]string{"a.txt": "green\n"}, func(string) int { return 0 }}, reasonNotReproducible},
		"red after":                    {stand{map[string]string{"a.txt": "blue\n"}, redUntilGreen}, reasonStillRed},
		"a file that nobody asked for": {stand{map[string]string{"a.txt": "green\n", "b.txt": "x\n"}, redUntilGreen}, fix.ReasonTouchedOther},
	} {
		t.Run(name, func(t *testing.T) {
			p, w, _ := bench(t, tc.stand)
			if got := try(t, w, p.patch, p.verify); got != tc.reason {
				t.Errorf("%s: the pipeline says %q, want %q", name, got, tc.reason)
			}
		})
	}
}

func TestASecretOrAForbiddenPathEndsTheRun(t *testing.T) {
	p, w, _ := bench(t, stand{})
	w.changes = &patch.Patch{
		Files: []patch.File{{OldPath: "a.txt", NewPath: "a.txt", Added: 1}},
		Added: []patch.Line{{File: "a.txt", Number: 1, Text: "key = " + "AKIA" + "QYLPMN5HHH" + "FPABCD"}},
	}
	if got := try(t, w, p.scan); got != scan.ReasonFound {
		t.Errorf("a secret: the scan says %q", got)
	}
	w.changes = &patch.Patch{Files: []patch.File{{NewPath: ".github/workflows/ci.yml", IsNew: true, Added: 1}}}
	if got := try(t, w, p.patchPolicy); got != "forbidden_path" {
		t.Errorf("a workflow: the policy says %q", got)
	}
}

func TestTheSettingsAreTheBaseBranchs(t *testing.T) {
	p, w, repo := bench(t, stand{})
	repo.Commit(map[string]string{repoconfig.Path: "version: 1\nmode: off\n"})
	repo.Write(repoconfig.Path, "version: 1\nmode: shadow\n")
	repo.Git("add", "-A")
	repo.Git("commit", "-qm", "my own rules")
	w.run.Failure.Commit = repo.Push("feature")
	if err := w.mirror.Fetch(t.Context(), w.run.Failure.Commit); err != nil {
		t.Fatal(err)
	}
	if err := p.readSettings(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if w.settings.Mode != repoconfig.ModeOff {
		t.Errorf("the failing commit's settings were read: mode %s", w.settings.Mode)
	}
}

// off is a repository that a person has switched off.
type off struct{}

func (off) RepositoryMode(context.Context, int64) (string, error) { return "", nil }

func (off) SwitchedOff(context.Context, int64) (*db.Switch, error) {
	return &db.Switch{OffBy: "ada", OffWhy: "enough"}, nil
}

// unreadable are logs that nobody can read.
type unreadable struct{ Logs }

func (unreadable) Readable(ci.Failure) error { return fault.Permf("no_log", "nobody can read it") }

func TestARunWhoseRepositoryWasSwitchedOffIsNotWorkedOnAgain(t *testing.T) {
	p, w, _ := bench(t, stand{})
	p.Modes, p.Logs = off{}, unreadable{}
	if got := try(t, w, p.readContext); got != store.ReasonRepositoryOff {
		t.Errorf("a repository that is off: the context says %q", got)
	}
}

func TestNoStageIsLeftOut(t *testing.T) {
	var names []telemetry.Stage
	for _, s := range (&FixPipeline{}).stages() {
		names = append(names, s.name)
	}
	want := []telemetry.Stage{
		telemetry.StageContext, telemetry.StageClassify, telemetry.StagePlan, telemetry.StagePlanPolicy,
		telemetry.StagePatch, telemetry.StagePatchPolicy, telemetry.StageScan, telemetry.StageVerify,
	}
	if !slices.Equal(names, want) {
		t.Errorf("the stages are %v, want %v", names, want)
	}
}

func TestAModeThatPublishesNothingKeepsTheDiffAsEvidence(t *testing.T) {
	for mode, reason := range map[repoconfig.Mode]string{repoconfig.ModeShadow: "shadow_mode", repoconfig.ModeSuggest: "suggest_mode"} {
		p, w, _ := bench(t, stand{fix: map[string]string{"a.txt": "green\n"}, check: redUntilGreen})
		w.settings = &repoconfig.Config{Mode: mode}
		if got := try(t, w, p.patch, p.patchPolicy, p.scan, p.verify); got != "" {
			t.Fatal(got)
		}
		res := p.fixed(w)
		report, err := evidence.Parse(res.Evidence)
		if err != nil || res.State != run.Declined || res.Reason != reason || report.Diff != string(w.diff) || len(res.Fix.Diff) > 0 {
			t.Errorf("%s: %+v, %v", mode, res, err)
		}
	}
}

func TestARefusedDiffIsKeptUnlessItHoldsASecret(t *testing.T) {
	for text, kept := range map[string]bool{"x\n": true, "password for everything: hunter2hunter2\n": false} {
		p, w, _ := bench(t, stand{fix: map[string]string{"a.txt": text}, check: redUntilGreen})
		p.Redact = redact.New([]string{"hunter2hunter2"})
		w.settings = &repoconfig.Config{Policy: repoconfig.Policy{Forbid: []string{"a.txt"}}}
		if got := try(t, w, p.patch, p.patchPolicy); got != policy.ReasonForbidden {
			t.Fatal(got)
		}
		if (w.report.Diff != "") != kept {
			t.Errorf("%q: kept %q", text, w.report.Diff)
		}
	}
}
