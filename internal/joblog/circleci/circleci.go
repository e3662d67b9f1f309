// Package circleci reads the failed jobs of a CircleCI workflow and what their steps put out.
//
// Sources: circleci.com/docs/api/v2 (workflow/{id}/job, project/{slug}/pipeline, pipeline/{id}/workflow, all in pages
// with next_page_token), circleci.com/docs/api/v1-reference (project/{slug}/{number}, whose steps have the output),
// circleci.com/docs/guides/toolkit/api-developers-guide (a token is also the user of basic authentication). The output
// of an action is at its output_url, or where it has none at api/private/output/raw, which CircleCI's own tool reads
// (CircleCI-Public/mcp-server-circleci, src/clients/circleci-private/jobsPrivate.ts).
package circleci

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
)

// maxPipelines is how many pipelines of the base branch are looked at for a green workflow.
const maxPipelines = 5

// Source is one API to read from.
type Source struct{ api *httpapi.Client }

// New returns a source. The base URL is the server's own.
func New(a joblog.API) *Source {
	if a.Token != "" {
		a.Token += ":"
	}
	return &Source{api: a.Client(httpapi.Basic, "application/json")}
}

type job struct {
	Number  int64  `json:"job_number"`
	Name    string `json:"name"`
	Status  string `json:"status"`
	Project string `json:"project_slug"`
}

func failed(status string) bool    { return status == "failed" || status == "timedout" }
func succeeded(status string) bool { return status == "success" }

// FailedJobs lists the failed and timed-out jobs of the failure's workflow.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	jobs, err := s.jobs(ctx, f, f.RunID, failed)
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	return jobs, nil
}

func (s *Source) jobs(ctx context.Context, f ci.Failure, workflow string, wanted func(string) bool) ([]joblog.Job, error) {
	path, err := httpapi.Path("api", "v2", "workflow", workflow, "job")
	if err != nil {
		return nil, err
	}
	var jobs []joblog.Job
	query := url.Values{}
	for range joblog.MaxPages {
		var got struct {
			Items []job  `json:"items"`
			Next  string `json:"next_page_token"`
		}
		if _, err := s.api.Get(ctx, path, query, &got); err != nil {
			return nil, err
		}
		for _, j := range got.Items {
			// What has no number did not run: an approval, or a job that was not started.
			if j.Number > 0 && wanted(j.Status) {
				jobs = append(jobs, joblog.Job{ID: strconv.FormatInt(j.Number, 10), Run: j.Project, Name: j.Name, Conclusion: j.Status, URL: f.RunURL})
			}
		}
		if got.Next == "" {
			return jobs, nil
		}
		query.Set("page-token", got.Next)
	}
	return nil, fault.Permf("too_many_jobs", "workflow %s has more than %d pages of jobs", workflow, joblog.MaxPages)
}

// LastGreen finds the job in the latest workflow of the same name that was green on the base branch, in one of the
// latest pipelines.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	branch := joblog.Base(f)
	path, err := project("v2", job.Run, "pipeline")
	if err != nil || branch == "" {
		return joblog.Job{}, false, err
	}
	var pipelines struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if _, err := s.api.Get(ctx, path, url.Values{"branch": {branch}}, &pipelines); err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green workflow: %w", err)
	}
	for _, p := range pipelines.Items[:min(len(pipelines.Items), maxPipelines)] {
		workflow, err := s.greenWorkflow(ctx, p.ID, f.Workflow)
		if err != nil {
			return joblog.Job{}, false, fmt.Errorf("last green workflow: %w", err)
		}
		if workflow == "" {
			continue
		}
		jobs, err := s.jobs(ctx, f, workflow, succeeded)
		if err != nil {
			return joblog.Job{}, false, fmt.Errorf("last green workflow: %w", err)
		}
		green, ok := joblog.Named(jobs, job.Name)
		return green, ok, nil
	}
	return joblog.Job{}, false, nil
}

func (s *Source) greenWorkflow(ctx context.Context, pipeline, name string) (string, error) {
	path, err := httpapi.Path("api", "v2", "pipeline", pipeline, "workflow")
	if err != nil {
		return "", err
	}
	var got struct {
		Items []struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Status string `json:"status"`
		} `json:"items"`
	}
	if _, err := s.api.Get(ctx, path, nil, &got); err != nil {
		return "", err
	}
	for _, w := range got.Items {
		if w.Name == name && w.Status == "success" {
			return w.ID, nil
		}
	}
	return "", nil
}

// project makes a path below a project, whose slug has three parts: "gh/owner/name" or "circleci/id/id".
func project(version, slug string, segments ...string) (string, error) {
	parts := strings.Split(slug, "/")
	if len(parts) != 3 {
		return "", fault.Permf("invalid_name", "the project's slug is not of three parts")
	}
	return httpapi.Path(slices.Concat([]string{"api", version, "project"}, parts, segments)...)
}
