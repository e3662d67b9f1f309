package azuretest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

const heads = "refs/heads/"

// operate runs an operation on its repository, under the lock.
func (s *Server) operate(e *forgetest.Exchange, r *http.Request, re *host.Repo, login string) reply {
	switch e.Operation() {
	case "getRepository":
		out := s.repository(re)
		if re.Parent != nil && r.URL.Query().Get("includeParent") == "true" {
			out["parentRepository"] = map[string]any{"id": repositoryID(re.Parent.ID), "name": re.Parent.Name, "project": project(re.Parent)}
		}
		return ok(out)
	case "listRefs":
		return refs(r, re)
	case "listStatuses":
		return statuses(re, e.Param("commitId"))
	case "listPullRequests":
		return s.listPulls(r, re)
	case "createPullRequest":
		return s.createPull(e, re, login)
	}
	p := re.Pull(host.Number(e.Param("pullRequestId"), 0))
	if p == nil {
		return refusal(http.StatusNotFound, "TF401180: The requested pull request was not found.")
	}
	switch e.Operation() {
	case "getPullRequest":
		return ok(s.pull(re, p))
	case "updatePullRequest":
		return s.updatePull(e, re, p)
	case "listThreads":
		return s.threads(p)
	case "createThread":
		in := host.Read[struct{ Comments []struct{ Content string } }](e)
		return ok(s.thread(s.AddComment(p, login, in.Comments[0].Content)))
	case "updateComment":
		return s.updateComment(e, p)
	case "createLabel":
		name := host.Read[struct{ Name string }](e).Name
		p.AddLabelTo(name)
		return ok(map[string]any{"id": "l-" + name, "name": name, "active": true})
	case "listIterations":
		return listed([]any{map[string]any{"id": 1}})
	case "getChanges":
		return changes(re, p)
	}
	return refusal(http.StatusNotImplemented, "no handler for "+e.Operation())
}

func (s *Server) repository(re *host.Repo) map[string]any {
	return map[string]any{
		"id": repositoryID(re.ID), "name": re.Name, "defaultBranch": heads + "main", "isDisabled": re.Archived, "webUrl": s.URL() + "/" + re.Owner + "/_git/" + re.Name,
		"isFork": re.Parent != nil, "project": project(re),
	}
}

func project(re *host.Repo) map[string]any {
	return map[string]any{"id": projectID(re.ID), "name": re.Owner, "state": "wellFormed"}
}

// refs are those whose names begin with the filter.
func refs(r *http.Request, re *host.Repo) reply {
	var found []any
	for name, sha := range re.Branches() {
		if strings.HasPrefix("heads/"+name, r.URL.Query().Get("filter")) {
			found = append(found, map[string]any{"name": heads + name, "objectId": sha})
		}
	}
	return listed(found)
}

func statuses(re *host.Repo, commit string) reply {
	if !re.HasCommit(commit) {
		return refusal(http.StatusNotFound, "TF401175: The version descriptor could not be resolved to a version.")
	}
	words := map[forge.Checks]string{forge.ChecksPending: "pending", forge.ChecksGreen: "succeeded", forge.ChecksRed: "failed"}
	var all []any
	for i, st := range re.Statuses[commit] {
		all = append(all, map[string]any{"id": i + 1, "state": words[st.Says], "context": map[string]any{"name": st.Check, "genre": "continuous-integration"}})
	}
	return listed(all)
}

func (s *Server) pull(re *host.Repo, p *host.Pull) map[string]any {
	merge := "succeeded"
	if p.Open && re.Conflicts(p) {
		merge = "conflicts"
	}
	var labels []any
	for _, name := range p.Labels {
		labels = append(labels, map[string]any{"id": "l-" + name, "name": name, "active": true})
	}
	out := map[string]any{
		"pullRequestId": p.Number, "status": status(p), "title": p.Title, "description": p.Body, "sourceRefName": heads + p.Head, "targetRefName": heads + p.Base,
		"isDraft": p.Draft, "mergeStatus": merge, "createdBy": s.person(p.Author), "creationDate": p.Created, "repository": s.repository(re),
		"lastMergeSourceCommit": map[string]any{"commitId": p.HeadSHA}, "lastMergeTargetCommit": map[string]any{"commitId": re.Branch(p.Base)},
	}
	if labels != nil {
		out["labels"] = labels
	}
	if p.From != re {
		out["forkSource"] = map[string]any{"name": heads + p.Head, "repository": s.repository(p.From)}
	}
	if p.Merged {
		out["lastMergeCommit"] = map[string]any{"commitId": p.MergeCommit}
	}
	return out
}

func status(p *host.Pull) string {
	switch {
	case p.Open:
		return "active"
	case p.Merged:
		return "completed"
	}
	return "abandoned"
}

func (s *Server) listPulls(r *http.Request, re *host.Repo) reply {
	q := r.URL.Query()
	wanted, source, from := q.Get("searchCriteria.status"), q.Get("searchCriteria.sourceRefName"), q.Get("searchCriteria.sourceRepositoryId")
	if wanted == "" {
		wanted = "active"
	}
	var found []any
	for _, p := range slices.Backward(re.Pulls) {
		if (wanted == "all" || wanted == status(p)) && (source == "" || source == heads+p.Head) && (from == "" || from == repositoryID(p.From.ID)) {
			found = append(found, s.pull(re, p))
		}
	}
	first := min(host.Number(q.Get("$skip"), 0), len(found))
	return listed(found[first:min(first+host.Number(q.Get("$top"), 100), len(found))])
}

func (s *Server) createPull(e *forgetest.Exchange, re *host.Repo, login string) reply {
	in := host.Read[struct {
		Title, Description, SourceRefName, TargetRefName string
		IsDraft                                          bool
		ForkSource                                       struct{ Repository struct{ ID string } }
	}](e)
	head, base := strings.TrimPrefix(in.SourceRefName, heads), strings.TrimPrefix(in.TargetRefName, heads)
	from := re
	if id := in.ForkSource.Repository.ID; id != "" {
		if from = s.ofID(id); from == nil || from.Parent != re {
			return missing(id)
		}
	}
	switch {
	case from.Branch(head) == "" || re.Branch(base) == "":
		return refusal(http.StatusConflict, "TF401398: The pull request cannot be activated because the source and/or the target branch no longer exists, or the requested merge status is not valid.")
	case re.OpenPull(from, head, base) != nil:
		return refusal(http.StatusConflict, "TF401179: An active pull request for the source and target branch already exists.")
	}
	p := s.AddPull(re, host.Pull{Title: in.Title, Body: in.Description, Head: head, Base: base, Draft: in.IsDraft, From: from, Author: login})
	return reply{Status: http.StatusCreated, Body: s.pull(re, p)}
}

func (s *Server) updatePull(e *forgetest.Exchange, re *host.Repo, p *host.Pull) reply {
	in := host.Read[struct{ Status string }](e)
	if !p.Open && in.Status != "active" {
		return refusal(http.StatusConflict, "TF401181: The pull request cannot be edited due to its state.")
	}
	p.Open = in.Status == "active"
	return ok(s.pull(re, p))
}

func (s *Server) thread(c *host.Comment) map[string]any {
	return map[string]any{"id": c.ID, "status": "closed", "publishedDate": c.At, "isDeleted": false, "comments": []any{s.comment(c)}}
}

func (s *Server) comment(c *host.Comment) map[string]any {
	return map[string]any{"id": 1, "parentCommentId": 0, "content": c.Body, "commentType": "text", "author": s.person(c.Author), "publishedDate": c.At}
}

// threads has one that the system wrote, as the service has.
func (s *Server) threads(p *host.Pull) reply {
	out := []any{map[string]any{"id": 1, "comments": []any{map[string]any{"id": 1, "content": "Policy status has been updated", "commentType": "system"}}}}
	for _, c := range p.Comments {
		out = append(out, s.thread(c))
	}
	return listed(out)
}

func (s *Server) updateComment(e *forgetest.Exchange, p *host.Pull) reply {
	for _, c := range p.Comments {
		if int(c.ID) == host.Number(e.Param("threadId"), 0) && e.Param("commentId") == "1" {
			c.Body = host.Read[struct{ Content string }](e).Content
			return ok(s.comment(c))
		}
	}
	return refusal(http.StatusNotFound, "TF401256: The comment was not found.")
}

func changes(re *host.Repo, p *host.Pull) reply {
	out := []any{}
	for i, path := range host.ChangedPaths(re.Diff(p)) {
		out = append(out, map[string]any{"changeId": i + 1, "changeType": "edit", "item": map[string]any{"path": "/" + path}})
	}
	return ok(map[string]any{"changeEntries": out})
}
