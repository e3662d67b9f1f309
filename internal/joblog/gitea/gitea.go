// Package gitea reads the failed jobs of an Actions run of Gitea (1.25 and later) or Forgejo (16 and later) and their logs
// from the REST API.
//
// Sources: routers/api/v1/repo/action.go and modules/structs/repo_actions.go of go-gitea/gitea (listWorkflowRunJobs,
// downloadActionsRunJobLogs, listWorkflowRuns); for Forgejo the API's own description in /api/swagger of version 16
// (ListActionRunJobs, repoGetActionJobLogs, ListActionRuns), whose list of jobs is an array without pages.
package gitea

import (
	"context"
	"encoding/json"
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

// pageSize is the largest that a server gives unless it is told otherwise (MAX_RESPONSE_ITEMS).
const pageSize = 50

// Source is one API to read from.
type Source struct{ api *httpapi.Client }

// New returns a source. The base URL is the server's own.
func New(a joblog.API) *Source {
	a.BaseURL = strings.TrimRight(a.BaseURL, "/") + "/api/v1"
	return &Source{api: a.Client(httpapi.Token, "application/json")}
}

// job has a status and a conclusion in Gitea, and in Forgejo a status alone.
type job struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
	HTMLURL    string `json:"html_url"`
	Steps      []struct {
		Name       string `json:"name"`
		Conclusion string `json:"conclusion"`
	} `json:"steps"`
}

func (j job) conclusion() string {
	if j.Conclusion != "" {
		return j.Conclusion
	}
	return j.Status
}

// jobsPage is Gitea's object or Forgejo's array.
type jobsPage struct {
	Jobs  []job `json:"jobs"`
	Total int   `json:"total_count"`
}

// UnmarshalJSON reads either.
func (p *jobsPage) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 64)])), "[") {
		err := json.Unmarshal(data, &p.Jobs)
		p.Total = len(p.Jobs)
		return err
	}
	type object jobsPage
	return json.Unmarshal(data, (*object)(p))
}

// FailedJobs lists the failed jobs of the failure's run.
func (s *Source) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	jobs, err := s.jobs(ctx, f, f.RunID, "failure")
	if err != nil {
		return nil, fmt.Errorf("list failed jobs: %w", err)
	}
	return jobs, nil
}

func (s *Source) jobs(ctx context.Context, f ci.Failure, runID, conclusion string) ([]joblog.Job, error) {
	path, err := httpapi.Path("repos", f.Repository.Owner, f.Repository.Name, "actions", "runs", runID, "jobs")
	if err != nil {
		return nil, err
	}
	var jobs []joblog.Job
	seen := 0
	for page := 1; page <= joblog.MaxPages; page++ {
		var got jobsPage
		query := url.Values{"limit": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(page)}}
		if _, err := s.api.Get(ctx, path, query, &got); err != nil {
			return nil, err
		}
		for _, j := range got.Jobs {
			if j.conclusion() == conclusion {
				jobs = append(jobs, j.job(f, runID))
			}
		}
		if seen += len(got.Jobs); seen >= got.Total || len(got.Jobs) == 0 {
			return jobs, nil
		}
	}
	return nil, fault.Permf("too_many_jobs", "run %s has more than %d pages of jobs", runID, joblog.MaxPages)
}

func (j job) job(f ci.Failure, runID string) joblog.Job {
	out := joblog.Job{ID: strconv.FormatInt(j.ID, 10), Run: runID, Name: j.Name, Conclusion: j.conclusion(), URL: j.HTMLURL}
	if out.URL == "" {
		out.URL = f.RunURL
	}
	for _, step := range j.Steps {
		if step.Conclusion == "failure" {
			out.FailedSteps = append(out.FailedSteps, step.Name)
		}
	}
	return out
}

// Log reads a job's log.
func (s *Source) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	path, err := httpapi.Path("repos", f.Repository.Owner, f.Repository.Name, "actions", "jobs", job.ID, "logs")
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	return joblog.Read(ctx, s.api, path, nil, limit)
}

// LastGreen finds the job in the latest run of the same workflow that was green on the base branch, among the newest
// green runs of all workflows: Gitea can't ask for those of one.
func (s *Source) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	branch := joblog.Base(f)
	at, err := httpapi.Path("repos", f.Repository.Owner, f.Repository.Name, "actions", "runs")
	if err != nil || branch == "" {
		return joblog.Job{}, false, err
	}
	var got struct {
		Runs []greenRun `json:"workflow_runs"`
	}
	query := url.Values{"branch": {branch}, "status": {"success"}, "limit": {strconv.Itoa(pageSize)}}
	if _, err := s.api.Get(ctx, at, query, &got); err != nil {
		return joblog.Job{}, false, fmt.Errorf("last green run: %w", err)
	}
	for _, run := range got.Runs {
		if !run.is(branch, f.Workflow) {
			continue
		}
		jobs, err := s.jobs(ctx, f, strconv.FormatInt(run.ID, 10), "success")
		if err != nil {
			return joblog.Job{}, false, fmt.Errorf("last green run: %w", err)
		}
		green, ok := joblog.Named(jobs, job.Name)
		return green, ok, nil
	}
	return joblog.Job{}, false, nil
}

// greenRun has a path, "ci.yml@refs/heads/main", and a branch in Gitea, and in Forgejo a workflow and a pretty ref.
type greenRun struct {
	ID         int64  `json:"id"`
	Path       string `json:"path"`
	HeadBranch string `json:"head_branch"`
	WorkflowID string `json:"workflow_id"`
	PrettyRef  string `json:"prettyref"`
}

func (r greenRun) is(branch, workflow string) bool {
	file, _, _ := strings.Cut(r.Path, "@")
	if r.WorkflowID != "" {
		file = r.WorkflowID
	}
	return path.Base(file) == path.Base(workflow) && (r.HeadBranch == branch || r.PrettyRef == branch)
}
