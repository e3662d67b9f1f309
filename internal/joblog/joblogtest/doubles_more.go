package joblogtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
)

// CircleCI is CircleCI's API: circleci.com/docs/api/v2 (pages by next_page_token) and v1-reference (steps with the
// address of their output, which is signed and on another host).
func CircleCI() Double {
	return Double{ //nolint:gosec // the token is made up
		Token: "CCIPAT_token", Authorization: basic("CCIPAT_token:"), Paged: true,
		Failure: func(string) ci.Failure {
			return ci.Failure{
				Provider: "circleci", Repository: repository("0000-4711"), BaseBranch: "main", Workflow: "build-and-test",
				RunID: "workflow-100", RunURL: "https://app.circleci.com/pipelines/gh/acme/shop/7/workflows/workflow-100",
			}
		},
		Answer: answerCircleCI,
	}
}

func answerCircleCI(s *Server, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v2/project/gh/acme/shop/pipeline" {
		if r.URL.Query().Get("branch") != "main" {
			s.Violation(w, "pipelines of another branch: %s", r.URL)
			return
		}
		send(w, map[string]any{"items": []any{map[string]any{"id": "red"}, map[string]any{"id": "green"}}, "next_page_token": nil})
		return
	}
	if p, ok := match(r.URL.Path, "/api/v2/pipeline/*/workflow"); ok {
		status := map[string]string{"red": "failed", "green": "success"}[p[0]]
		send(w, map[string]any{"items": []any{
			map[string]any{"id": "other", "name": "nightly", "status": "success"},
			map[string]any{"id": fmt.Sprintf("workflow-%d", greenRun), "name": "build-and-test", "status": status},
		}, "next_page_token": nil})
		return
	}
	if p, ok := match(r.URL.Path, "/api/v2/workflow/*/job"); ok {
		s.circleJobs(w, r, strings.TrimPrefix(p[0], "workflow-"))
		return
	}
	if p, ok := match(r.URL.Path, "/api/v1.1/project/gh/acme/shop/*"); ok {
		s.circleSteps(w, p[0])
		return
	}
	if p, ok := match(r.URL.Path, "/api/private/output/raw/gh/acme/shop/*/*/0/103"); ok {
		job, found := s.World.job(p[0])
		if p[1] == "error" {
			job = Job{}
		}
		s.sendLog(w, r, job, found)
		return
	}
	if p, ok := match(r.URL.Path, foreign+"output/*"); ok {
		// A list of messages; the log proper is the last of them.
		_, _ = io.WriteString(w, `[{"type":"out","time":"2026-11-03T10:20:30Z","message":"#!/bin/bash -eo pipefail\ngo test \u00fc \ud83d\ude00\n"},`+"\n"+`{"message":"`)
		job, _ := s.World.job(p[0])
		text, _ := json.Marshal(job.Log)
		Job{Endless: job.Endless, Log: string(text[1 : len(text)-1])}.write(w)
		_, _ = io.WriteString(w, `","type":"out","truncated":false}]`)
		return
	}
	notFound(w)
}

// circlePrefix is what the output of a step has before the log.
const circlePrefix = "#!/bin/bash -eo pipefail\ngo test ü 😀\n"

// circleJobs gives pages whose token is the number of the first job of the next one.
func (s *Server) circleJobs(w http.ResponseWriter, r *http.Request, run string) {
	all, known := s.World.jobs(run)
	if !known {
		notFound(w)
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("page-token"))
	to := len(all)
	var token any
	if s.World.PerPage > 0 && from+s.World.PerPage < len(all) {
		to = from + s.World.PerPage
		token = strconv.Itoa(to)
	}
	items := []any{}
	for i := from; i < to; i++ {
		items = append(items, map[string]any{
			"id": "uuid", "job_number": idOf(run, i), "name": all[i].Name, "project_slug": "gh/acme/shop", "type": "build",
			"status": map[bool]string{true: "failed", false: "success"}[all[i].Failed],
		})
	}
	if from == 0 {
		items = append(items, map[string]any{"id": "uuid", "name": "hold", "project_slug": "gh/acme/shop", "type": "approval", "status": "success"})
	}
	send(w, map[string]any{"items": items, "next_page_token": token})
}

// circleSteps gives each job a step with the address of its output, and, in jobs whose name says so, none with it.
func (s *Server) circleSteps(w http.ResponseWriter, number string) {
	job, found := s.World.job(number)
	if !found {
		notFound(w)
		return
	}
	action := map[string]any{"index": 0, "step": 103, "status": "failed", "failed": true, "output_url": s.LogURL + foreign + "output/" + number}
	if strings.Contains(job.Name, "without address") {
		delete(action, "output_url")
	}
	send(w, map[string]any{"steps": []any{map[string]any{"name": "test", "actions": []any{action}}}})
}

// Jenkins is Jenkins' remote access API: jenkins.io/doc/book/using/remote-access-api, and Run.doConsoleText of the core.
// Its only job of a run is the build; a world with several jobs is a matrix project.
func Jenkins() Double {
	return Double{ //nolint:gosec // the token is made up
		Token: "sre-agent:11e0token", Authorization: basic("sre-agent:11e0token"),
		Failure: func(url string) ci.Failure {
			return ci.Failure{
				Provider: "jenkins", Repository: repository("github.com/acme/shop"), Workflow: "job/acme/job/shop%2Fx", WorkflowName: "shop",
				RunID: strconv.Itoa(failedRun), RunURL: url + "/job/acme/job/shop%252Fx/100/",
			}
		},
		Answer: func(s *Server, w http.ResponseWriter, r *http.Request) {
			const job = "/job/acme/job/shop%2Fx/"
			path := r.URL.EscapedPath()
			if p, ok := match(path, job+"*/api/json"); ok {
				s.jenkinsBuild(w, r, p[0])
				return
			}
			if p, ok := match(path, job+"*/*/consoleText"); ok { // an axis
				jobs, _ := s.World.jobs(p[1])
				for _, j := range jobs {
					if "JOB="+j.Name == p[0] || "JOB%3D"+j.Name == p[0] {
						s.sendLog(w, r, j, true)
						return
					}
				}
			}
			if p, ok := match(path, job+"*/consoleText"); ok {
				jobs, known := s.World.jobs(p[0])
				if known && len(jobs) == 1 {
					s.sendLog(w, r, jobs[0], true)
					return
				}
			}
			notFound(w)
		},
	}
}

func (s *Server) jenkinsBuild(w http.ResponseWriter, r *http.Request, build string) {
	if r.URL.Query().Get("tree") == "" {
		s.Violation(w, "the whole of a build was asked for, without a tree")
		return
	}
	if build == "lastStableBuild" {
		build = strconv.Itoa(greenRun)
	}
	jobs, known := s.World.jobs(build)
	if !known {
		notFound(w)
		return
	}
	word := map[bool]string{true: "FAILURE", false: "SUCCESS"}
	number, _ := strconv.Atoi(build)
	answer := map[string]any{"number": number, "url": s.URL + "/job/acme/job/shop%2Fx/" + build + "/"}
	result := false
	runs := []any{}
	for _, j := range jobs {
		result = result || j.Failed
		if len(jobs) > 1 {
			runs = append(runs, map[string]any{"number": number, "result": word[j.Failed], "url": fmt.Sprintf("%s/job/acme/job/shop%%2Fx/JOB=%s/%s/", s.URL, j.Name, build)})
		}
	}
	answer["result"], answer["runs"] = word[result], runs
	send(w, answer)
}

// AzureDevOps is Azure DevOps' REST API: learn.microsoft.com/rest/api/azure/devops/build, version 6.0. Every request
// has to name a version.
func AzureDevOps() Double {
	return Double{
		Token: "azure-token", Authorization: basic(":azure-token"), Base: "/acme",
		Failure: func(url string) ci.Failure {
			return ci.Failure{
				Provider: "azure-devops", Repository: repository("github.com/acme/shop"), BaseBranch: "main", Workflow: "project-4711/31",
				RunID: strconv.Itoa(failedRun), RunURL: url + "/acme/project-4711/_apis/build/Builds/100",
			}
		},
		Answer: func(s *Server, w http.ResponseWriter, r *http.Request) {
			const builds = "/acme/project-4711/_apis/build/builds"
			q := r.URL.Query()
			if q.Get("api-version") == "" {
				s.Violation(w, "%s without an api-version", r.URL)
				return
			}
			if r.URL.Path == builds {
				if q.Get("definitions") != "31" || q.Get("branchName") != "refs/heads/main" || q.Get("resultFilter") != "succeeded" {
					s.Violation(w, "builds of another kind: %s", r.URL)
					return
				}
				send(w, map[string]any{"count": 1, "value": []any{map[string]any{"id": greenRun, "result": "succeeded"}}})
				return
			}
			if p, ok := match(r.URL.Path, builds+"/*/logs/*"); ok {
				job, found := s.World.job(p[1])
				s.sendLog(w, r, job, found)
				return
			}
			p, ok := match(r.URL.Path, builds+"/*/timeline")
			all, known := []Job(nil), false
			if ok {
				all, known = s.World.jobs(p[0])
			}
			if !known {
				notFound(w)
				return
			}
			send(w, map[string]any{"records": timeline(p[0], all)})
		},
	}
}

// timeline has jobs in the wrong order, as Azure DevOps gives them, and in every second job the log at its step.
func timeline(run string, all []Job) []any {
	word := map[bool]string{true: "failed", false: "succeeded"}
	records := []any{map[string]any{"id": "stage", "type": "Stage", "name": "__default", "result": "failed", "order": 1}}
	for i := len(all) - 1; i >= 0; i-- {
		id := fmt.Sprintf("job-%d", i)
		job := map[string]any{"id": id, "parentId": "stage", "type": "Job", "name": all[i].Name, "result": word[all[i].Failed], "order": i + 1}
		step := map[string]any{"id": id + "-step", "parentId": id, "type": "Task", "name": "go test", "result": word[all[i].Failed], "order": 1}
		log := map[string]any{"id": idOf(run, i), "type": "Container"}
		if i%2 == 0 {
			job["log"] = log
		} else {
			step["log"] = log
		}
		records = append(records, job, step)
	}
	return records
}
