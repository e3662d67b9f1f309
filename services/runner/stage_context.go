package runner

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/joblog/green"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

const (
	// maxLog is how much of a job's log is read, in bytes.
	maxLog = 16 << 20
	// maxGreenLog is how much of a green log is read and kept. Redacting may make it a little longer.
	maxGreenLog = green.MaxText - 1<<20
	// maxJobs is how many failed jobs of one run are looked at.
	maxJobs = 5
	// maxManifest is the largest file of a repository that a plan reads.
	maxManifest = 8 << 20
)

// readContext fetches the code, the repository's settings and the failed job's log.
func (p *FixPipeline) readContext(ctx context.Context, w *work) error {
	f := w.run.Failure
	if err := p.switchedOn(ctx, w); err != nil {
		return err
	}
	if err := p.Logs.Readable(f); err != nil {
		return err
	}
	remote, place, err := p.Remote(f)
	if err != nil {
		return err
	}
	w.place = place
	dir := filepath.Join(p.Dir, "mirrors", f.Provider+"-"+ci.ShortKey(f.Repository.ID))
	if w.mirror, err = p.Git.OpenMirror(ctx, dir, remote); err != nil {
		return err
	}
	settings := p.readSettings(ctx, w) // the failing commit comes along; when it does not, that is what ends the run
	if err := cmp.Or(w.mirror.Fetch(ctx, f.Commit), settings); err != nil {
		return err
	}
	if err := p.narrowMode(ctx, w); err != nil {
		return err
	}
	if err := allowed(f, w.settings); err != nil {
		return err
	}
	if w.files, err = w.mirror.Files(ctx, f.Commit); err != nil {
		return err
	}
	return p.readLogs(ctx, w)
}

// allowed says whether the repository lets its code be worked on, before anything of it is run.
func allowed(f ci.Failure, settings *repoconfig.Config) error {
	if settings.Mode == repoconfig.ModeOff {
		return fault.Permf("mode_off", "the repository's %s says mode: off", repoconfig.Path)
	}
	if f.FromFork() && !settings.Forks {
		return fault.Permf("fork", "the commit is from a fork, and the repository's %s does not say forks: true", repoconfig.Path)
	}
	return nil
}

// Modes says what people have set for a repository: a mode, or ""; and who switched it off, or nil.
type Modes interface {
	RepositoryMode(ctx context.Context, repositoryID int64) (string, error)
	SwitchedOff(ctx context.Context, runID int64) (*db.Switch, error)
}

// switchedOn ends a run that crashed, was handed back or was asked for again, and whose repository was switched off
// meanwhile. Those that had only been waiting were ended by the switch itself.
func (p *FixPipeline) switchedOn(ctx context.Context, w *work) error {
	if p.Modes == nil {
		return nil
	}
	by, err := p.Modes.SwitchedOff(ctx, w.run.ID)
	if err != nil {
		return err
	}
	if by != nil {
		return &settled{run.Blocked, fault.Permf(store.ReasonRepositoryOff, "the repository was switched off by %s: %s", by.OffBy, by.OffWhy)}
	}
	return nil
}

// narrowMode lets the operators' mode stand where it allows less than the repository's own.
func (p *FixPipeline) narrowMode(ctx context.Context, w *work) error {
	if p.Modes == nil {
		return nil
	}
	mode, err := p.Modes.RepositoryMode(ctx, w.run.RepositoryID)
	if err != nil {
		return fmt.Errorf("mode of the repository: %w", err)
	}
	if set := repoconfig.Mode(mode); set.Narrower(w.settings.Mode) {
		own := *w.settings
		own.Mode = set
		w.settings = &own
	}
	return nil
}

// readSettings reads the repository's settings from its base branch, never from the failing commit; from the default
// branch where the webhook named none.
func (p *FixPipeline) readSettings(ctx context.Context, w *work) error {
	base, err := w.mirror.FetchHead(ctx, w.run.Failure.BaseBranch, w.run.Failure.Commit)
	if err != nil {
		return err
	}
	w.base = base
	data, exists, err := w.mirror.ReadFile(ctx, base, repoconfig.Path, repoconfig.MaxBytes)
	if err != nil || !exists {
		return err
	}
	if w.settings, err = repoconfig.Parse(data); err != nil {
		return err
	}
	w.catalogue, err = p.Catalogue.With(w.settings.CustomFixers)
	return err
}

// matches are the fixers that apply and that the repository allows.
func (p *FixPipeline) matches(w *work, r failure.Report) []fix.Match {
	return slices.DeleteFunc(w.catalogue.Match(r, w.files), func(m fix.Match) bool {
		return len(w.settings.Fixers) > 0 && !slices.Contains(w.settings.Fixers, m.Fixer)
	})
}

// classify decides whether this is a failure that a fixer can mend and that has no answer yet.
func (p *FixPipeline) classify(ctx context.Context, w *work) error {
	matches := p.matches(w, w.log)
	if err := p.hopeless(w, matches); err != nil {
		return err
	}
	if len(matches) == 0 && !p.asks(w) {
		return fault.Permf(fix.ReasonNoFixer, "no fixer knows this failure; the log's excerpt says what happened")
	}
	w.candidates = matches
	return p.standing(ctx, w)
}

// hopeless declines a failure of a class that no change of the code mends. A sign of one in what a formatter prints of
// the files that it complains about, such as a line of source, is none: that failure is the formatter's.
func (p *FixPipeline) hopeless(w *work, matches []fix.Match) error {
	r := w.log
	says, hopeless := map[failure.Class]string{
		failure.Infrastructure: "the machine, the network or a service failed, not the code; run the job again",
		failure.Flaky:          "a test failed that passes at other times; run the job again, and look at the test",
		failure.Permission:     "the job was not allowed to do something; look at its credentials and permissions",
	}[r.Class]
	if !hopeless && r.Transient {
		says, hopeless = "trying again may help, and changing the code does not", true
		r.Class = failure.Infrastructure
	}
	style := slices.ContainsFunc(matches, func(m fix.Match) bool { return w.catalogue.ChecksStyle(m, r.Command) })
	if !hopeless || style {
		return nil
	}
	if r.Evidence == nil {
		return fault.Permf(string(r.Class), "%s", says)
	}
	return fault.Permf(string(r.Class), "%s: line %d of the log says %q", says, r.Evidence.Number, r.Evidence.Text)
}

// plan asks the fixers that apply for scripts, one after the other: where one declines, because the repository needs
// another version of its tool say, the next is asked. The model and the agent come last. If all decline, the first
// one's reason stands.
func (p *FixPipeline) plan(ctx context.Context, w *work) error {
	var first error
	for _, m := range w.candidates {
		err := p.planFor(ctx, w, m)
		if _, permanent := fault.Reason(err); err == nil || !permanent {
			return err
		}
		if first == nil {
			first, w.report.Fixer = err, m.Fixer
		}
	}
	if !p.asks(w) {
		return first
	}
	err := p.propose(ctx, w)
	if _, permanent := fault.Reason(err); permanent && first != nil {
		p.Log.InfoContext(ctx, "neither a model nor an agent helps", "error", p.detail(err))
		return first
	}
	return err
}

// planFor makes the plan of one fixer.
func (p *FixPipeline) planFor(ctx context.Context, w *work, m fix.Match) error {
	in, err := p.inputs(ctx, w, m, w.alone)
	if err != nil {
		return err
	}
	plan, err := w.catalogue.Plan(in)
	if err == nil {
		w.fixPlan, w.kinds, w.report.Fixer = plan, []policy.Kind{plan.Kind}, m.Fixer
	}
	return err
}

// inputs gives the catalogue the bytes of the files that it wants, read from the commit's objects.
func (p *FixPipeline) inputs(ctx context.Context, w *work, m fix.Match, r failure.Report) (fix.Inputs, error) {
	in := fix.Inputs{
		Match: m, Report: r, RepositoryID: w.run.Failure.Provider + ":" + w.run.Failure.Repository.ID,
		RepoFiles: w.files, Files: map[string][]byte{}, Tools: p.Tools, Check: p.namedCheck(w),
	}
	return in, p.readInto(ctx, w, in.Files, w.catalogue.Wants(m, w.files))
}

// readInto reads files of the failing commit; those that can't be read are left out.
func (p *FixPipeline) readInto(ctx context.Context, w *work, files map[string][]byte, paths []string) error {
	for _, path := range paths {
		data, exists, err := w.mirror.ReadFile(ctx, w.run.Failure.Commit, path, maxManifest)
		if _, permanent := fault.Reason(err); err != nil && !permanent {
			return err
		}
		if err == nil && exists {
			files[path] = data
		}
	}
	return nil
}

// namedCheck is the command that the repository's settings name for the failed job, or "".
func (p *FixPipeline) namedCheck(w *work) string {
	f := w.run.Failure
	command, _ := w.settings.CheckFor(f.WorkflowName, w.job.Name)
	if command == "" {
		command, _ = w.settings.CheckFor(f.Workflow, w.job.Name)
	}
	return command
}

// planPolicy refuses a plan whose files the rules forbid, before anything is run.
func (p *FixPipeline) planPolicy(_ context.Context, w *work) error {
	if len(w.fixPlan.Files) == 0 {
		return nil
	}
	planned := &patch.Patch{}
	for _, path := range w.fixPlan.Files {
		planned.Files = append(planned.Files, patch.File{OldPath: path, NewPath: path})
	}
	return verdict(policy.Check(planned, p.rules(w)))
}

func (p *FixPipeline) rules(w *work) policy.Rules { return p.Rules.Tightened(w.settings.Policy) }

// verdict turns the policy's no into a permanent error with the first broken rule as its reason.
func verdict(v policy.Verdict) error {
	if v.Allowed {
		return nil
	}
	text := v.Details[0].Message
	if v.Details[0].File != "" {
		text = fmt.Sprintf("%q: %s", v.Details[0].File, text)
	}
	return fault.Permf(v.Reason, "%s", text)
}
