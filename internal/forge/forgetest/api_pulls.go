package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func (s *Server) listPulls(re *repo, r *http.Request) reply {
	q := r.URL.Query()
	state := q.Get("state")
	if state == "" {
		state = "open"
	}
	owner, branch, filtered := strings.Cut(q.Get("head"), ":") // GitHub ignores a head without an owner
	var found []any
	for _, pr := range slices.Backward(re.prs) {
		switch {
		case state != "all" && pr.State != state:
		case filtered && (!strings.EqualFold(owner, pr.owner(re)) || branch != pr.Head):
		case q.Get("base") != "" && q.Get("base") != pr.Base:
		default:
			found = append(found, s.pullJSON(re, pr))
		}
	}
	items, header := page(s, r, found)
	return reply{status: http.StatusOK, header: header, body: items}
}

type newPull struct {
	Title string `json:"title"`
	Head  string `json:"head"`
	Base  string `json:"base"`
	Body  string `json:"body"`
	Draft bool   `json:"draft"`
	owner string // of a fork
}

func (s *Server) createPull(re *repo, raw []byte) reply {
	if re.archived {
		return message(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	var in newPull
	if err := json.Unmarshal(raw, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	in.owner, in.Head = headOwner(re, in.Head)
	if problem := s.problem(re, in); problem != nil {
		problem["resource"] = "PullRequest"
		return reply{status: http.StatusUnprocessableEntity, body: map[string]any{
			"message": "Validation Failed", "errors": []any{problem}, "status": "422",
			"documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request",
		}}
	}
	pr := &PR{
		Title: in.Title, Body: in.Body, Head: in.Head, HeadOwner: in.owner, Base: in.Base, Draft: in.Draft, Author: us,
	}
	s.add(re, pr)
	h := http.Header{"Location": {s.APIURL() + fmt.Sprintf("/repos/%s/%s/pulls/%d", re.Owner, re.Name, pr.Number)}}
	return reply{status: http.StatusCreated, header: h, body: s.newPull(re, pr)}
}

// newPull is a pull request that was just opened: whether it can be merged is still worked out.
func (s *Server) newPull(re *repo, pr *PR) map[string]any {
	out := s.pullJSON(re, pr)
	out["merged"], out["mergeable"] = false, nil
	return out
}

// add opens a pull request whose branches are there.
func (s *Server) add(re *repo, pr *PR) {
	pr.Number, pr.State, pr.Created = len(re.prs)+1, "open", s.opts.Now()
	pr.URL = fmt.Sprintf("%s/pull/%d", re.WebURL, pr.Number)
	s.follow(re, pr, s.headOf(re, pr.HeadOwner, pr.Head))
	re.prs = append(re.prs, pr)
}

// problem is GitHub's reason to refuse a new pull request, as an entry of "errors"; nil accepts it.
func (s *Server) problem(re *repo, in newPull) map[string]any {
	head, base := s.headOf(re, in.owner, in.Head), s.branch(re, in.Base)
	switch {
	case in.Title == "":
		return map[string]any{"field": "title", "code": "missing_field"}
	case head == "":
		return map[string]any{"field": "head", "code": "invalid"}
	case base == "":
		return map[string]any{"field": "base", "code": "invalid"}
	}
	for _, pr := range re.prs {
		if pr.State == "open" && pr.Head == in.Head && pr.HeadOwner == in.owner && pr.Base == in.Base {
			return map[string]any{"code": "custom", "message": fmt.Sprintf("A pull request already exists for %s:%s.", pr.owner(re), in.Head)}
		}
	}
	if s.mergeBase(re, base, head) == head {
		return map[string]any{"code": "custom", "message": fmt.Sprintf("No commits between %s and %s", in.Base, in.Head)}
	}
	return nil
}

// pullJSON is called under the lock.
func (s *Server) pullJSON(re *repo, pr *PR) map[string]any {
	side := func(at *repo, owner, ref, sha string) map[string]any {
		out := map[string]any{"label": owner + ":" + ref, "ref": ref, "sha": sha, "user": map[string]any{"login": owner}}
		if at != nil {
			out["repo"] = repositoryJSON(at)
		}
		return out
	}
	out := map[string]any{
		"number": pr.Number, "id": re.ID*1000 + int64(pr.Number), "html_url": pr.URL,
		"url":   s.APIURL() + fmt.Sprintf("/repos/%s/%s/pulls/%d", re.Owner, re.Name, pr.Number),
		"state": pr.State, "title": pr.Title, "body": pr.Body, "draft": pr.Draft,
		"head": side(s.source(re, pr.HeadOwner), pr.owner(re), pr.Head, pr.HeadSHA), "base": side(re, re.Owner, pr.Base, s.branch(re, pr.Base)),
		"labels": labelsJSON(pr), "created_at": pr.Created, "updated_at": pr.Created, "user": map[string]any{"login": pr.Author},
	}
	if pr.State != "open" {
		out["closed_at"] = pr.Ended
	}
	if pr.Merged {
		out["merged_at"], out["merge_commit_sha"] = pr.Ended, pr.MergeCommit
	}
	return out
}
