// Package buildkite reads the failed jobs of a Buildkite build and their logs from the REST API.
//
// Sources: buildkite.com/docs/apis/rest-api/jobs ("List jobs", raw_log_url), buildkite.com/docs/apis/rest-api/builds,
// buildkite.com/docs/apis/rest-api#pagination, buildkite.com/resources/changelog/365 (jobs apart from builds).
package buildkite

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

const pageSize = 100

// Source is one API to read from.
type Source struct{ api *httpapi.Client }

// New returns a source.
func New(a joblog.API) *Source { return &Source{api: a.Client(httpapi.Bearer, "application/json")} }

type job struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Name       string `json:"name"`
	State      string `json:"state"`
	WebURL     string `json:"web_url"`
	SoftFailed bool   `json:"soft_failed"`
}

// pipeline is where builds are: the API knows them by organisation, pipeline and number, which the webhook tells in
// the address of the build's page alone.
type pipeline struct{ organisation, slug string }

func at(f ci.Failure) (p pipeline, build string, err error) {
	u, err := url.Parse(f.RunURL)
	if err != nil {
		return pipeline{}, "", fault.Permf("invalid_name", "the build's address can't be read")
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) != 4 || parts[2] != "builds" {
		return pipeline{}, "", fault.Permf("invalid_name", "the build's address is not organisation/pipeline/builds/number")
	}
	return pipeline{organisation: parts[0], slug: parts[1]}, parts[3], nil
}

func (p pipeline) path(segments ...string) (string, error) {
	return httpapi.Path(append([]string{"v2", "organizations", p.organisation, "pipelines", p.slug, "builds"}, segments...)...)
}

// FailedJobs lists the command jobs of the failure's build that failed or timed out: of retried jobs the last try, and
// none whose failure is a soft one.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	p, build, err := at(f)
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	jobs, err := s.jobs(ctx, p, build, "failed", "timed_out")
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	return jobs, nil
}

func (s *Source) jobs(ctx context.Context, p pipeline, build string, states ...string) ([]joblog.Job, error) {
	path, err := p.path(build, "jobs")
	if err != nil {
		return nil, err
	}
	query := url.Values{"state[]": states, "include_retried_jobs": {"false"}, "per_page": {strconv.Itoa(pageSize)}}
	var jobs []joblog.Job
	for page := 1; page <= joblog.MaxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var got struct {
			Items []job `json:"items"`
		}
		header, err := s.api.Get(ctx, path, query, &got)
		if err != nil {
			return nil, err
		}
		for _, j := range got.Items {
			if j.Type == "script" && !j.SoftFailed {
				jobs = append(jobs, joblog.Job{ID: j.ID, Run: build, Name: j.Name, Conclusion: j.State, URL: j.WebURL})
			}
		}
		if !httpapi.HasNext(header) && len(got.Items) < pageSize {
			return jobs, nil
		}
	}
	return nil, fault.Permf("too_many_jobs", "build %s has more than %d pages of jobs", build, joblog.MaxPages)
}

// Log reads a job's log.
func (s *Source) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	p, _, err := at(f)
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	path, err := p.path(job.Run, "jobs", job.ID, "log.txt")
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	return joblog.Read(ctx, s.api, path, nil, limit)
}

// LastGreen finds the job in the latest build that passed on the base branch.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	branch := joblog.Base(f)
	p, _, err := at(f)
	if err != nil || branch == "" {
		return joblog.Job{}, false, err
	}
	path, err := p.path()
	if err != nil {
		return joblog.Job{}, false, err
	}
	var builds []struct {
		Number int64 `json:"number"`
	}
	query := url.Values{"branch": {branch}, "state": {"passed"}, "exclude_jobs": {"true"}, "per_page": {"1"}}
	if _, err := s.api.Get(ctx, path, query, &builds); err != nil || len(builds) == 0 {
		return joblog.Job{}, false, err
	}
	jobs, err := s.jobs(ctx, p, strconv.FormatInt(builds[0].Number, 10), "passed")
	if err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green build: %w", err)
	}
	green, ok := joblog.Named(jobs, job.Name)
	return green, ok, nil
}
