// Package github reads the failed jobs of a GitHub Actions run and their logs from the REST API.
//
// Sources: docs.github.com/en/rest/actions/workflow-jobs, workflow-runs and workflow-runs#download-workflow-run-attempt-logs.
package github

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

const (
	apiVersion = "2022-11-28"
	pageSize   = 100
)

// Source is one API to read from.
type Source struct{ api *httpapi.Client }

// New returns a source.
func New(a joblog.API) *Source {
	return &Source{api: httpapi.New(httpapi.Options{BaseURL: a.BaseURL, Token: a.Token, Version: apiVersion, HTTP: a.HTTP})}
}

// Readable says whether a failure is one of Actions: checks and statuses of other apps have their logs elsewhere.
func Readable(f ci.Failure) bool { return strings.Contains(f.RunURL, "/actions/runs/"+f.RunID) }

type jobsPage struct {
	Jobs []struct {
		ID         int64  `json:"id"`
		Name       string `json:"name"`
		RunID      int64  `json:"run_id"`
		Attempt    int    `json:"run_attempt"`
		Conclusion string `json:"conclusion"`
		HTMLURL    string `json:"html_url"`
		Steps      []struct {
			Name       string `json:"name"`
			Conclusion string `json:"conclusion"`
		} `json:"steps"`
	} `json:"jobs"`
}

// FailedJobs lists the failed and timed-out jobs of the failure's attempt; attempt 0 means the latest.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	jobs, err := s.jobs(ctx, f.Repository, f.RunID, f.RunAttempt, failed)
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	return jobs, nil
}

func failed(conclusion string) bool    { return conclusion == "failure" || conclusion == "timed_out" }
func succeeded(conclusion string) bool { return conclusion == "success" }

// jobs lists the jobs of a run whose conclusion is wanted.
func (s *Source) jobs(ctx context.Context, repo ci.Repository, runID string, attempt int, wanted func(string) bool) ([]joblog.Job, error) {
	segments := []string{"repos", repo.Owner, repo.Name, "actions", "runs", runID, "jobs"}
	query := url.Values{"per_page": {strconv.Itoa(pageSize)}}
	if attempt > 0 {
		segments = []string{"repos", repo.Owner, repo.Name, "actions", "runs", runID, "attempts", strconv.Itoa(attempt), "jobs"}
	} else {
		query.Set("filter", "latest")
	}
	path, err := httpapi.Path(segments...)
	if err != nil {
		return nil, err
	}
	var jobs []joblog.Job
	for page := 1; page <= joblog.MaxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var got jobsPage
		header, err := s.api.Get(ctx, path, query, &got)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, got.wanted(wanted)...)
		if !httpapi.HasNext(header) && len(got.Jobs) < pageSize {
			return jobs, nil
		}
	}
	return nil, fault.Permf("too_many_jobs", "run %s has more than %d pages of jobs", runID, joblog.MaxPages)
}

func (page jobsPage) wanted(wanted func(string) bool) []joblog.Job {
	var out []joblog.Job
	for _, j := range page.Jobs {
		if !wanted(j.Conclusion) {
			continue
		}
		job := joblog.Job{
			ID: strconv.FormatInt(j.ID, 10), Run: fmt.Sprintf("%d/%d", j.RunID, max(j.Attempt, 1)),
			Name: j.Name, Conclusion: j.Conclusion, URL: j.HTMLURL,
		}
		for _, step := range j.Steps {
			if failed(step.Conclusion) {
				job.FailedSteps = append(job.FailedSteps, step.Name)
			}
		}
		out = append(out, job)
	}
	return out
}

// Log reads a job's log, and where that is gone the job's part of the archive of its whole run.
func (s *Source) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	path, err := httpapi.Path("repos", f.Repository.Owner, f.Repository.Name, "actions", "jobs", job.ID, "logs")
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	text, truncated, err = joblog.Read(ctx, s.api, path, nil, limit)
	if reason, _ := fault.Reason(err); reason == "not_found" || reason == "gone" {
		if text, truncated, aerr := s.archived(ctx, f, job, limit); aerr == nil {
			return text, truncated, nil
		} else if _, permanent := fault.Reason(aerr); !permanent {
			return nil, false, fmt.Errorf("read log archive: %w", aerr)
		}
	}
	return text, truncated, err
}

// LastGreen finds the job in the latest run of the same workflow that was green on the base branch.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	branch, file := joblog.Base(f), path.Base(f.Workflow)
	if branch == "" || !strings.HasPrefix(f.Workflow, ".github/workflows/") {
		return joblog.Job{}, false, nil
	}
	at, err := httpapi.Path("repos", f.Repository.Owner, f.Repository.Name, "actions", "workflows", file, "runs")
	if err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green run: %w", err)
	}
	var got struct {
		Runs []struct {
			ID int64 `json:"id"`
		} `json:"workflow_runs"`
	}
	query := url.Values{"branch": {branch}, "status": {"success"}, "per_page": {"1"}, "exclude_pull_requests": {"true"}}
	if _, err := s.api.Get(ctx, at, query, &got); err != nil || len(got.Runs) == 0 {
		return joblog.Job{}, false, err
	}
	jobs, err := s.jobs(ctx, f.Repository, strconv.FormatInt(got.Runs[0].ID, 10), 0, succeeded)
	if err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green run: %w", err)
	}
	green, ok := joblog.Named(jobs, job.Name)
	return green, ok, nil
}
