// Package bitbuckettest is a Bitbucket Cloud on this machine, for tests.
//
// It serves real git and the calls of REST 2.0 that sre-agent uses. Every request and answer is checked against what
// Atlassian documents (openapi/README.md), and what does not fit is answered 500 and kept in Violations.
package bitbuckettest

import (
	_ "embed" // for the description
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

//go:embed openapi/bitbucket.json
var description []byte

const api = host.Prefix + "/2.0/"

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
func (s *Server) APIURL() string { return s.URL() + "/2.0" }

// UUID is how Bitbucket names an account.
func UUID(login string) string { return "{" + login + "}" }

// reply is an answer before it is checked.
type reply struct {
	status int
	header http.Header
	body   any
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

func refusal(status int, text string, fields map[string][]string) reply {
	inner := map[string]any{"message": text}
	if fields != nil {
		inner["fields"] = fields
	}
	return reply{status: status, body: map[string]any{"type": "error", "error": inner}}
}

func notFound(what string) reply { return refusal(http.StatusNotFound, what+" not found", nil) }

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
	out.header.Set("Content-Type", "application/json; charset=utf-8")
	raw, err := e.Answer(r.Context(), out.status, out.header, out.body)
	if err != nil {
		http.Error(w, s.Violation("answer %d to %s %s: %v", out.status, r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	host.Send(w, out.status, out.header, raw)
}

// answer says first who may not ask at all, and with every answer what the token may do.
func (s *Server) answer(e *forgetest.Exchange, r *http.Request) (out reply) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	may, login := s.Permission(token)
	switch {
	case may == forge.NoPermission:
		return refusal(http.StatusUnauthorized, "Token is invalid, expired, or not supported for this endpoint.", nil)
	case may < forge.WritePermission && r.Method != http.MethodGet:
		return refusal(http.StatusForbidden, "Your credentials lack one or more required privilege scopes.", nil)
	}
	workspace, slug := e.Param("workspace"), e.Param("repo_slug")
	s.With(workspace, slug, func(re *host.Repo) {
		if re == nil {
			out = notFound("Repository " + workspace + "/" + slug)
			return
		}
		out = s.operate(e, r, re, login)
	})
	if out.header == nil {
		out.header = http.Header{}
	}
	out.header.Set("X-OAuth-Scopes", map[bool]string{true: "repository:write, pullrequest:write", false: "repository, pullrequest"}[may >= forge.WritePermission])
	return out
}

// filter reads the one form of q that is used: field = "text". Another one is answered 400.
func filter(r *http.Request, field string) (text string, filtered, fits bool) {
	q := r.URL.Query().Get("q")
	m := filterRE.FindStringSubmatch(q)
	if m == nil || m[1] != field {
		return "", false, q == ""
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2]), true, true
}

var filterRE = regexp.MustCompile(`^([a-z_.]+) = "((?:[^"\\]|\\.)*)"$`)

// page cuts one page out of items and names the next.
func page[T any](s *Server, r *http.Request, items []T) reply {
	q := r.URL.Query()
	size, at := max(number(q.Get("pagelen"), 10), 1), max(number(q.Get("page"), 1), 1)
	from := min((at-1)*size, len(items))
	to := min(from+size, len(items))
	body := map[string]any{"values": append([]T{}, items[from:to]...), "page": at, "pagelen": size, "size": len(items)}
	if to < len(items) {
		q.Set("page", strconv.Itoa(at+1))
		next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
		body["next"] = strings.TrimSuffix(s.URL(), host.Prefix) + next.String()
	}
	return ok(body)
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

// PullURL is a pull request's page.
func (s *Server) PullURL(re *host.Repo, p *host.Pull) string {
	return fmt.Sprintf("%s/%s/%s/pull-requests/%d", s.URL(), re.Owner, re.Name, p.Number)
}
