package runner

import (
	"context"
	"path/filepath"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// Reasons that verification declines with.
const (
	reasonNotReproducible = "not_reproducible"
	reasonRedDifferently  = "red_differently"
	reasonRedOnBase       = "red_on_base"
	reasonStillRed        = "still_red"
	reasonCheckCannotRun  = "check_cannot_run"
)

// verify runs the failing check without the patch and with it, each on a fresh tree: red, then green. The tree
// with the patch is made from the very diff that is published.
func (p *FixPipeline) verify(ctx context.Context, w *work) error {
	if err := p.red(ctx, w); err != nil {
		return err
	}
	check := w.report.Check
	after, err := p.check(ctx, w, "after", w.run.Failure.Commit, w.diff)
	if err != nil {
		return err
	}
	check.After = p.checkRun(after)
	if after.ExitCode != 0 {
		return fault.Permf(reasonStillRed, "with the patch the check is still red (%s)", how(after))
	}
	return p.onBase(ctx, w)
}

// red runs the failing check without the patch: it has to be red here as well, and about the same files.
func (p *FixPipeline) red(ctx context.Context, w *work) error {
	check := &evidence.Check{Command: p.Redact.String(w.fixPlan.CheckCommand), Source: w.fixPlan.CheckFrom}
	w.report.Check = check
	before, err := p.check(ctx, w, "before", w.run.Failure.Commit, nil)
	if err != nil {
		return err
	}
	check.Before = p.checkRun(before)
	switch {
	case cannotTell(before):
		return fault.Permf(reasonCheckCannotRun, "the check could not be run here (%s)", how(before))
	case before.ExitCode == 0:
		return fault.Permf(reasonNotReproducible, "the check that was red in CI is green here without any change")
	}
	w.here = p.outcome(w, before)
	check.FingerprintCI, check.FingerprintHere = w.fingerprint(), w.here.fingerprint
	if there := w.index().of(w.alone); apart(there, w.here.files) {
		return fault.Permf(reasonRedDifferently, "the check is red here, but about other files than in CI: %s here, %s there", some(w.here.files), some(there))
	}
	return nil
}

func cannotTell(res sandbox.Result) bool { return res.Killed != "" || res.ExitCode == fix.CannotRun }

// outcome is what a red check says: which files of the repository it names, and what tells it from another.
type outcome struct {
	files       map[string]bool
	fingerprint string
}

func (p *FixPipeline) outcome(w *work, res sandbox.Result) outcome {
	r := failure.Explain([]byte(atRoot(p.Redact.String(res.Output))))
	f := w.run.Failure
	return outcome{w.index().of(r), failure.Fingerprint(r, f.Repository.ID, "", "")}
}

// Who a failure is by, as the evidence says.
const (
	causeChange  = "change"
	causeUnknown = "unknown"
	causeBase    = "base"
)

// onBase declines to mend on a branch what is broken on the branch that it goes into: the check is run there too.
func (p *FixPipeline) onBase(ctx context.Context, w *work) error {
	f := w.run.Failure
	if f.BaseBranch == "" || f.BaseBranch == f.Branch || w.base == "" || w.base == f.Commit {
		return nil
	}
	res, err := p.check(ctx, w, "base", w.base, nil)
	if err != nil {
		return err
	}
	check, base := w.report.Check, p.checkRun(res)
	check.Base, check.Cause = &base, causeUnknown
	there := p.outcome(w, res)
	switch {
	case cannotTell(res):
	case res.ExitCode == 0:
		check.Cause = causeChange
	case sameRed(w.here, there):
		check.Cause = causeBase
		return fault.Permf(reasonRedOnBase, "the base branch %q has the same failure; it is mended there", f.BaseBranch)
	}
	return nil
}

// sameRed says whether one red check shows nothing that another doesn't.
func sameRed(here, base outcome) bool {
	if len(here.files) == 0 || len(base.files) == 0 {
		return here.fingerprint == base.fingerprint
	}
	for name := range here.files {
		if !base.files[name] {
			return false
		}
	}
	return true
}

// nothingChanged says why a fixer found nothing to do: the check is not red here at all, or it is for another reason.
func (p *FixPipeline) nothingChanged(ctx context.Context, w *work) error {
	if err := p.red(ctx, w); err != nil {
		return err
	}
	return fault.Permf(fix.ReasonNothingChanged, "%s changed nothing, and the check is red all the same", w.fixPlan.Fixer)
}

func (p *FixPipeline) check(ctx context.Context, w *work, name, commit string, diff []byte) (sandbox.Result, error) {
	tree, err := w.mirror.Checkout(ctx, commit, filepath.Join(w.dir, name))
	if err != nil {
		return sandbox.Result{}, err
	}
	defer func() { _ = tree.Close() }()
	if diff != nil {
		if err := tree.Apply(ctx, diff); err != nil {
			return sandbox.Result{}, err
		}
	}
	return p.step(ctx, w, w.fixPlan.Check, tree, name)
}

const maxCheckOutput = 8000

func (p *FixPipeline) checkRun(res sandbox.Result) evidence.CheckRun {
	out := p.Redact.String(res.Output)
	if len(out) > maxCheckOutput {
		out = "[...]\n" + out[len(out)-maxCheckOutput:]
	}
	return evidence.CheckRun{ExitCode: res.ExitCode, Output: out, Seconds: res.Duration.Seconds()}
}
