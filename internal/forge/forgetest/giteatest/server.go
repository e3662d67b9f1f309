// Package giteatest is a Gitea or a Forgejo on this machine, for tests.
//
// It serves real git and the calls of the API v1 that sre-agent uses. Every request and answer is checked against the
// description that Gitea or Forgejo itself publishes, and what does not fit is answered 500 and kept in Violations.
// Statuses and messages of refusals are those of routers/api/v1 of go-gitea/gitea.
package giteatest

import (
	_ "embed" // for the descriptions
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

var (
	//go:embed openapi/gitea.json
	giteaDescription []byte
	//go:embed openapi/forgejo.json
	forgejoDescription []byte
)

// Flavour is which of the two a server is.
type Flavour int

// The flavours.
const (
	Gitea Flavour = iota
	Forgejo
)

const api = host.Prefix + "/api/v1/"

// Server is a running server.
type Server struct {
	*host.Host
	flavour  Flavour
	contract *forgetest.Contract
}

// Start starts a server of a flavour.
func Start(f Flavour) (*Server, error) {
	description := giteaDescription
	if f == Forgejo {
		description = forgejoDescription
	}
	contract, err := forgetest.NewContract(description)
	if err != nil {
		return nil, err
	}
	s := &Server{flavour: f, contract: contract}
	s.Host, err = host.Start(func(h *host.Host) host.API {
		s.Host = h
		return s.serve
	})
	return s, err
}

// reply is an answer before it is checked.
type reply struct {
	status int
	header http.Header
	body   any
}

func message(status int, text string) reply {
	return reply{status: status, body: map[string]any{"message": text, "url": "https://forge.invalid/api/swagger"}}
}

func notFound() reply { return message(http.StatusNotFound, "The target couldn't be found.") }

var diffPath = regexp.MustCompile(`^repos/([^/]+)/([^/]+)/pulls/([0-9]+)\.diff$`)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), api)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if m := diffPath.FindStringSubmatch(path); m != nil && r.Method == http.MethodGet {
		s.serveDiff(w, r, m[1], m[2], m[3])
		return
	}
	// Gitea has no filter by head and, as every unknown one, ignores it.
	q := r.URL.Query()
	if s.flavour == Gitea && q.Has("head") {
		q.Del("head")
		r.URL.RawQuery = q.Encode()
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
	out.header.Set("Content-Type", "application/json;charset=utf-8")
	raw, err := e.Answer(r.Context(), out.status, out.header, out.body)
	if err != nil {
		http.Error(w, s.Violation("answer %d to %s %s: %v", out.status, r.Method, r.URL.EscapedPath(), err), http.StatusInternalServerError)
		return
	}
	host.Send(w, out.status, out.header, raw)
}

func token(r *http.Request) string {
	t, _ := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	return t
}

// answer says first who may not ask at all, in the order in which the servers do.
func (s *Server) answer(e *forgetest.Exchange, r *http.Request) (out reply) {
	may, login := s.Permission(token(r))
	if may == forge.NoPermission {
		return message(http.StatusUnauthorized, "user does not exist [uid: 0, name: ]")
	}
	s.With(e.Param("owner"), e.Param("repo"), func(re *host.Repo) {
		switch {
		case re == nil:
			out = notFound()
		case may < forge.WritePermission && r.Method != http.MethodGet:
			out = message(http.StatusForbidden, "token does not have at least one of required scope(s): [write:repository]")
		case e.Operation() == "repoGetRepoPermissions" && re.Members[login] < forge.AdminPermission:
			out = message(http.StatusForbidden, "Only admins can query all permissions, repo admins can query all repo permissions, collaborators can query only their own")
		default:
			out = s.operate(e, r, re, login)
		}
	})
	return out
}

// number reads a number of the path or the query.
func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

// page cuts one page out of items, of 50 at most, and says how many there are.
func page[T any](r *http.Request, items []T) ([]T, http.Header) {
	q := r.URL.Query()
	size := min(max(number(q.Get("limit"), 30), 1), 50)
	from := min((max(number(q.Get("page"), 1), 1)-1)*size, len(items))
	h := http.Header{"X-Total-Count": {strconv.Itoa(len(items))}}
	return append([]T{}, items[from:min(from+size, len(items))]...), h
}

// read decodes a body that the contract has checked.
func read[T any](e *forgetest.Exchange) (in T) {
	_ = json.Unmarshal(e.Body(), &in)
	return in
}
