// Package azuretest is Azure Repos on this machine, for tests.
//
// It serves real git and the calls of REST 7.1 that sre-agent uses; its address is that of the organisation. Every
// request and answer is checked against a description written by hand, which openapi/README.md says how far to believe,
// and what does not fit is answered 500 and kept in Violations.
package azuretest

import (
	_ "embed" // for the description
	"fmt"
	"net/http"
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
}

// Start starts a server.
func Start() (s *Server, err error) {
	s = &Server{}
	s.Host, err = host.Start(description, s.serve)
	return s, err
}

// PullURL is a pull request's page.
func (s *Server) PullURL(re *host.Repo, p *host.Pull) string {
	return fmt.Sprintf("%s/%s/_git/%s/pullrequest/%d", s.URL(), re.Owner, re.Name, p.Number)
}

type reply = host.Reply

func ok(body any) reply { return reply{Status: http.StatusOK, Body: body} }

func listed[T any](items []T) reply {
	return ok(map[string]any{"count": len(items), "value": append([]T{}, items...)})
}

func refusal(status int, text string) reply {
	return reply{Status: status, Body: map[string]any{"$id": "1", "message": text, "errorCode": 0, "eventId": 3000}}
}

func missing(repository string) reply {
	return refusal(http.StatusNotFound, "TF401019: The Git repository with name or identifier "+repository+" does not exist or you do not have permissions for the operation you are attempting.")
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), api)
	if parts := strings.SplitN(path, "/", 4); len(parts) == 4 && parts[1] == "_git" {
		s.ServeGit(w, r, parts[0], parts[2], parts[3])
		return
	}
	s.Exchange(w, r, path, s.answer)
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
			out = missing(name)
			return
		}
		out = s.operate(e, r, re, login)
	})
	return out
}
