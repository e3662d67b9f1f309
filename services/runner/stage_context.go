package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
)

const (
	// maxLog is how much of a job's log is read, in bytes.
	maxLog = 16 << 20
	// maxJobs is how many failed jobs of one run are looked at.
	maxJobs = 5
	// maxManifest is the largest file of a repository that a plan reads.
	maxManifest = 8 << 20
)

// readContext fetches the code, the repository's settings and the failed job's log.
func (p *FixPipeline) readContext(ctx context.Context, w *work) error {
	f := w.run.Failure
	if f.Provider != github.Provider || !strings.Contains(f.RunURL, "/actions/runs/"+f.RunID) {
		return fault.Permf("no_log", "the log of this %s pipeline can't be read yet, so nobody knows what failed: see %s", f.Provider, f.RunURL)
	}
	dir := filepath.Join(p.Dir, "mirrors", f.Provider+"-"+ci.ShortKey(f.Repository.ID))
	var err error
	if w.mirror, err = p.Git.OpenMirror(ctx, dir, p.Remote(f.Repository.Owner, f.Repository.Name)); err != nil {
		return err
	}
	if err := w.mirror.Fetch(ctx, f.Commit); err != nil {
		return err
	}
	if err := p.readSettings(ctx, w); err != nil {
		return err
	}
	if w.settings.Mode == repoconfig.ModeOff {
		return fault.Permf("mode_off", "the repository's %s says mode: off", repoconfig.Path)
	}
	if w.files, err = w.mirror.Files(ctx, f.Commit); err != nil {
		return err
	}
	return p.readLogs(ctx, w)
}

// readSettings reads the repository's settings from its base branch, never from the failing commit.
func (p *FixPipeline) readSettings(ctx context.Context, w *work) error {
	base, err := p.baseHead(ctx, w)
	if err != nil {
		return err
	}
	if err := w.mirror.Fetch(ctx, base); err != nil {
		return err
	}
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

// baseHead is the commit that settings are read from: the base branch's, or the default branch's where the webhook
// named neither.
func (p *FixPipeline) baseHead(ctx context.Context, w *work) (string, error) {
	if branch := w.run.Failure.BaseBranch; branch != "" {
		return w.mirror.BranchHead(ctx, branch)
	}
	return w.mirror.DefaultHead(ctx)
}

// readLogs finds the failed job that a fixer may help with; when there is none, the first one explains the failure.
func (p *FixPipeline) readLogs(ctx context.Context, w *work) error {
	f := w.run.Failure
	owner, name := f.Repository.Owner, f.Repository.Name
	jobs, err := p.Logs.FailedJobs(ctx, owner, name, f.RunID, f.RunAttempt)
	if err != nil {
		return fmt.Errorf("failed jobs of run %s: %w", f.RunID, err)
	}
	if len(jobs) == 0 {
		return fault.Permf("no_failed_job", "run %s attempt %d lists no failed job", f.RunID, f.RunAttempt)
	}
	for i, job := range jobs[:min(len(jobs), maxJobs)] {
		raw, _, err := p.Logs.Log(ctx, owner, name, job.ID, maxLog)
		if err != nil {
			return fmt.Errorf("log of job %d: %w", job.ID, err)
		}
		report := p.redacted(failure.Explain(raw))
		matches := len(p.matches(w, report)) > 0
		if i == 0 || matches {
			w.job, w.log = job, report
		}
		if matches {
			break
		}
	}
	w.report.Job, w.report.JobURL, w.report.Command = p.Redact.String(w.job.Name), w.job.URL, w.log.Command
	for _, l := range w.log.Excerpt {
		w.report.Excerpt = append(w.report.Excerpt, evidence.Line(l))
	}
	return nil
}

// redacted removes secrets from a report before anything is stored or shown.
func (p *FixPipeline) redacted(r failure.Report) failure.Report {
	for i := range r.Excerpt {
		r.Excerpt[i].Text = p.Redact.String(r.Excerpt[i].Text)
	}
	r.Command, r.Text = p.Redact.String(r.Command), p.Redact.String(r.Text)
	return r
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
	if len(matches) == 0 {
		return fault.Permf(fix.ReasonNoFixer, "no fixer knows this failure; the log's excerpt says what happened")
	}
	w.match, w.others = matches[0], matches[1:]
	w.report.Fixer = w.match.Fixer
	return p.standing(ctx, w)
}

// plan asks the catalogue for scripts. Where the first fixer declines, because the repository needs another version
// of its tool say, the next one that applies is asked; if all decline, the first one's reason stands.
func (p *FixPipeline) plan(ctx context.Context, w *work) error {
	first := p.planFor(ctx, w, w.match)
	if _, permanent := fault.Reason(first); first == nil || !permanent {
		return first
	}
	for _, m := range w.others {
		err := p.planFor(ctx, w, m)
		if _, permanent := fault.Reason(err); err != nil && !permanent {
			return err
		}
		if err == nil {
			w.match, w.report.Fixer = m, m.Fixer
			return nil
		}
	}
	return first
}

// planFor makes the plan of one fixer. It gives the catalogue the bytes of the files that it wants, read from the
// commit's objects.
func (p *FixPipeline) planFor(ctx context.Context, w *work, m fix.Match) error {
	in := fix.Inputs{
		Match: m, Report: w.log, RepositoryID: w.run.Failure.Provider + ":" + w.run.Failure.Repository.ID,
		RepoFiles: w.files, Files: map[string][]byte{}, Tools: p.Tools,
	}
	for _, path := range w.catalogue.Wants(m, w.files) {
		data, exists, err := w.mirror.ReadFile(ctx, w.run.Failure.Commit, path, maxManifest)
		if _, permanent := fault.Reason(err); err != nil && !permanent {
			return err
		}
		if err == nil && exists {
			in.Files[path] = data
		}
	}
	in.Check, _ = w.settings.CheckFor(w.run.Failure.WorkflowName, w.job.Name)
	if in.Check == "" {
		in.Check, _ = w.settings.CheckFor(w.run.Failure.Workflow, w.job.Name)
	}
	plan, err := w.catalogue.Plan(in)
	if err == nil {
		w.fixPlan = plan
	}
	return err
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
	return verdict(policy.Check(planned, w.rules()))
}

func (w *work) rules() policy.Rules { return policy.Default().Forbidding(w.settings.Policy.Forbid...) }

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
