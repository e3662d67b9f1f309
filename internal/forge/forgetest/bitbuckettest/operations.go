package bitbuckettest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

// operate runs an operation on its repository, under the lock.
func (s *Server) operate(e *forgetest.Exchange, r *http.Request, re *host.Repo, login string) reply {
	switch e.Operation() {
	case "getRepository":
		return ok(s.repository(re))
	case "listBranches":
		return s.branches(r, re)
	case "getCommit":
		return commit(re, e.Param("commit"))
	case "listStatuses":
		return s.statuses(e, r, re)
	case "listPermissions":
		return s.permissions(r, re, login)
	case "listPullRequests":
		return s.listPulls(r, re)
	case "createPullRequest":
		return s.createPull(e, re, login)
	case "getDiffstat":
		return s.diffstat(r, re, e.Param("spec"))
	}
	p := re.Pull(host.Number(e.Param("pull_request_id"), 0))
	if p == nil {
		return notFound("Pull request")
	}
	return s.operateOnPull(e, r, re, p, login)
}

func (s *Server) operateOnPull(e *forgetest.Exchange, r *http.Request, re *host.Repo, p *host.Pull, login string) reply {
	switch e.Operation() {
	case "getPullRequest":
		return ok(s.pull(re, p))
	case "declinePullRequest":
		if !p.Open {
			return refusal(http.StatusBadRequest, "You can't decline a pull request that is already closed.", nil)
		}
		p.Open = false
		return ok(s.pull(re, p))
	case "getPullRequestDiffstat":
		to := fmt.Sprintf("%s/repositories/%s/%s/diffstat/%d", s.APIURL(), re.Owner, re.Name, p.Number)
		return reply{Status: http.StatusFound, Header: http.Header{"Location": {to + "?" + r.URL.RawQuery}}, Body: map[string]any{}}
	case "listComments":
		var all []any
		for _, c := range p.Comments {
			all = append(all, comment(c))
		}
		return page(s, r, all)
	case "createComment":
		return reply{Status: http.StatusCreated, Body: comment(s.AddComment(p, login, said(e)))}
	case "updateComment":
		for _, c := range p.Comments {
			if fmt.Sprint(c.ID) == e.Param("comment_id") {
				c.Body = said(e)
				return ok(comment(c))
			}
		}
		return notFound("Comment")
	}
	return refusal(http.StatusNotImplemented, "no handler for "+e.Operation(), nil)
}

func (s *Server) repository(re *host.Repo) map[string]any {
	out := map[string]any{
		"type": "repository", "uuid": fmt.Sprintf("{%d}", re.ID), "full_name": re.Owner + "/" + re.Name, "name": re.Name, "is_private": true,
		"mainbranch": map[string]any{"type": "branch", "name": "main"}, "parent": nil,
	}
	if re.Parent != nil {
		out["parent"] = map[string]any{"type": "repository", "uuid": fmt.Sprintf("{%d}", re.Parent.ID), "full_name": re.Parent.Owner + "/" + re.Parent.Name}
	}
	return out
}

// branches knows the filter by name alone.
func (s *Server) branches(r *http.Request, re *host.Repo) reply {
	name, filtered, fits := filter(r, "name")
	if !filtered || !fits {
		return refusal(http.StatusBadRequest, "Invalid query", nil)
	}
	var found []any
	if sha := re.Branch(name); sha != "" {
		found = append(found, map[string]any{"type": "branch", "name": name, "target": map[string]any{"type": "commit", "hash": sha}})
	}
	return page(s, r, found)
}

func commit(re *host.Repo, prefix string) reply {
	sha := re.Commit(prefix)
	if sha == "" {
		return notFound("Commit")
	}
	return ok(map[string]any{"type": "commit", "hash": sha})
}

func (s *Server) statuses(e *forgetest.Exchange, r *http.Request, re *host.Repo) reply {
	sha := re.Commit(e.Param("commit"))
	if sha == "" {
		return notFound("Commit")
	}
	words := map[forge.Checks]string{forge.ChecksPending: "INPROGRESS", forge.ChecksGreen: "SUCCESSFUL", forge.ChecksRed: "FAILED"}
	var all []any
	for _, st := range re.Statuses[sha] {
		all = append(all, map[string]any{"type": "build", "key": st.Check, "name": st.Check, "state": words[st.Says]})
	}
	return page(s, r, all)
}

// permissions are told to who administers the repository alone.
func (s *Server) permissions(r *http.Request, re *host.Repo, login string) reply {
	if re.Members[login] < forge.AdminPermission {
		return refusal(http.StatusForbidden, "You don't have permission to view this.", nil)
	}
	uuid, filtered, fits := filter(r, "user.uuid")
	if !fits {
		return refusal(http.StatusBadRequest, "Invalid query", nil)
	}
	words := map[forge.Permission]string{forge.ReadPermission: "read", forge.WritePermission: "write", forge.AdminPermission: "admin"}
	var all []any
	for who, may := range re.Members {
		if may > forge.NoPermission && (!filtered || UUID(who) == uuid) {
			all = append(all, map[string]any{"type": "repository_permission", "permission": words[may], "user": account(who)})
		}
	}
	return page(s, r, all)
}

func account(login string) map[string]any {
	return map[string]any{"type": "user", "uuid": UUID(login), "display_name": login, "nickname": login}
}

func (s *Server) diffstat(r *http.Request, re *host.Repo, pull string) reply {
	p := re.Pull(host.Number(pull, 0))
	if p == nil {
		return notFound("Diff")
	}
	var all []any
	for _, path := range host.ChangedPaths(re.Diff(p)) {
		all = append(all, map[string]any{"type": "diffstat", "status": "modified", "new": map[string]any{"type": "commit_file", "path": path}})
	}
	return page(s, r, all)
}

func comment(c *host.Comment) map[string]any {
	return map[string]any{
		"id": c.ID, "type": "pullrequest_comment", "content": map[string]any{"raw": c.Body}, "user": account(c.Author), "created_on": c.At, "deleted": false,
	}
}

func said(e *forgetest.Exchange) string {
	return host.Read[struct{ Content struct{ Raw string } }](e).Content.Raw
}

// short is what Bitbucket gives of a commit in a pull request.
func short(sha string) map[string]any {
	return map[string]any{"type": "commit", "hash": sha[:min(len(sha), 12)]}
}

func (s *Server) pull(re *host.Repo, p *host.Pull) map[string]any {
	out := map[string]any{
		"type": "pullrequest", "id": p.Number, "title": p.Title, "description": p.Body, "state": state(p), "draft": p.Draft, "author": account(p.Author),
		"source":      map[string]any{"branch": map[string]any{"name": p.Head}, "commit": short(p.HeadSHA), "repository": s.repository(p.From)},
		"destination": map[string]any{"branch": map[string]any{"name": p.Base}, "commit": short(re.Branch(p.Base)), "repository": s.repository(re)},
		"created_on":  p.Created, "links": map[string]any{"html": map[string]any{"href": s.PullURL(re, p)}},
	}
	if p.Merged {
		out["merge_commit"] = short(p.MergeCommit)
	}
	return out
}

func state(p *host.Pull) string {
	switch {
	case p.Open:
		return "OPEN"
	case p.Merged:
		return "MERGED"
	}
	return "DECLINED"
}

func (s *Server) listPulls(r *http.Request, re *host.Repo) reply {
	branch, filtered, fits := filter(r, "source.branch.name")
	if !fits {
		return refusal(http.StatusBadRequest, "Invalid query", nil)
	}
	wanted := r.URL.Query()["state"]
	if len(wanted) == 0 {
		wanted = []string{"OPEN"}
	}
	var found []any
	for _, p := range slices.Backward(re.Pulls) {
		if slices.Contains(wanted, state(p)) && (!filtered || p.Head == branch) {
			found = append(found, s.pull(re, p))
		}
	}
	return page(s, r, found)
}

type newPull struct {
	Title, Description  string
	Draft               bool
	Source, Destination struct {
		Branch     struct{ Name string }
		Repository struct {
			FullName string `json:"full_name"`
		}
	}
}

func (s *Server) createPull(e *forgetest.Exchange, re *host.Repo, login string) reply {
	in := host.Read[newPull](e)
	from, head, base := re, in.Source.Branch.Name, in.Destination.Branch.Name
	if owner, _, isFork := strings.Cut(in.Source.Repository.FullName, "/"); isFork {
		from = s.FindFork(re, owner)
	}
	switch {
	case from == nil:
		return refusal(http.StatusBadRequest, "Bad request", map[string][]string{"source": {"repository not found"}})
	case from.Branch(head) == "":
		return refusal(http.StatusBadRequest, "Bad request", map[string][]string{"source": {"branch not found: " + head}})
	case re.Branch(base) == "":
		return refusal(http.StatusBadRequest, "Bad request", map[string][]string{"destination": {"branch not found: " + base}})
	case re.OpenPull(from, head, base) != nil:
		return refusal(http.StatusBadRequest, "An open pull request for this source and destination already exists.", nil)
	case from == re && re.Ahead(base, head) == 0:
		return refusal(http.StatusBadRequest, "There are no changes to be pulled", nil)
	}
	p := s.AddPull(re, host.Pull{Title: in.Title, Body: in.Description, Head: head, Base: base, Draft: in.Draft, From: from, Author: login})
	return reply{Status: http.StatusCreated, Body: s.pull(re, p)}
}
