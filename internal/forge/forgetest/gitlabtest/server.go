// Package gitlabtest is a GitLab on this machine, for tests.
//
// It serves real git and the calls of REST v4 that sre-agent uses, below a path as a self-managed GitLab may be. Every
// request and answer is checked against what GitLab documents (openapi/README.md), and what does not fit is answered
// 500 and kept in Violations. Statuses and messages of refusals are GitLab's.
package gitlabtest

import (
	_ "embed" // for the description
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

//go:embed openapi/gitlab.json
var description []byte

const api = host.Prefix + "/api/v4/"

// Server is a running server.
type Server struct {
	*host.Host
	contract *forgetest.Contract
}

// Start starts a server.
func Start() (*Server, error) {
	contract, err := forgetest.NewContract(description)
	if err != nil {
		return nil, err
	}
	s := &Server{contract: contract}
	s.Host, err = host.Start(func(h *host.Host) host.API {
		s.Host = h
		return s.serve
	})
	return s, err
}

// APIURL is the root of the REST API.
func (s *Server) APIURL() string { return s.URL() + "/api/v4" }

// reply is an answer before it is checked.
type reply struct {
	status int
	header http.Header
	body   any
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

func message(status int, text any) reply {
	return reply{status: status, body: map[string]any{"message": text}}
}

func notFound(what string) reply { return message(http.StatusNotFound, "404 "+what+"Not Found") }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), api)
	if !isAPI {
		http.NotFound(w, r)
		return
	}
	e, err := s.contract.Match(r, strings.Split(path, "/"))
	if err != nil {
		http.Error(w, s.Violation("request %s %s: %v", r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	out := s.answer(e, r)
	if out.header == nil {
		out.header = http.Header{}
	}
	out.header.Set("Content-Type", "application/json")
	raw, err := e.Answer(r.Context(), out.status, out.header, out.body)
	if err != nil {
		http.Error(w, s.Violation("answer %d to %s %s: %v", out.status, r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	host.Send(w, out.status, out.header, raw)
}

// answer says first who may not ask at all.
func (s *Server) answer(e *forgetest.Exchange, r *http.Request) (out reply) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	may, login := s.Permission(token)
	switch {
	case may == forge.NoPermission:
		return message(http.StatusUnauthorized, "401 Unauthorized")
	case may < forge.WritePermission && r.Method != http.MethodGet:
		return reply{status: http.StatusForbidden, body: map[string]any{
			"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.", "scope": "api",
		}}
	}
	owner, name := split(e.Param("id"))
	s.With(owner, name, func(re *host.Repo) {
		switch {
		case e.Operation() == "listUsers":
			out = s.listUsers(r)
		case re == nil:
			out = notFound("Project ")
		default:
			out = s.operate(e, r, re, login)
		}
	})
	return out
}

// split cuts a project's path after its last group.
func split(path string) (owner, name string) {
	cut := strings.LastIndexByte(path, '/')
	return path[:max(cut, 0)], path[cut+1:]
}

// page cuts one page out of items and names the next in a Link header, as GitLab does.
func page[T any](s *Server, r *http.Request, items []T) ([]T, http.Header) {
	q := r.URL.Query()
	size := number(q.Get("per_page"), 20)
	at := number(q.Get("page"), 1)
	from := min((at-1)*size, len(items))
	to := min(from+size, len(items))
	h := http.Header{}
	if to < len(items) {
		q.Set("page", strconv.Itoa(at+1))
		next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		h.Set("Link", fmt.Sprintf(`<%s%s>; rel="next"`, strings.TrimSuffix(s.URL(), host.Prefix), next.String()))
	}
	return append([]T{}, items[from:to]...), h
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

// read decodes a body that the contract has checked.
func read[T any](e *forgetest.Exchange) (in T) {
	_ = json.Unmarshal(e.Body(), &in)
	return in
}
