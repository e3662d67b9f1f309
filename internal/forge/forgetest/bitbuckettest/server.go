// Package bitbuckettest is a Bitbucket Cloud on this machine, for tests.
//
// It serves real git and the calls of REST 2.0 that sre-agent uses. Every request and answer is checked against a
// description written by hand, which openapi/README.md says how far to believe, and what does not fit is answered 500 and
// kept in Violations.
package bitbuckettest

import (
	_ "embed" // for the description
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
}

// Start starts a server.
func Start() (s *Server, err error) {
	s = &Server{}
	s.Host, err = host.Start(description, s.serve)
	return s, err
}

// APIURL is the root of the REST API.
func (s *Server) APIURL() string { return s.URL() + "/2.0" }

// UUID is how Bitbucket names an account.
func UUID(login string) string { return "{" + login + "}" }

type reply = host.Reply

func ok(body any) reply { return reply{Status: http.StatusOK, Body: body} }

func refusal(status int, text string, fields map[string][]string) reply {
	inner := map[string]any{"message": text}
	if fields != nil {
		inner["fields"] = fields
	}
	return reply{Status: status, Body: map[string]any{"type": "error", "error": inner}}
}

func notFound(what string) reply { return refusal(http.StatusNotFound, what+" not found", nil) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), api)
	if !isAPI {
		http.NotFound(w, r)
		return
	}
	s.Exchange(w, r, path, s.answer)
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
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set("X-OAuth-Scopes", map[bool]string{true: "repository:write, pullrequest:write", false: "repository, pullrequest"}[may >= forge.WritePermission])
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
	size, at := max(host.Number(q.Get("pagelen"), 10), 1), max(host.Number(q.Get("page"), 1), 1)
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

// PullURL is a pull request's page.
func (s *Server) PullURL(re *host.Repo, p *host.Pull) string {
	return fmt.Sprintf("%s/%s/%s/pull-requests/%d", s.URL(), re.Owner, re.Name, p.Number)
}
