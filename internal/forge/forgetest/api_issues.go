package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Comment is a comment on a pull request.
type Comment struct {
	ID      int64
	Author  string
	Body    string
	Created time.Time
}

// issue returns the pull request that a call is about: on GitHub each is an issue too. It is nil when there is none.
func issue(re *repo, number string) *PR {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(re.prs) {
		return nil
	}
	return re.prs[n-1]
}

func (s *Server) addLabels(re *repo, number string, raw []byte) reply {
	pr := issue(re, number)
	if pr == nil {
		return message(http.StatusNotFound, "Not Found")
	}
	var in struct {
		Labels []string `json:"labels"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, l := range in.Labels {
		if !slices.Contains(pr.Labels, l) {
			pr.Labels = append(pr.Labels, l)
		}
	}
	return reply{status: http.StatusOK, body: labelsJSON(pr)}
}

func labelsJSON(pr *PR) []any {
	out := []any{}
	for _, l := range pr.Labels {
		out = append(out, map[string]any{"name": l, "color": "ededed", "default": false})
	}
	return out
}

func (s *Server) listComments(re *repo, r *http.Request, number string) reply {
	pr := issue(re, number)
	if pr == nil {
		return message(http.StatusNotFound, "Not Found")
	}
	var found []any
	for _, c := range pr.Comments {
		found = append(found, s.commentJSON(re, pr, c))
	}
	items, header := page(s, r, found)
	return reply{status: http.StatusOK, header: header, body: items}
}

type newComment struct {
	Body string `json:"body"`
}

func (s *Server) createComment(re *repo, number string, raw []byte) reply {
	pr := issue(re, number)
	var in newComment
	switch err := json.Unmarshal(raw, &in); {
	case pr == nil:
		return message(http.StatusNotFound, "Not Found")
	case err != nil:
		return message(http.StatusBadRequest, "Problems parsing JSON")
	case re.archived:
		return message(http.StatusForbidden, "Repository was archived so is read-only.")
	case in.Body == "":
		return message(http.StatusUnprocessableEntity, "Validation Failed")
	}
	c := s.say(re, pr, us, in.Body)
	body := s.commentJSON(re, pr, c)
	return reply{status: http.StatusCreated, header: http.Header{"Location": {fmt.Sprint(body["url"])}}, body: body}
}

// say adds a comment. The caller holds the lock.
func (s *Server) say(re *repo, pr *PR, author, body string) Comment {
	re.comments++
	c := Comment{ID: re.ID*100_000 + re.comments, Author: author, Body: body, Created: s.opts.Now()}
	pr.Comments = append(pr.Comments, c)
	return c
}

func (s *Server) updateComment(re *repo, id string, raw []byte) reply {
	var in newComment
	if err := json.Unmarshal(raw, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	for _, pr := range re.prs {
		for i := range pr.Comments {
			if c := &pr.Comments[i]; strconv.FormatInt(c.ID, 10) == id {
				c.Body = in.Body
				return reply{status: http.StatusOK, body: s.commentJSON(re, pr, *c)}
			}
		}
	}
	return message(http.StatusNotFound, "Not Found")
}

func (s *Server) commentJSON(re *repo, pr *PR, c Comment) map[string]any {
	at := fmt.Sprintf("%s/repos/%s/%s/issues", s.APIURL(), re.Owner, re.Name)
	return map[string]any{
		"id": c.ID, "body": c.Body, "user": map[string]any{"login": c.Author}, "created_at": c.Created, "updated_at": c.Created,
		"url": fmt.Sprintf("%s/comments/%d", at, c.ID), "issue_url": fmt.Sprintf("%s/%d", at, pr.Number),
		"html_url": fmt.Sprintf("%s#issuecomment-%d", pr.URL, c.ID),
	}
}
