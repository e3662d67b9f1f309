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
		case filtered && (!strings.EqualFold(owner, re.Owner) || branch != pr.Head):
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
}

func (s *Server) createPull(re *repo, raw []byte) reply {
	if re.archived {
		return message(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	var in newPull
	if err := json.Unmarshal(raw, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	if owner, branch, ok := strings.Cut(in.Head, ":"); ok && strings.EqualFold(owner, re.Owner) {
		in.Head = branch
	}
	if problem := s.problem(re, in); problem != nil {
		problem["resource"] = "PullRequest"
		return reply{status: http.StatusUnprocessableEntity, body: map[string]any{
			"message": "Validation Failed", "errors": []any{problem}, "status": "422",
			"documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request",
		}}
	}
	pr := &PR{
		Number: len(re.prs) + 1, Title: in.Title, Body: in.Body, Head: in.Head, Base: in.Base,
		State: "open", Draft: in.Draft, Created: s.opts.Now(),
	}
	pr.URL = fmt.Sprintf("%s/pull/%d", re.WebURL, pr.Number)
	s.follow(re, pr, s.branch(re, in.Head))
	re.prs = append(re.prs, pr)
	h := http.Header{"Location": {s.APIURL() + fmt.Sprintf("/repos/%s/%s/pulls/%d", re.Owner, re.Name, pr.Number)}}
	return reply{status: http.StatusCreated, header: h, body: s.pullJSON(re, pr)}
}

// problem is GitHub's reason to refuse a new pull request, as an entry of "errors"; nil accepts it.
func (s *Server) problem(re *repo, in newPull) map[string]any {
	head, base := s.branch(re, in.Head), s.branch(re, in.Base)
	switch {
	case in.Title == "":
		return map[string]any{"field": "title", "code": "missing_field"}
	case head == "":
		return map[string]any{"field": "head", "code": "invalid"}
	case base == "":
		return map[string]any{"field": "base", "code": "invalid"}
	}
	for _, pr := range re.prs {
		if pr.State == "open" && pr.Head == in.Head && pr.Base == in.Base {
			return map[string]any{"code": "custom", "message": fmt.Sprintf("A pull request already exists for %s:%s.", re.Owner, in.Head)}
		}
	}
	n, err := s.commitsBetween(re, base, head)
	if err != nil || n == 0 {
		return map[string]any{"code": "custom", "message": fmt.Sprintf("No commits between %s and %s", in.Base, in.Head)}
	}
	return nil
}

// pullJSON is called under the lock.
func (s *Server) pullJSON(re *repo, pr *PR) map[string]any {
	side := func(ref, sha string) map[string]any {
		return map[string]any{
			"label": re.Owner + ":" + ref, "ref": ref, "sha": sha,
			"repo": repositoryJSON(re), "user": map[string]any{"login": re.Owner},
		}
	}
	out := map[string]any{
		"number": pr.Number, "id": re.ID*1000 + int64(pr.Number), "html_url": pr.URL,
		"url":   s.APIURL() + fmt.Sprintf("/repos/%s/%s/pulls/%d", re.Owner, re.Name, pr.Number),
		"state": pr.State, "title": pr.Title, "body": pr.Body, "draft": pr.Draft,
		"head": side(pr.Head, pr.HeadSHA), "base": side(pr.Base, s.branch(re, pr.Base)),
		"labels": labelsJSON(pr), "created_at": pr.Created, "updated_at": pr.Created, "user": map[string]any{"login": "sre-agent"},
	}
	if pr.State != "open" {
		out["closed_at"] = pr.Ended
	}
	if pr.Merged {
		out["merged_at"] = pr.Ended
	}
	return out
}
