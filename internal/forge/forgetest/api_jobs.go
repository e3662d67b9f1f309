package forgetest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Job is a job of a CI run.
type Job struct {
	// ID is assigned when it is 0.
	ID         int64
	Name       string
	Conclusion string
	Steps      []Step
	// LogGone makes the job's own log unknown; the run's archive may still have it.
	LogGone bool
}

// Step is a step of a job.
type Step struct{ Name, Conclusion string }

type job struct {
	Job
	runID   int64
	attempt int
	log     string
	added   time.Time
}

// AddJob adds a completed job, with its log, to one attempt of a run, and returns its id.
func (s *Server) AddJob(owner, name string, runID int64, attempt int, j Job, logText string) (int64, error) {
	err := s.withRepo(owner, name, func(re *repo) error {
		if attempt < 1 {
			return errors.New("add job: attempts count from 1")
		}
		if j.ID == 0 {
			s.nextID++
			j.ID = s.nextID
		}
		re.jobs = append(re.jobs, job{Job: j, runID: runID, attempt: attempt, log: logText, added: s.opts.Now()})
		return nil
	})
	return j.ID, err
}

// listJobs lists one attempt of a run; "" means the latest, or with filter=all every one.
func (s *Server) listJobs(re *repo, r *http.Request, run, attempt string) reply {
	runID, _ := strconv.ParseInt(run, 10, 64)
	latest := 0
	for _, j := range re.jobs {
		if j.runID == runID {
			latest = max(latest, j.attempt)
		}
	}
	if latest == 0 || number(attempt, latest) > latest {
		return message(http.StatusNotFound, "Not Found")
	}
	var found []any
	for _, j := range re.jobs {
		all := attempt == "" && r.URL.Query().Get("filter") == "all"
		if j.runID == runID && (all || j.attempt == number(attempt, latest)) {
			found = append(found, s.jobJSON(re, j))
		}
	}
	items, header := page(s, r, found)
	return reply{status: http.StatusOK, header: header, body: map[string]any{"total_count": len(found), "jobs": items}}
}

func (s *Server) jobJSON(re *repo, j job) map[string]any {
	steps := []any{}
	for i, st := range j.Steps {
		steps = append(steps, map[string]any{
			"name": st.Name, "status": "completed", "conclusion": st.Conclusion, "number": i + 1,
		})
	}
	return map[string]any{
		"id": j.ID, "run_id": j.runID, "run_attempt": j.attempt, "name": j.Name, "status": "completed",
		"conclusion": j.Conclusion, "html_url": fmt.Sprintf("%s/actions/runs/%d/job/%d", re.WebURL, j.runID, j.ID),
		"started_at": j.added, "completed_at": j.added, "created_at": j.added, "steps": steps,
	}
}

func (s *Server) redirectToLog(re *repo, jobID string) reply {
	for _, j := range re.jobs {
		if strconv.FormatInt(j.ID, 10) == jobID && !j.LogGone {
			// GitHub's address carries a signature that is good for a minute.
			to := fmt.Sprintf("%s/logs/%d/%d?sig=signed-for-one-minute", s.logURL, re.ID, j.ID)
			return reply{status: http.StatusFound, header: http.Header{"Location": {to}}}
		}
	}
	return message(http.StatusNotFound, "Not Found")
}

// serveLogFile is the other host. Like GitHub's, it refuses a request that brings credentials.
func (s *Server) serveLogFile(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		if r.Header.Get(name) != "" {
			s.violation("the log host was sent the header %s", name)
			http.Error(w, "InvalidAuthenticationInfo", http.StatusBadRequest)
			return
		}
	}
	if archive, ok := s.archive(strings.TrimPrefix(r.URL.Path, "/logs/")); ok {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(archive)
		return
	}
	text, ok := s.logText(strings.TrimPrefix(r.URL.Path, "/logs/"))
	if !ok || r.URL.Query().Get("sig") == "" {
		http.Error(w, "AuthenticationFailed", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text))
}

func (s *Server) logText(name string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, re := range s.repos {
		for _, j := range re.jobs {
			if fmt.Sprintf("%d/%d", re.ID, j.ID) == name {
				return j.log, true
			}
		}
	}
	return "", false
}
