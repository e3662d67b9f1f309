package forgetest

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenLife is how long an installation's token is good (docs.github.com/rest/apps, "Create an installation access
// token for an app").
const tokenLife = time.Hour

// App is a GitHub App.
type App struct {
	ID  string
	Key *rsa.PublicKey
	// Owners have it installed, on all their repositories.
	Owners []string
	// Permissions are what they gave it: "read" or "write" by name.
	Permissions map[string]string
}

// Grant is a token that an App asked for.
type Grant struct {
	Token string
	// Owner and Repositories are where it is good.
	Owner        string
	Repositories []string
	Permissions  map[string]string
	Expires      time.Time
}

// InstallApp makes an App known, and installs it.
func (s *Server) InstallApp(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = append(s.apps, &a)
}

// Grants lists the tokens that Apps were given, the oldest first.
func (s *Server) Grants() []Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Grant
	for _, g := range s.grants {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Grant) int { return strings.Compare(a.Token, b.Token) })
	return out
}

// Revoke ends the tokens of all Apps at once.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants {
		g.Expires = time.Time{}
	}
}

func (s *Server) grantOf(token string) *Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grants[token]
}

// access is what git and the API in general let a token do. What is elsewhere is not there to it.
func (g *Grant) access(owner, name string, now time.Time) access {
	here := func(repository string) bool { return strings.EqualFold(repository, name) }
	switch {
	case !now.Before(g.Expires):
		return badToken
	case !strings.EqualFold(owner, g.Owner) || !slices.ContainsFunc(g.Repositories, here):
		return noToken
	case g.Permissions["contents"] == "write":
		return mayWrite
	}
	return mayRead
}

// allows says whether a token has the permission that an operation wants (docs.github.com/rest, "Permissions required
// for GitHub Apps"). The metadata of a repository may always be read.
func (g *Grant) allows(operation string) bool {
	permission, level := wants(operation)
	return permission == "" || g.Permissions[permission] == "write" || g.Permissions[permission] == level
}

func wants(operation string) (permission, level string) {
	switch operation {
	case "repos/get", "repos/get-collaborator-permission-level":
		return "", ""
	case "repos/get-branch":
		return "contents", "read"
	case "pulls/list", "pulls/get", "pulls/list-files", "issues/list-comments":
		return "pull_requests", "read"
	case "pulls/create", "pulls/update", "issues/add-labels", "issues/create-comment", "issues/update-comment":
		return "pull_requests", "write"
	case "checks/list-for-ref":
		return "checks", "read"
	case "repos/get-combined-status-for-ref":
		return "statuses", "read"
	case "actions/re-run-workflow-failed-jobs":
		return "actions", "write"
	}
	return "actions", "read"
}

// answerApp answers an App that speaks for itself.
func (s *Server) answerApp(c *call, r *http.Request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range s.apps {
		if !validJWT(bearer(r), a.ID, a.Key, s.opts.Now()) {
			continue
		}
		if c.operation() == "apps/get-repo-installation" {
			return s.installation(a, i, c.params["owner"], c.params["repo"])
		}
		return s.mint(a, c.params["installation_id"], c.body)
	}
	return message(http.StatusUnauthorized, "A JSON web token could not be decoded")
}

// installation has the number 100·(App's place + 1) + owner's place.
func (s *Server) installation(a *App, app int, owner, name string) reply {
	at := slices.IndexFunc(a.Owners, func(o string) bool { return strings.EqualFold(o, owner) })
	if at < 0 || s.repos[key(owner, name)] == nil {
		return message(http.StatusNotFound, "Not Found")
	}
	return reply{status: http.StatusOK, body: map[string]any{
		"id": 100*(app+1) + at, "repository_selection": "all", "permissions": a.Permissions,
	}}
}

func (s *Server) mint(a *App, id string, raw []byte) reply {
	n, _ := strconv.Atoi(id)
	if owners := len(a.Owners); n < 100 || n%100 >= owners || s.apps[min(n/100, len(s.apps))-1] != a {
		return message(http.StatusNotFound, "Not Found")
	}
	var in struct {
		Repositories []string
		Permissions  map[string]string
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	if in.Permissions == nil {
		in.Permissions = maps.Clone(a.Permissions) // who asks for nothing gets everything
	}
	owner := a.Owners[n%100]
	for _, name := range in.Repositories {
		if s.repos[key(owner, name)] == nil {
			return message(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
		}
	}
	for permission, level := range in.Permissions {
		if a.Permissions[permission] != "write" && a.Permissions[permission] != level {
			return message(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
	}
	s.nextID++
	g := &Grant{
		Token: fmt.Sprintf("ghs_installationtoken%08d", s.nextID), Owner: owner, Repositories: in.Repositories,
		Permissions: in.Permissions, Expires: s.opts.Now().Add(tokenLife).UTC().Truncate(time.Second),
	}
	s.grants[g.Token] = g
	return reply{status: http.StatusCreated, body: map[string]any{"token": g.Token, "expires_at": g.Expires, "permissions": g.Permissions}}
}
