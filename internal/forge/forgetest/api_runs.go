package forgetest

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
)

// Run is a completed run of a workflow, as the list of a workflow's runs has it.
type Run struct {
	ID int64
	// Workflow is the path of the workflow's file.
	Workflow string
	Branch   string
	// Conclusion is "" while it runs.
	Conclusion string
	Commit     string
	// Attempt is 1 when it is 0.
	Attempt int
}

// AddRun adds a run; its jobs are added apart.
func (s *Server) AddRun(owner, name string, r Run) error {
	return s.withRepo(owner, name, func(re *repo) error {
		re.runs = append(re.runs, r)
		return nil
	})
}

// AddArchive adds the log archive of one attempt of a run.
func (s *Server) AddArchive(owner, name string, runID int64, attempt int, archive []byte) error {
	return s.withRepo(owner, name, func(re *repo) error {
		if re.archives == nil {
			re.archives = map[string][]byte{}
		}
		re.archives[fmt.Sprintf("%d/archive/%d/%d", re.ID, runID, attempt)] = archive
		return nil
	})
}

// listRuns lists the runs of a workflow, named by its file, from the newest on.
func (s *Server) listRuns(re *repo, r *http.Request, workflow string) reply {
	q := r.URL.Query()
	found := []any{}
	for _, run := range slices.Backward(re.runs) {
		if path.Base(run.Workflow) != workflow || q.Get("branch") != "" && q.Get("branch") != run.Branch || q.Get("status") != "" && q.Get("status") != run.Conclusion {
			continue
		}
		found = append(found, map[string]any{
			"id": run.ID, "head_branch": run.Branch, "path": run.Workflow, "status": "completed", "conclusion": run.Conclusion, "event": "push",
		})
	}
	items, header := page(s, r, found)
	return reply{status: http.StatusOK, header: header, body: map[string]any{"total_count": len(found), "workflow_runs": items}}
}

// FinishRun ends a run that goes on.
func (s *Server) FinishRun(owner, name string, runID int64, conclusion string) error {
	return s.withRepo(owner, name, func(re *repo) error {
		run := re.run(strconv.FormatInt(runID, 10))
		if run == nil || run.Conclusion != "" {
			return fmt.Errorf("finish run %d: no such run goes on", runID)
		}
		run.Conclusion = conclusion
		return nil
	})
}

func (re *repo) run(id string) *Run {
	for i := range re.runs {
		if strconv.FormatInt(re.runs[i].ID, 10) == id {
			return &re.runs[i]
		}
	}
	return nil
}

func (s *Server) getRun(re *repo, id string) reply {
	run := re.run(id)
	if run == nil {
		return message(http.StatusNotFound, "Not Found")
	}
	body := map[string]any{
		"id": run.ID, "head_branch": run.Branch, "head_sha": run.Commit, "path": run.Workflow, "event": "push", "run_attempt": max(run.Attempt, 1),
		"status": "completed", "conclusion": run.Conclusion,
	}
	if run.Conclusion == "" {
		body["status"], body["conclusion"] = "in_progress", nil
	}
	return reply{status: http.StatusOK, body: body}
}

// rerunFailed begins another attempt of a run that has ended with failed jobs.
func (s *Server) rerunFailed(re *repo, id string) reply {
	run := re.run(id)
	switch {
	case run == nil:
		return message(http.StatusNotFound, "Not Found")
	case run.Conclusion == "":
		return message(http.StatusForbidden, "This workflow is already running")
	case run.Conclusion == "success":
		return message(http.StatusForbidden, "This workflow run cannot be retried: it has no failed jobs")
	}
	run.Attempt, run.Conclusion = max(run.Attempt, 1)+1, ""
	return reply{status: http.StatusCreated, body: map[string]any{}}
}

func (s *Server) redirectToArchive(re *repo, run, attempt string) reply {
	name := fmt.Sprintf("%d/archive/%s/%s", re.ID, run, attempt)
	if re.archives[name] == nil {
		return message(http.StatusNotFound, "Not Found")
	}
	to := fmt.Sprintf("%s/logs/%s?sig=signed-for-one-minute", s.logURL, name)
	return reply{status: http.StatusFound, header: http.Header{"Location": {to}}}
}

func (s *Server) archive(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, re := range s.repos {
		if archive := re.archives[name]; archive != nil {
			return archive, true
		}
	}
	return nil, false
}
