// Package gitlab reads the failed jobs of a GitLab pipeline and their logs, which GitLab calls traces, from the REST API.
//
// Sources: docs.gitlab.com/api/jobs ("List pipeline jobs", "Get a log file"), docs.gitlab.com/api/pipelines,
// docs.gitlab.com/api/rest/authentication (tokens as bearer), docs.gitlab.com/api/rest#pagination (Link headers).
package gitlab

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

const pageSize = 100

// Source is one API to read from.
type Source struct{ api *httpapi.Client }

// New returns a source. The base URL ends in /api/v4.
func New(a joblog.API) *Source { return &Source{api: a.Client(httpapi.Bearer, "application/json")} }

type job struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	Status       string `json:"status"`
	WebURL       string `json:"web_url"`
	AllowFailure bool   `json:"allow_failure"`
}

// FailedJobs lists the failed jobs of the failure's pipeline: of retried jobs the last try, and none that may fail.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	jobs, err := s.jobs(ctx, f.Repository.ID, f.RunID, "failed")
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	return jobs, nil
}

func (s *Source) jobs(ctx context.Context, project, pipeline, status string) ([]joblog.Job, error) {
	path, err := httpapi.Path("projects", project, "pipelines", pipeline, "jobs")
	if err != nil {
		return nil, err
	}
	query := url.Values{"scope[]": {status}, "per_page": {strconv.Itoa(pageSize)}}
	var jobs []joblog.Job
	for page := 1; page <= joblog.MaxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var got []job
		header, err := s.api.Get(ctx, path, query, &got)
		if err != nil {
			return nil, err
		}
		for _, j := range got {
			if j.Status == status && (status != "failed" || !j.AllowFailure) {
				jobs = append(jobs, joblog.Job{ID: strconv.FormatInt(j.ID, 10), Run: pipeline, Name: j.Name, Conclusion: j.Status, URL: j.WebURL})
			}
		}
		if !httpapi.HasNext(header) {
			return jobs, nil
		}
	}
	return nil, fault.Permf("too_many_jobs", "pipeline %s has more than %d pages of jobs", pipeline, joblog.MaxPages)
}

// Log reads a job's trace.
func (s *Source) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	path, err := httpapi.Path("projects", f.Repository.ID, "jobs", job.ID, "trace")
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	return joblog.Read(ctx, s.api, path, nil, limit)
}

// LastGreen finds the job in the latest pipeline that was green on the base branch.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	branch := joblog.Base(f)
	path, err := httpapi.Path("projects", f.Repository.ID, "pipelines")
	if err != nil || branch == "" {
		return joblog.Job{}, false, err
	}
	var got []struct {
		ID int64 `json:"id"`
	}
	query := url.Values{"ref": {branch}, "status": {"success"}, "order_by": {"id"}, "sort": {"desc"}, "per_page": {"1"}}
	if _, err := s.api.Get(ctx, path, query, &got); err != nil || len(got) == 0 {
		return joblog.Job{}, false, err
	}
	jobs, err := s.jobs(ctx, f.Repository.ID, strconv.FormatInt(got[0].ID, 10), "success")
	if err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green pipeline: %w", err)
	}
	green, ok := joblog.Named(jobs, job.Name)
	return green, ok, nil
}
