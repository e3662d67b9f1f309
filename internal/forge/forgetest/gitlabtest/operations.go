package gitlabtest

import (
	"net/http"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

// operate runs an operation on its project, under the lock.
func (s *Server) operate(e *forgetest.Exchange, r *http.Request, re *host.Repo, login string) reply {
	if strings.Contains(r.URL.Path, "/merge_requests") && (re.NoPulls || (re.Archived && r.Method != http.MethodGet)) {
		return message(http.StatusForbidden, "403 Forbidden")
	}
	switch e.Operation() {
	case "getProject":
		return ok(s.project(re, login))
	case "getBranch":
		sha := re.Branch(e.Param("branch"))
		if sha == "" {
			return notFound("Branch ")
		}
		return ok(map[string]any{"name": e.Param("branch"), "commit": map[string]any{"id": sha}, "default": e.Param("branch") == "main"})
	case "listStatuses":
		return s.listStatuses(e, r, re)
	case "getMember":
		return s.member(e, re)
	case "listMergeRequests":
		return s.listMergeRequests(r, re)
	case "createMergeRequest":
		return s.createMergeRequest(e, re, login)
	}
	p := re.Pull(host.Number(e.Param("merge_request_iid"), 0))
	if p == nil {
		return notFound("")
	}
	return s.operateOnMergeRequest(e, r, re, p, login)
}

func (s *Server) operateOnMergeRequest(e *forgetest.Exchange, r *http.Request, re *host.Repo, p *host.Pull, login string) reply {
	switch e.Operation() {
	case "getMergeRequest":
		return ok(s.mergeRequest(re, p))
	case "updateMergeRequest":
		return s.updateMergeRequest(e, re, p)
	case "listDiffs":
		return s.listDiffs(r, re, p)
	case "listNotes":
		return s.listNotes(r, p)
	case "createNote":
		return reply{Status: http.StatusCreated, Body: s.note(s.AddComment(p, login, host.Read[struct{ Body string }](e).Body))}
	case "updateNote":
		for _, c := range p.Comments {
			if c.ID == int64(host.Number(e.Param("note_id"), 0)) {
				c.Body = host.Read[struct{ Body string }](e).Body
				return ok(s.note(c))
			}
		}
		return notFound("")
	}
	return message(http.StatusNotImplemented, "no handler for "+e.Operation())
}

// levels are GitLab's numbers for what a person may do.
func level(p forge.Permission) int {
	return map[forge.Permission]int{forge.ReadPermission: 20, forge.WritePermission: 30, forge.AdminPermission: 40}[p]
}

func (s *Server) project(re *host.Repo, login string) map[string]any {
	access := "enabled"
	if re.NoPulls {
		access = "disabled"
	}
	out := map[string]any{
		"id": re.ID, "path": re.Name, "path_with_namespace": re.Owner + "/" + re.Name, "default_branch": "main", "archived": re.Archived,
		"visibility": "private", "merge_requests_access_level": access, "merge_requests_enabled": !re.NoPulls, "web_url": s.URL() + "/" + re.Owner + "/" + re.Name,
		"permissions": map[string]any{"project_access": map[string]any{"access_level": level(re.Members[login])}, "group_access": nil},
	}
	if re.Parent != nil {
		out["forked_from_project"] = map[string]any{"id": re.Parent.ID, "path": re.Parent.Name, "path_with_namespace": re.Parent.Owner + "/" + re.Parent.Name}
	}
	return out
}

func (s *Server) user(login string) map[string]any {
	return map[string]any{"id": s.UserID(login), "username": login, "name": login, "state": "active"}
}

// listUsers finds a person by the whole name alone.
func (s *Server) listUsers(r *http.Request) reply {
	out := []any{}
	if login := r.URL.Query().Get("username"); s.UserID(login) != 0 {
		out = append(out, s.user(login))
	}
	return ok(out)
}

func (s *Server) member(e *forgetest.Exchange, re *host.Repo) reply {
	login := s.User(int64(host.Number(e.Param("user_id"), 0)))
	may, isMember := re.Members[login]
	if !isMember {
		return notFound("")
	}
	out := s.user(login)
	out["access_level"] = level(may)
	return ok(out)
}

func (s *Server) listStatuses(e *forgetest.Exchange, r *http.Request, re *host.Repo) reply {
	sha := e.Param("sha")
	if !re.HasCommit(sha) {
		return notFound("Commit ")
	}
	var all []any
	for i, st := range re.Statuses[sha] {
		word := map[forge.Checks]string{forge.ChecksPending: "running", forge.ChecksGreen: "success", forge.ChecksRed: "failed"}[st.Says]
		all = append(all, map[string]any{"id": i + 1, "sha": sha, "ref": "main", "name": st.Check, "status": word, "allow_failure": false})
	}
	items, h := page(s, r, all)
	return reply{Status: http.StatusOK, Header: h, Body: items}
}
