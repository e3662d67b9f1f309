package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/green"
)

// Logs reads the logs of a failed CI run.
type Logs interface {
	// Readable says with a named reason why they can't be read.
	Readable(f ci.Failure) error
	FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error)
	Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) ([]byte, bool, error)
	LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error)
}

// Greens keeps the last green log of each job.
type Greens interface {
	Get(k green.Key) (green.Entry, bool)
	Put(k green.Key, e green.Entry) error
}

// readLogs finds the failed job that a fixer may help with; when there is none, the first one explains the failure.
func (p *FixPipeline) readLogs(ctx context.Context, w *work) error {
	f := w.run.Failure
	jobs, err := p.Logs.FailedJobs(ctx, f)
	if err != nil {
		return fmt.Errorf("failed jobs of run %s: %w", f.RunID, err)
	}
	if len(jobs) == 0 {
		return fault.Permf("no_failed_job", "run %s attempt %d lists no failed job", f.RunID, f.RunAttempt)
	}
	var chosen []byte
	for i, job := range jobs[:min(len(jobs), maxJobs)] {
		raw, _, err := p.Logs.Log(ctx, f, job, maxLog)
		if err != nil {
			return fmt.Errorf("log of job %s: %w", job.ID, err)
		}
		report, err := p.explain(raw, nil)
		if err != nil {
			return fmt.Errorf("read the log of job %s: %w", job.ID, err)
		}
		matches := len(p.matches(w, report)) > 0
		if i == 0 || matches {
			w.job, w.alone, chosen = job, report, raw
		}
		if matches {
			break
		}
	}
	if w.log, err = p.explain(chosen, p.lastGreen(ctx, f, w.job)); err != nil {
		return fmt.Errorf("read the log of job %s: %w", w.job.ID, err)
	}
	p.noteLog(w)
	return nil
}

// explain reads a log, with the green one that it is compared to where there is one.
func (p *FixPipeline) explain(log, passing []byte) (failure.Report, error) {
	var green io.Reader
	if len(passing) > 0 {
		green = bytes.NewReader(passing)
	}
	return failure.ReadClean(bytes.NewReader(log), green, p.Redact.String)
}

// maxDiagnostics is how many of a failure's diagnostics are kept as evidence.
const maxDiagnostics = 50

// noteLog puts what the log says into the evidence.
func (p *FixPipeline) noteLog(w *work) {
	e := &w.report
	e.Job, e.JobURL, e.Command = p.Redact.String(w.job.Name), w.job.URL, w.log.Command
	e.Class, e.Confidence = string(w.log.Class), w.log.Confidence
	if w.log.Evidence != nil {
		e.ClassLine = &evidence.Line{Number: w.log.Evidence.Number, Text: w.log.Evidence.Text}
	}
	for _, l := range w.log.Excerpt {
		e.Excerpt = append(e.Excerpt, evidence.Line(l))
	}
	for _, d := range w.log.Diagnostics[:min(len(w.log.Diagnostics), maxDiagnostics)] {
		e.Diagnostics = append(e.Diagnostics, evidence.Diagnostic(d))
	}
}

// lastGreen is the last green log of the same job, or nil. It helps to see what is new in a failure and is never needed:
// whatever goes wrong, the log that is kept has to do.
func (p *FixPipeline) lastGreen(ctx context.Context, f ci.Failure, job joblog.Job) []byte {
	key := green.Key{Provider: f.Provider, RepositoryID: f.Repository.ID, Workflow: f.Workflow, Job: job.Name}
	kept, _ := p.Greens.Get(key)
	last, found, err := p.Logs.LastGreen(ctx, f, job)
	if err == nil && found && (last.ID != kept.Job.ID || last.Run != kept.Job.Run) {
		var raw []byte
		if raw, _, err = p.Logs.Log(ctx, f, last, maxGreenLog); err == nil {
			kept = green.Entry{Job: last, Text: []byte(p.Redact.String(string(raw)))}
			err = p.Greens.Put(key, kept)
		}
	}
	if err != nil {
		p.Log.InfoContext(ctx, "no newer green log", "repository", f.Repository.FullName(), "job", p.Redact.String(job.Name), "error", p.detail(err))
	}
	return kept.Text
}
