// Package azuretest is Azure Repos on this machine, for tests.
//
// It serves real git and the calls of REST 7.1 that sre-agent uses; its address is that of the organisation. Every
// request and answer is checked against what Microsoft documents (openapi/README.md), and what does not fit is answered
// 500 and kept in Violations.
package azuretest

import (
	_ "embed" // for the description
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

//go:embed openapi/azure.json
var description []byte

const api = host.Prefix + "/"

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

// PullURL is a pull request's page.
func (s *Server) PullURL(re *host.Repo, p *host.Pull) string {
	return fmt.Sprintf("%s/%s/_git/%s/pullrequest/%d", s.URL(), re.Owner, re.Name, p.Number)
}

// reply is an answer before it is checked.
type reply struct {
	status int
	body   any
}

func ok(body any) reply { return reply{http.StatusOK, body} }

func listed[T any](items []T) reply {
	return ok(map[string]any{"count": len(items), "value": append([]T{}, items...)})
}

func refusal(status int, text string) reply {
	return reply{status, map[string]any{"$id": "1", "message": text, "errorCode": 0, "eventId": 3000}}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), api)
	if parts := strings.SplitN(path, "/", 4); len(parts) == 4 && parts[1] == "_git" {
		s.ServeGit(w, r, parts[0], parts[2], parts[3])
		return
	}
	e, err := s.contract.Match(r, strings.Split(path, "/"))
	if err != nil {
		http.Error(w, s.Violation("request %s %s: %v", r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	out := s.answer(e, r)
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	raw, err := e.Answer(r.Context(), out.status, header, out.body)
	if err != nil {
		http.Error(w, s.Violation("answer %d to %s %s: %v", out.status, r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	host.Send(w, out.status, header, raw)
}

// answer says first who may not ask at all.
func (s *Server) answer(e *forgetest.Exchange, r *http.Request) (out reply) {
	_, token, _ := r.BasicAuth()
	may, login := s.Permission(token)
	switch {
	case may == forge.NoPermission:
		return refusal(http.StatusUnauthorized, "TF400813: The user is not authorized to access this resource.")
	case may < forge.WritePermission && r.Method != http.MethodGet:
		return refusal(http.StatusForbidden, "TF401027: You need the Git 'PullRequestContribute' permission to perform this action.")
	case e.Param("repositoryId") == "":
		return s.aboutOrganisation(e, r, login)
	}
	project, name := e.Param("project"), e.Param("repositoryId")
	s.With(project, name, func(re *host.Repo) {
		// A disabled repository can be read about, and nothing else.
		if re == nil || (re.Archived && e.Operation() != "getRepository") {
			out = refusal(http.StatusNotFound, "TF401019: The Git repository with name or identifier "+name+" does not exist or you do not have permissions for the operation you are attempting.")
			return
		}
		out = s.operate(e, r, re, login)
	})
	return out
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
