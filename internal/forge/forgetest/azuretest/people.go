package azuretest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

// The bits of the namespace "Git Repositories" that the roles here have, and its id.
const (
	gitNamespace = "2e9eb7ed-3c0a-47d4-87c1-0ffdd275fd87"
	reading      = 2
	writing      = reading | 4 | 16 | 16384
	all          = writing | 1 | 8192
)

func bits(p forge.Permission) int {
	switch p {
	case forge.AdminPermission:
		return all
	case forge.WritePermission:
		return writing
	case forge.ReadPermission:
		return reading
	case forge.NoPermission:
	}
	return 0
}

func repositoryID(id int64) string { return fmt.Sprintf("10000000-0000-4000-8000-%012d", id) }
func projectID(id int64) string    { return fmt.Sprintf("20000000-0000-4000-8000-%012d", id) }
func personID(id int64) string     { return fmt.Sprintf("30000000-0000-4000-8000-%012d", id) }

func descriptor(id int64) string {
	return "Microsoft.IdentityModel.Claims.ClaimsIdentity;" + personID(id)
}

// ofID is the repository with an id, or nil. The caller holds the lock.
func (s *Server) ofID(id string) *host.Repo {
	var n int64
	if _, err := fmt.Sscanf(id[strings.LastIndexByte(id, '-')+1:], "%d", &n); err != nil || repositoryID(n) != id {
		return nil
	}
	return s.ByID(n)
}

// ofToken is the repository that a security token names. The caller holds no lock.
func (s *Server) ofToken(token string, f func(*host.Repo)) {
	var id int64
	if _, err := fmt.Sscanf(token[strings.LastIndexByte(token, '-')+1:], "%d", &id); err != nil {
		return
	}
	s.WithID(id, func(re *host.Repo) {
		if re != nil && token == "repoV2/"+projectID(re.ID)+"/"+repositoryID(re.ID) {
			f(re)
		}
	})
}

// aboutOrganisation answers what is not about one repository's code.
func (s *Server) aboutOrganisation(e *forgetest.Exchange, r *http.Request, login string) (out reply) {
	q := r.URL.Query()
	out = listed([]any{})
	switch e.Operation() {
	case "hasPermissions":
		wanted, has := host.Number(e.Param("permissions"), 0), false
		s.ofToken(q.Get("tokens"), func(re *host.Repo) { has = bits(re.Members[login])&wanted == wanted })
		return ok(map[string]any{"count": 1, "value": []bool{has && e.Param("securityNamespaceId") == gitNamespace}})
	case "listAccess":
		s.ofToken(q.Get("token"), func(re *host.Repo) {
			who := q.Get("descriptors")
			entries := map[string]any{}
			for member, may := range re.Members {
				if descriptor(s.UserID(member)) == who {
					entries[who] = map[string]any{"descriptor": who, "allow": 0, "deny": 0, "extendedInfo": map[string]any{"effectiveAllow": bits(may)}}
				}
			}
			out = listed([]any{map[string]any{"inheritPermissions": true, "includeExtendedInfo": true, "token": q.Get("token"), "acesDictionary": entries}})
		})
	case "listIdentities":
		var found []any
		s.WithID(0, func(*host.Repo) {
			id := s.UserID(q.Get("filterValue"))
			if id == 0 {
				return
			}
			found = append(found, map[string]any{
				"id": personID(id), "descriptor": descriptor(id), "providerDisplayName": q.Get("filterValue"), "isActive": true,
				"properties": map[string]any{"Account": map[string]any{"$type": "System.String", "$value": q.Get("filterValue")}},
			})
		})
		out = listed(found)
	}
	return out
}

func (s *Server) person(login string) map[string]any {
	return map[string]any{"id": personID(s.UserID(login)), "uniqueName": login, "displayName": login}
}
