package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	maxAPIBody = 1 << 20
	docs       = "https://docs.github.com/rest"
)

// reply is an answer of the API before it is completed and checked.
type reply struct {
	status int
	header http.Header
	body   any
}

func message(status int, text string) reply {
	return reply{status: status, body: map[string]any{
		"message": text, "documentation_url": docs, "status": strconv.Itoa(status),
	}}
}

// serveAPI checks a request against GitHub's description, then who asks, then answers and checks the answer.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, segments []string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAPIBody)
	c, err := s.spec.match(r, segments)
	if err == nil {
		err = c.checkRequest(r.Context())
	}
	if err != nil {
		s.misfit(w, "request %s %s: %v", r.Method, r.URL.EscapedPath(), err)
		return
	}
	rep := s.reply(c, r)
	body, err := c.fill(rep.status, rep.body)
	if err != nil {
		s.misfit(w, "answer to %s %s: %v", r.Method, r.URL.EscapedPath(), err)
		return
	}
	s.sendChecked(w, r, c, rep, body)
}

// reply says first who may not ask at all. Hooks and Apps have tokens of their own.
func (s *Server) reply(c *call, r *http.Request) reply {
	kind, hooks := aboutHooks(c.operation())
	app := kind == "apps" && !hooks
	if refused := s.refuse(c, r, hooks || app); refused != nil {
		return *refused
	}
	switch {
	case hooks:
		return s.answerHooks(c, r, kind)
	case app:
		return s.answerApp(c, r)
	}
	return s.answer(c, r)
}

func (s *Server) sendChecked(w http.ResponseWriter, r *http.Request, c *call, rep reply, body any) {
	raw, err := json.Marshal(body)
	h := rep.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	if err == nil {
		err = c.checkResponse(r.Context(), rep.status, h, raw)
	}
	if err != nil {
		s.misfit(w, "answer %d to %s %s: %v", rep.status, r.Method, r.URL.EscapedPath(), err)
		return
	}
	(&held{header: h, status: rep.status}).sendWith(w, raw)
}

func (s *Server) misfit(w http.ResponseWriter, format string, args ...any) {
	text := s.violation(format, args...)
	raw, _ := json.Marshal(map[string]string{"message": text})
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	(&held{header: h, status: http.StatusInternalServerError}).sendWith(w, raw)
}

func (h *held) sendWith(w http.ResponseWriter, body []byte) {
	h.body.Write(body)
	h.send(w)
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// refuse answers, as GitHub does, who may not ask at all; nil lets the request pass.
func (s *Server) refuse(c *call, r *http.Request, elsewhere bool) *reply {
	var out reply
	g, allowed := s.grantOf(bearer(r)), s.access(bearer(r), c.params["owner"], c.params["repo"])
	version := r.Header.Get("X-GitHub-Api-Version")
	switch {
	case r.UserAgent() == "":
		out = message(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
	case version != "" && version != "2022-11-28":
		out = message(http.StatusBadRequest, fmt.Sprintf("%q is not a supported version.", version))
	case elsewhere:
		return nil
	case allowed == badToken:
		out = message(http.StatusUnauthorized, "Bad credentials")
	case allowed == noToken:
		// Every repository is private: to a stranger it is not there.
		out = message(http.StatusNotFound, "Not Found")
	case g != nil && !g.allows(c.operation()):
		out = message(http.StatusForbidden, "Resource not accessible by integration")
	case g == nil && allowed == mayRead && r.Method != http.MethodGet:
		out = message(http.StatusForbidden, "Resource not accessible by personal access token")
	default:
		return nil
	}
	return &out
}

// answer runs the operation on its repository.
func (s *Server) answer(c *call, r *http.Request) reply {
	out := message(http.StatusNotFound, "Not Found")
	_ = s.withRepo(c.params["owner"], c.params["repo"], func(re *repo) error {
		if out = s.answerAbout(c, r, re); out.status != http.StatusNotImplemented {
			return nil
		}
		switch op := c.operation(); op {
		case "repos/get":
			out = s.getRepository(re, r)
		case "repos/get-branch":
			out = s.getBranch(re, c.params["branch"])
		case "pulls/list":
			out = s.listPulls(re, r)
		case "pulls/create":
			out = s.createPull(re, c.body)
		case "issues/add-labels":
			out = s.addLabels(re, c.params["issue_number"], c.body)
		case "issues/list-comments":
			out = s.listComments(re, r, c.params["issue_number"])
		case "issues/create-comment":
			out = s.createComment(re, c.params["issue_number"], c.body)
		case "issues/update-comment":
			out = s.updateComment(re, c.params["comment_id"], c.body)
		case "actions/list-jobs-for-workflow-run":
			out = s.listJobs(re, r, c.params["run_id"], "")
		case "actions/list-jobs-for-workflow-run-attempt":
			out = s.listJobs(re, r, c.params["run_id"], c.params["attempt_number"])
		case "actions/download-job-logs-for-workflow-run":
			out = s.redirectToLog(re, c.params["job_id"])
		case "actions/download-workflow-run-attempt-logs":
			out = s.redirectToArchive(re, c.params["run_id"], c.params["attempt_number"])
		case "actions/get-workflow-run":
			out = s.getRun(re, c.params["run_id"])
		case "actions/re-run-workflow-failed-jobs":
			out = s.rerunFailed(re, c.params["run_id"])
		case "actions/list-workflow-runs":
			out = s.listRuns(re, r, c.params["workflow_id"])
		default:
			out = message(http.StatusNotImplemented, "no handler for "+op)
		}
		return nil
	})
	return out
}

// getRepository says what a user may do there, and nothing of it to an App.
func (s *Server) getRepository(re *repo, r *http.Request) reply {
	body := repositoryJSON(re)
	if re.parent != nil {
		body["parent"] = repositoryJSON(re.parent)
	}
	if s.grants[bearer(r)] == nil {
		body["permissions"] = map[string]any{
			"admin": false, "maintain": false, "triage": false, "pull": true, "push": slices.Contains(s.opts.WriteTokens, bearer(r)),
		}
	}
	return reply{status: http.StatusOK, body: body}
}

func repositoryJSON(re *repo) map[string]any {
	return map[string]any{
		"id": re.ID, "name": re.Name, "full_name": re.Owner + "/" + re.Name, "private": true,
		"owner": map[string]any{"login": re.Owner}, "html_url": re.WebURL, "clone_url": re.CloneURL,
		"default_branch": re.DefaultBranch, "archived": re.archived, "created_at": re.created,
	}
}

func (s *Server) getBranch(re *repo, name string) reply {
	sha := s.branch(re, name)
	if sha == "" {
		return message(http.StatusNotFound, "Branch not found")
	}
	return reply{status: http.StatusOK, body: map[string]any{"name": name, "commit": map[string]any{"sha": sha}}}
}

// page cuts one page out of items and names the next in a Link header.
func page[T any](s *Server, r *http.Request, items []T) ([]T, http.Header) {
	limit := 100
	if s.opts.MaxPerPage > 0 {
		limit = s.opts.MaxPerPage
	}
	q := r.URL.Query()
	size := min(max(number(q.Get("per_page"), 30), 1), limit)
	at := max(number(q.Get("page"), 1), 1)
	from := min((at-1)*size, len(items))
	to := min(from+size, len(items))
	h := http.Header{}
	if to < len(items) {
		q.Set("page", strconv.Itoa(at+1))
		next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		h.Set("Link", fmt.Sprintf(`<%s%s>; rel="next"`, s.url, next.String()))
	}
	return append([]T{}, items[from:to]...), h
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil && n < 1<<20 {
		return n
	}
	return otherwise
}
