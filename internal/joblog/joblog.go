// Package joblog reads the failed jobs of a CI run and their logs from GitHub's REST API.
//
// It only reads, its memory does not grow with the size of a log, and the token never follows the redirect
// to the host that stores the logs.
package joblog

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	apiVersion = "2022-11-28"
	pageSize   = 100
	// maxPages bounds a run's jobs; a GitHub matrix makes at most 256 jobs.
	maxPages = 50
)

// Source is one API to read from.
type Source struct{ api *httpapi.Client }

// Job is a job that failed or timed out.
type Job struct {
	ID         int64
	Name       string
	Conclusion string
	URL        string
	// FailedSteps are the names of the steps that failed or timed out, in their order.
	FailedSteps []string
}

// New returns a source. A nil hc means a client with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Source {
	return &Source{api: httpapi.New(httpapi.Options{BaseURL: baseURL, Token: token, Version: apiVersion, HTTP: hc})}
}

type jobsPage struct {
	Jobs []struct {
		ID         int64  `json:"id"`
		Name       string `json:"name"`
		Conclusion string `json:"conclusion"`
		HTMLURL    string `json:"html_url"`
		Steps      []struct {
			Name       string `json:"name"`
			Conclusion string `json:"conclusion"`
		} `json:"steps"`
	} `json:"jobs"`
}

// FailedJobs lists the failed and timed-out jobs of one attempt of a run; attempt 0 means the latest.
func (s *Source) FailedJobs(ctx context.Context, owner, name, runID string, attempt int) ([]Job, error) {
	path, err := httpapi.Path("repos", owner, name, "actions", "runs", runID, "jobs")
	query := url.Values{"per_page": {strconv.Itoa(pageSize)}}
	if attempt > 0 {
		path, err = httpapi.Path("repos", owner, name, "actions", "runs", runID, "attempts", strconv.Itoa(attempt), "jobs")
	} else {
		query.Set("filter", "latest")
	}
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	var jobs []Job
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var got jobsPage
		header, err := s.api.Get(ctx, path, query, &got)
		if err != nil {
			return nil, fmt.Errorf("list failed jobs: %w", err)
		}
		jobs = append(jobs, failedOf(got)...)
		if !httpapi.HasNext(header) && len(got.Jobs) < pageSize {
			return jobs, nil
		}
	}
	return nil, fault.Permf("too_many_jobs", "list failed jobs: run %s has more than %d pages of jobs", runID, maxPages)
}

func failedOf(page jobsPage) []Job {
	var out []Job
	for _, j := range page.Jobs {
		if !failed(j.Conclusion) {
			continue
		}
		job := Job{ID: j.ID, Name: j.Name, Conclusion: j.Conclusion, URL: j.HTMLURL}
		for _, step := range j.Steps {
			if failed(step.Conclusion) {
				job.FailedSteps = append(job.FailedSteps, step.Name)
			}
		}
		out = append(out, job)
	}
	return out
}

func failed(conclusion string) bool { return conclusion == "failure" || conclusion == "timed_out" }
