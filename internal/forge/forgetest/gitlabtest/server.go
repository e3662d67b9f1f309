// Package gitlabtest is a GitLab on this machine, for tests.
//
// It serves real git and the calls of REST v4 that sre-agent uses, below a path as a self-managed GitLab may be. Every
// request and answer is checked against a description written by hand, which openapi/README.md says how far to believe,
// and what does not fit is answered 500 and kept in Violations. Statuses and messages of refusals are meant to be GitLab's.
package gitlabtest

import (
	_ "embed" // for the description
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
}

// Start starts a server.
func Start() (s *Server, err error) {
	s = &Server{}
	s.Host, err = host.Start(description, s.serve)
	return s, err
}

// APIURL is the root of the REST API.
func (s *Server) APIURL() string { return s.URL() + "/api/v4" }

type reply = host.Reply

func ok(body any) reply { return reply{Status: http.StatusOK, Body: body} }

func message(status int, text any) reply {
	return reply{Status: status, Body: map[string]any{"message": text}}
}

func notFound(what string) reply { return message(http.StatusNotFound, "404 "+what+"Not Found") }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), api)
	if !isAPI {
		http.NotFound(w, r)
		return
	}
	s.Exchange(w, r, path, s.answer)
}

// answer says first who may not ask at all.
func (s *Server) answer(e *forgetest.Exchange, r *http.Request) (out reply) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	may, login := s.Permission(token)
	switch {
	case may == forge.NoPermission:
		return message(http.StatusUnauthorized, "401 Unauthorized")
	case may < forge.WritePermission && r.Method != http.MethodGet:
		return reply{Status: http.StatusForbidden, Body: map[string]any{
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
	size := host.Number(q.Get("per_page"), 20)
	at := host.Number(q.Get("page"), 1)
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
