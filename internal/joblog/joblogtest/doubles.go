package joblogtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
)

func send(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func basic(userPassword string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userPassword))
}

func notFound(w http.ResponseWriter) {
	http.Error(w, `{"message": "404 Not Found"}`, http.StatusNotFound)
}

// sendLog sends a log as text to who asks for text; JSON around it is what an API gives to others.
func (s *Server) sendLog(w http.ResponseWriter, r *http.Request, job Job, found bool) {
	switch {
	case !found:
		notFound(w)
	case r.Header.Get("Accept") != "text/plain":
		s.Violation(w, "%s was asked for without Accept: text/plain", r.URL.Path)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		job.write(w)
	}
}

func repository(id string) ci.Repository {
	return ci.Repository{ID: id, Owner: "acme", Name: "shop", DefaultBranch: "main"}
}

// match binds a path to a pattern of segments, of which "*" is any one.
func match(path, pattern string) ([]string, bool) {
	have, want := strings.Split(path, "/"), strings.Split(pattern, "/")
	if len(have) != len(want) {
		return nil, false
	}
	var bound []string
	for i := range want {
		if want[i] == "*" {
			bound = append(bound, have[i])
		} else if want[i] != have[i] {
			return nil, false
		}
	}
	return bound, true
}

// GitHub is GitHub's REST API: docs.github.com/en/rest/actions/workflow-jobs and workflow-runs.
func GitHub() Double {
	word := map[bool]string{true: "failure", false: "success"}
	return Double{
		Token: "ghp_token", Authorization: "Bearer ghp_token", Paged: true,
		Failure: func(url string) ci.Failure {
			return ci.Failure{
				Provider: "github", Repository: repository("1"), BaseBranch: "main", Workflow: ".github/workflows/ci.yml",
				RunID: strconv.Itoa(failedRun), RunAttempt: 1, RunURL: fmt.Sprintf("%s/acme/shop/actions/runs/%d", url, failedRun),
			}
		},
		Answer: func(s *Server, w http.ResponseWriter, r *http.Request) {
			if p, ok := match(r.URL.Path, "/repos/acme/shop/actions/workflows/*/runs"); ok {
				if q := r.URL.Query(); p[0] != "ci.yml" || q.Get("branch") != "main" || q.Get("status") != "success" {
					s.Violation(w, "runs of another kind: %s", r.URL)
					return
				}
				send(w, map[string]any{"total_count": 1, "workflow_runs": []any{map[string]any{"id": greenRun}}})
				return
			}
			if p, ok := match(r.URL.Path, "/repos/acme/shop/actions/jobs/*/logs"); ok {
				if _, found := s.World.job(p[0]); !found {
					notFound(w)
					return
				}
				// The answer is a redirect to another host, whose address is signed.
				http.Redirect(w, r, s.LogURL+foreign+"logs/"+p[0]+"?sig=x", http.StatusFound)
				return
			}
			if p, ok := match(r.URL.Path, foreign+"logs/*"); ok {
				job, found := s.World.job(p[0])
				s.sendLog(w, r, job, found)
				return
			}
			p, ok := match(r.URL.Path, "/repos/acme/shop/actions/runs/*/jobs")
			if !ok {
				p, ok = match(r.URL.Path, "/repos/acme/shop/actions/runs/*/attempts/1/jobs")
			}
			if !ok {
				notFound(w)
				return
			}
			all, ok := s.World.jobs(p[0])
			if !ok {
				notFound(w)
				return
			}
			from, to, more := s.World.cut(r, "per_page", len(all))
			if more {
				next(w, r)
			}
			jobs := []any{}
			run, _ := strconv.Atoi(p[0])
			for i := from; i < to; i++ {
				jobs = append(jobs, map[string]any{
					"id": idOf(p[0], i), "run_id": run, "run_attempt": 1, "name": all[i].Name, "status": "completed",
					"conclusion": word[all[i].Failed], "steps": []any{map[string]any{"name": "go test", "conclusion": word[all[i].Failed]}},
				})
			}
			send(w, map[string]any{"total_count": len(all), "jobs": jobs})
		},
	}
}

// GitLab is GitLab's REST API: docs.gitlab.com/api/jobs, docs.gitlab.com/api/pipelines.
func GitLab() Double {
	word := map[bool]string{true: "failed", false: "success"}
	return Double{
		Token: "glpat-token", Authorization: "Bearer glpat-token", Base: "/api/v4", Paged: true,
		Failure: func(url string) ci.Failure {
			return ci.Failure{
				Provider: "gitlab", Repository: repository("4711"), BaseBranch: "main", Workflow: "gitlab-ci",
				RunID: strconv.Itoa(failedRun), RunAttempt: 1, RunURL: url + "/acme/shop/-/pipelines/100",
			}
		},
		Answer: func(s *Server, w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if _, ok := match(r.URL.Path, "/api/v4/projects/4711/pipelines"); ok {
				if q.Get("ref") != "main" || q.Get("status") != "success" {
					s.Violation(w, "pipelines of another kind: %s", r.URL)
					return
				}
				send(w, []any{map[string]any{"id": greenRun, "status": "success", "ref": "main"}})
				return
			}
			if p, ok := match(r.URL.Path, "/api/v4/projects/4711/jobs/*/trace"); ok {
				job, found := s.World.job(p[0])
				s.sendLog(w, r, job, found)
				return
			}
			p, ok := match(r.URL.Path, "/api/v4/projects/4711/pipelines/*/jobs")
			all, known := []Job(nil), false
			if ok {
				all, known = s.World.jobs(p[0])
			}
			if !known {
				notFound(w)
				return
			}
			// scope[] keeps what has one of the statuses, before pages are cut.
			jobs := []any{}
			for i, j := range all {
				if scope := q.Get("scope[]"); scope == "" || scope == word[j.Failed] {
					jobs = append(jobs, map[string]any{"id": idOf(p[0], i), "name": j.Name, "status": word[j.Failed], "allow_failure": false})
				}
			}
			from, to, more := s.World.cut(r, "per_page", len(jobs))
			if more {
				next(w, r)
			}
			send(w, jobs[from:to])
		},
	}
}

// Buildkite is Buildkite's REST API: buildkite.com/docs/apis/rest-api/jobs and builds.
func Buildkite() Double {
	word := map[bool]string{true: "failed", false: "passed"}
	return Double{
		Token: "bkua_token", Authorization: "Bearer bkua_token", Paged: true,
		Failure: func(string) ci.Failure {
			return ci.Failure{
				Provider: "buildkite", Repository: repository("github.com/acme/shop"), BaseBranch: "main", Workflow: "0000-4711",
				WorkflowName: "shop", RunID: "uuid-of-100", RunURL: "https://buildkite.com/acme/shop/builds/100",
			}
		},
		Answer: func(s *Server, w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			const builds = "/v2/organizations/acme/pipelines/shop/builds"
			if r.URL.Path == builds {
				if q.Get("branch") != "main" || q.Get("state") != "passed" {
					s.Violation(w, "builds of another kind: %s", r.URL)
					return
				}
				send(w, []any{map[string]any{"number": greenRun, "state": "passed"}})
				return
			}
			if p, ok := match(r.URL.Path, builds+"/*/jobs/*/log.txt"); ok {
				job, found := s.World.job(strings.TrimPrefix(p[1], "job-"))
				s.sendLog(w, r, job, found)
				return
			}
			p, ok := match(r.URL.Path, builds+"/*/jobs")
			all, known := []Job(nil), false
			if ok {
				all, known = s.World.jobs(p[0])
			}
			if !known {
				notFound(w)
				return
			}
			items := []any{}
			for i, j := range all {
				for _, state := range q["state[]"] {
					if state == word[j.Failed] {
						items = append(items, map[string]any{"id": fmt.Sprintf("job-%d", idOf(p[0], i)), "type": "script", "name": j.Name, "state": state})
					}
				}
			}
			from, to, more := s.World.cut(r, "per_page", len(items))
			if more {
				next(w, r)
			}
			send(w, map[string]any{"items": items[from:to]})
		},
	}
}

// Gitea is Gitea's REST API: routers/api/v1/repo/action.go of go-gitea/gitea, version 1.25.
func Gitea() Double {
	d := actions("gitea", ".gitea/workflows/ci.yml")
	d.Paged = true
	d.Answer = func(s *Server, w http.ResponseWriter, r *http.Request) {
		s.answerActions(w, r, func(run string, all []Job) any {
			from, to, _ := s.World.cut(r, "limit", len(all))
			jobs := []any{}
			for i := from; i < to; i++ {
				jobs = append(jobs, map[string]any{
					"id": idOf(run, i), "name": all[i].Name, "status": "completed", "conclusion": map[bool]string{true: "failure", false: "success"}[all[i].Failed],
				})
			}
			return map[string]any{"total_count": len(all), "jobs": jobs}
		}, map[string]any{"id": greenRun, "path": "ci.yml@refs/heads/main", "head_branch": "main", "conclusion": "success"})
	}
	return d
}

// Forgejo is Forgejo's REST API, version 16: a run's jobs are an array without pages, and have a status alone.
func Forgejo() Double {
	d := actions("forgejo", "ci.yml")
	d.Answer = func(s *Server, w http.ResponseWriter, r *http.Request) {
		s.answerActions(w, r, func(run string, all []Job) any {
			jobs := []any{}
			for i, j := range all {
				jobs = append(jobs, map[string]any{"id": idOf(run, i), "run_id": run, "attempt": 1, "name": j.Name, "status": map[bool]string{true: "failure", false: "success"}[j.Failed]})
			}
			return jobs
		}, map[string]any{"id": greenRun, "workflow_id": "ci.yml", "prettyref": "main", "status": "success"})
	}
	return d
}

// actions is what Gitea and Forgejo have in common; both document "Authorization: token TOKEN".
func actions(provider, workflow string) Double {
	return Double{
		Token: "t0ken", Authorization: "token t0ken",
		Failure: func(url string) ci.Failure {
			return ci.Failure{
				Provider: provider, Repository: repository("4711"), BaseBranch: "main", Workflow: workflow,
				RunID: strconv.Itoa(failedRun), RunAttempt: 1, RunURL: url + "/acme/shop/actions/runs/100",
			}
		},
	}
}

func (s *Server) answerActions(w http.ResponseWriter, r *http.Request, jobs func(run string, all []Job) any, green map[string]any) {
	const at = "/api/v1/repos/acme/shop/actions"
	if r.URL.Path == at+"/runs" {
		if q := r.URL.Query(); q.Get("branch") != "main" || q.Get("status") != "success" {
			s.Violation(w, "runs of another kind: %s", r.URL)
			return
		}
		other := map[string]any{"id": 95, "path": "docs.yml@refs/heads/main", "workflow_id": "docs.yml", "head_branch": "main", "prettyref": "main"}
		send(w, map[string]any{"total_count": 2, "workflow_runs": []any{other, green}})
		return
	}
	if p, ok := match(r.URL.Path, at+"/jobs/*/logs"); ok {
		job, found := s.World.job(p[0])
		s.sendLog(w, r, job, found)
		return
	}
	if p, ok := match(r.URL.Path, at+"/runs/*/jobs"); ok {
		if all, known := s.World.jobs(p[0]); known {
			send(w, jobs(p[0], all))
			return
		}
	}
	notFound(w)
}
