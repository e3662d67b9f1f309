package giteatest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

// operate runs an operation on its repository, under the lock.
func (s *Server) operate(e *forgetest.Exchange, r *http.Request, re *host.Repo, login string) reply {
	// A method that changes something, in a repository that is read-only.
	if r.Method != http.MethodGet && re.Archived && e.Operation() != "repoEditPullRequest" {
		return message(http.StatusLocked, re.Owner+"/"+re.Name+" is archived")
	}
	if strings.HasPrefix(strings.TrimPrefix(r.URL.Path, api+"repos/"+re.Owner+"/"+re.Name), "/pulls") && re.NoPulls {
		return notFound()
	}
	switch e.Operation() {
	case "repoGet":
		return ok(s.repository(re, login))
	case "repoGetBranch":
		return branch(e, re)
	case "repoListPullRequests":
		return s.listPulls(r, re)
	case "repoCreatePullRequest":
		return s.createPull(e, re, login)
	case "issueCreateLabel":
		in := host.Read[struct{ Name, Color string }](e)
		return reply{Status: http.StatusCreated, Body: label(s.AddLabel(re, in.Name))}
	case "issueEditComment":
		return s.editComment(e, re)
	case "repoGetRepoPermissions":
		return s.permission(e, re)
	case "repoGetCombinedStatusByRef":
		return s.status(e, r, re)
	}
	return s.operateOnPull(e, r, re, login)
}

func (s *Server) operateOnPull(e *forgetest.Exchange, r *http.Request, re *host.Repo, login string) reply {
	p := re.Pull(host.Number(e.Param("index"), 0))
	if p == nil {
		return notFound()
	}
	switch e.Operation() {
	case "repoGetPullRequest":
		return ok(s.pull(re, p))
	case "repoEditPullRequest":
		return s.editPull(e, re, p)
	case "repoGetPullRequestFiles":
		return files(r, re, p)
	case "issueGetComments":
		out := []any{}
		for _, c := range p.Comments {
			out = append(out, comment(c))
		}
		return ok(out)
	case "issueCreateComment":
		return reply{Status: http.StatusCreated, Body: comment(s.AddComment(p, login, host.Read[struct{ Body string }](e).Body))}
	case "issueAddLabel":
		return addLabels(e, re, p)
	}
	return message(http.StatusNotImplemented, "no handler for "+e.Operation())
}

func ok(body any) reply { return reply{Status: http.StatusOK, Body: body} }

func (s *Server) repository(re *host.Repo, login string) map[string]any {
	may := re.Members[login]
	out := map[string]any{
		"id": re.ID, "name": re.Name, "full_name": re.Owner + "/" + re.Name, "private": true, "default_branch": "main", "fork": re.Parent != nil,
		"archived": re.Archived, "has_pull_requests": !re.NoPulls, "owner": s.user(re.Owner), "html_url": s.URL() + "/" + re.Owner + "/" + re.Name,
		"permissions": map[string]any{"admin": may >= forge.AdminPermission, "push": may >= forge.WritePermission, "pull": may >= forge.ReadPermission},
	}
	if re.Parent != nil {
		out["parent"] = s.repository(re.Parent, login)
	}
	return out
}

func (s *Server) user(login string) map[string]any {
	return map[string]any{"id": s.UserID(login), "login": login}
}

func branch(e *forgetest.Exchange, re *host.Repo) reply {
	name := e.Param("branch")
	sha := re.Branch(name)
	if sha == "" {
		return reply{Status: http.StatusNotFound, Body: map[string]any{"message": "The target couldn't be found.", "url": "", "errors": []string{"branch does not exist"}}}
	}
	return ok(map[string]any{"name": name, "commit": map[string]any{"id": sha}})
}

func (s *Server) permission(e *forgetest.Exchange, re *host.Repo) reply {
	login := e.Param("collaborator")
	if s.UserID(login) == 0 {
		return message(http.StatusNotFound, "user does not exist [uid: 0, name: "+login+"]")
	}
	name := map[forge.Permission]string{
		forge.NoPermission: "none", forge.ReadPermission: "read", forge.WritePermission: "write", forge.AdminPermission: "admin",
	}[re.Members[login]]
	return ok(map[string]any{"permission": name, "role_name": name, "user": s.user(login)})
}

func (s *Server) status(e *forgetest.Exchange, r *http.Request, re *host.Repo) reply {
	sha := e.Param("ref")
	if !re.HasCommit(sha) {
		return notFound()
	}
	all := []any{}
	worst := "success"
	for _, st := range re.Statuses[sha] {
		word := map[forge.Checks]string{forge.ChecksPending: "pending", forge.ChecksGreen: "success", forge.ChecksRed: "failure"}[st.Says]
		all = append(all, map[string]any{"context": st.Check, "status": word})
		if slices.Index([]string{"success", "pending", "failure"}, word) > slices.Index([]string{"success", "pending", "failure"}, worst) {
			worst = word
		}
	}
	items, h := page(r, all)
	if len(items) == 0 {
		return reply{Status: http.StatusOK, Header: h, Body: map[string]any{"state": "", "sha": "", "total_count": 0, "statuses": []any{}}}
	}
	return reply{Status: http.StatusOK, Header: h, Body: map[string]any{"state": worst, "sha": sha, "total_count": len(items), "statuses": items}}
}

func label(l host.Label) map[string]any {
	return map[string]any{"id": l.ID, "name": l.Name, "color": "7f8c8d"}
}
