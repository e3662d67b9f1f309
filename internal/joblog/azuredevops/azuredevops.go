// Package azuredevops reads the failed jobs of an Azure Pipelines build and their logs from the REST API.
//
// Sources: learn.microsoft.com/rest/api/azure/devops/build (timeline/get, builds/get-build-log, builds/list; version
// 6.0, which Azure DevOps Server 2020 has too), and learn.microsoft.com/azure/devops/organizations/accounts/
// use-personal-access-tokens-to-authenticate (a token by basic authentication, with an empty user).
package azuredevops

import (
	"cmp"
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

const (
	version = "6.0"
	// maxParts bounds the logs of steps that are read for one job.
	maxParts = 50
)

// Source is one organisation, or one collection of a server, to read from.
type Source struct{ api *httpapi.Client }

// New returns a source. The base URL ends in the organisation or collection.
func New(a joblog.API) *Source {
	if a.Token != "" {
		a.Token = ":" + a.Token
	}
	return &Source{api: a.Client(httpapi.Basic, "application/json")}
}

// record is one line of a build's timeline: a stage, a job, a step.
type record struct {
	ID       string `json:"id"`
	ParentID string `json:"parentId"`
	Type     string `json:"type"`
	Name     string `json:"name"`
	Result   string `json:"result"`
	Order    int    `json:"order"`
	Log      *struct {
		ID int64 `json:"id"`
	} `json:"log"`
}

func failed(result string) bool    { return result == "failed" }
func succeeded(result string) bool { return result == "succeeded" || result == "succeededWithIssues" }

// FailedJobs lists the failed jobs of the failure's build, which come in one answer.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	records, err := s.timeline(ctx, f, f.RunID)
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	return jobs(records, f, f.RunID, failed), nil
}

func (s *Source) timeline(ctx context.Context, f ci.Failure, build string) ([]record, error) {
	path, err := path(f, "builds", build, "timeline")
	if err != nil {
		return nil, err
	}
	var got struct {
		Records []record `json:"records"`
	}
	_, err = s.api.Get(ctx, path, url.Values{"api-version": {version}}, &got)
	slices.SortStableFunc(got.Records, func(a, b record) int { return cmp.Compare(a.Order, b.Order) })
	return got.Records, err
}

// path begins with the project's id, which the workflow has in front.
func path(f ci.Failure, segments ...string) (string, error) {
	project, _, ok := strings.Cut(f.Workflow, "/")
	if !ok {
		return "", fault.Permf("invalid_name", "the pipeline is not project/definition")
	}
	return httpapi.Path(append([]string{project, "_apis", "build"}, segments...)...)
}

func jobs(records []record, f ci.Failure, build string, wanted func(string) bool) []joblog.Job {
	var out []joblog.Job
	for _, r := range records {
		if r.Type != "Job" || !wanted(r.Result) {
			continue
		}
		job := joblog.Job{ID: r.ID, Run: build, Name: r.Name, Conclusion: r.Result, URL: f.RunURL}
		for _, step := range records {
			if step.ParentID == r.ID && failed(step.Result) {
				job.FailedSteps = append(job.FailedSteps, step.Name)
			}
		}
		out = append(out, job)
	}
	return out
}

// Log reads a job's log, or where the job has none of its own those of its steps, one after the other.
func (s *Source) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, joblog.Timeout)
	defer cancel()
	records, err := s.timeline(ctx, f, job.Run)
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	parts := logsOf(records, job.ID)
	if len(parts) == 0 {
		return nil, false, fault.Permf("not_found", "read job log: the build's timeline names no log of the job")
	}
	ends, err := joblog.NewEnds(limit)
	if err != nil {
		return nil, false, err
	}
	for _, id := range parts {
		if err := s.part(ctx, f, job.Run, id, ends); err != nil {
			return nil, false, fmt.Errorf("read job log: %w", err)
		}
	}
	text, truncated = ends.Text()
	return text, truncated, nil
}

// logsOf are the ids of a job's logs; of more steps than are read, the last.
func logsOf(records []record, job string) []int64 {
	var parts []int64
	for _, r := range records {
		switch {
		case r.Log == nil:
		case r.ID == job:
			return []int64{r.Log.ID}
		case r.ParentID == job:
			parts = append(parts, r.Log.ID)
		}
	}
	return parts[max(0, len(parts)-maxParts):]
}

func (s *Source) part(ctx context.Context, f ci.Failure, build string, id int64, ends *joblog.Ends) error {
	path, err := path(f, "builds", build, "logs", strconv.FormatInt(id, 10))
	if err != nil {
		return err
	}
	body, err := s.api.GetStream(ctx, path, url.Values{"api-version": {version}}, "text/plain")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return ends.Copy(s.api, "GET "+path, body)
}

// LastGreen finds the job in the latest build of the same definition that succeeded on the base branch.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	branch := joblog.Base(f)
	_, definition, _ := strings.Cut(f.Workflow, "/")
	path, err := path(f, "builds")
	if err != nil || branch == "" {
		return joblog.Job{}, false, err
	}
	var got struct {
		Value []struct {
			ID int64 `json:"id"`
		} `json:"value"`
	}
	query := url.Values{
		"definitions": {definition}, "branchName": {"refs/heads/" + branch}, "statusFilter": {"completed"}, "resultFilter": {"succeeded"},
		"queryOrder": {"finishTimeDescending"}, "$top": {"1"}, "api-version": {version},
	}
	if _, err := s.api.Get(ctx, path, query, &got); err != nil || len(got.Value) == 0 {
		return joblog.Job{}, false, err
	}
	build := strconv.FormatInt(got.Value[0].ID, 10)
	records, err := s.timeline(ctx, f, build)
	if err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green build: %w", err)
	}
	green, ok := joblog.Named(jobs(records, f, build, succeeded), job.Name)
	return green, ok, nil
}
