package gitlabtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

// MergeRequestURL is a merge request's page.
func (s *Server) MergeRequestURL(re *host.Repo, p *host.Pull) string {
	return fmt.Sprintf("%s/%s/%s/-/merge_requests/%d", s.URL(), re.Owner, re.Name, p.Number)
}

// Draft says whether a title makes a draft, and what it is without that.
func Draft(title string) (plain string, draft bool) {
	for _, prefix := range []string{"draft:", "[draft]", "(draft)"} {
		if strings.HasPrefix(strings.ToLower(title), prefix) {
			return strings.TrimSpace(title[len(prefix):]), true
		}
	}
	return title, false
}

func (s *Server) mergeRequest(re *host.Repo, p *host.Pull) map[string]any {
	_, draft := Draft(p.Title)
	state, status, detailed := "closed", "can_be_merged", "mergeable"
	conflicts := p.Open && re.Conflicts(p)
	switch {
	case p.Merged:
		state, detailed = "merged", "not_open"
	case !p.Open:
		detailed = "not_open"
	case conflicts:
		state, status, detailed = "opened", "cannot_be_merged", "conflict"
	default:
		state = "opened"
		if draft {
			detailed = "draft_status"
		}
	}
	out := map[string]any{
		"id": re.ID*1000 + int64(p.Number), "iid": p.Number, "project_id": re.ID, "title": p.Title, "description": p.Body, "state": state,
		"created_at": p.Created, "source_branch": p.Head, "target_branch": p.Base, "source_project_id": p.From.ID, "target_project_id": re.ID,
		"author": s.user(p.Author), "labels": append([]string{}, p.Labels...), "draft": draft, "sha": p.HeadSHA, "merge_commit_sha": nil, "squash_commit_sha": nil,
		"merge_status": status, "detailed_merge_status": detailed, "has_conflicts": conflicts, "web_url": s.MergeRequestURL(re, p),
	}
	if p.Merged {
		out["merge_commit_sha"] = p.MergeCommit
	}
	return out
}

func (s *Server) listMergeRequests(r *http.Request, re *host.Repo) reply {
	q := r.URL.Query()
	var found []any
	for _, p := range slices.Backward(re.Pulls) {
		m := s.mergeRequest(re, p)
		state := q.Get("state")
		if (state == "" || state == "all" || state == m["state"]) && (q.Get("source_branch") == "" || q.Get("source_branch") == p.Head) {
			found = append(found, m)
		}
	}
	items, h := page(s, r, found)
	return reply{Status: http.StatusOK, Header: h, Body: items}
}

func (s *Server) createMergeRequest(e *forgetest.Exchange, from *host.Repo, login string) reply {
	in := host.Read[struct {
		Title       string
		Source      string `json:"source_branch"`
		Target      string `json:"target_branch"`
		TargetID    int64  `json:"target_project_id"`
		Description string
	}](e)
	re := from
	if in.TargetID != 0 {
		re = s.ByID(in.TargetID)
	}
	switch {
	case re == nil:
		return notFound("")
	case re.NoPulls:
		return reply{Status: http.StatusUnprocessableEntity, Body: map[string]any{"error": []string{"Target project has disabled merge requests"}}}
	case re.Archived:
		return message(http.StatusForbidden, "403 Forbidden")
	case in.Title == "":
		return message(http.StatusBadRequest, map[string]any{"title": []string{"can't be blank"}})
	case len(in.Title) > 255:
		return message(http.StatusBadRequest, map[string]any{"title": []string{"is too long (maximum is 255 characters)"}})
	case re != from && from.Parent != re:
		return reply{Status: http.StatusUnprocessableEntity, Body: map[string]any{"error": []string{"Source project is not a fork of the target project"}}}
	case re == from && in.Source == in.Target:
		return reply{Status: http.StatusUnprocessableEntity, Body: map[string]any{"error": []string{"You can't use same project/branch for source and target"}}}
	}
	missing := map[string]any{}
	if from.Branch(in.Source) == "" {
		missing["source_branch"] = []string{"does not exist"}
	}
	if re.Branch(in.Target) == "" {
		missing["target_branch"] = []string{"does not exist"}
	}
	if len(missing) > 0 {
		return message(http.StatusBadRequest, missing)
	}
	if p := re.OpenPull(from, in.Source, in.Target); p != nil {
		return message(http.StatusConflict, []string{fmt.Sprintf("Another open merge request already exists for this source branch: !%d", p.Number)})
	}
	p := s.AddPull(re, host.Pull{Title: in.Title, Body: in.Description, Head: in.Source, Base: in.Target, From: from, Author: login})
	return reply{Status: http.StatusCreated, Body: s.mergeRequest(re, p)}
}

// updateMergeRequest closes an open one and leaves one that is closed or merged as it is.
func (s *Server) updateMergeRequest(e *forgetest.Exchange, re *host.Repo, p *host.Pull) reply {
	in := host.Read[struct {
		Title      string
		StateEvent string `json:"state_event"`
		AddLabels  string `json:"add_labels"`
	}](e)
	if in.Title != "" {
		p.Title = in.Title
	}
	switch in.StateEvent {
	case "close":
		p.Open = false
	case "reopen":
		p.Open = !p.Merged
	}
	for _, name := range strings.Split(in.AddLabels, ",") {
		if name = strings.TrimSpace(name); name != "" {
			p.AddLabelTo(name)
		}
	}
	return ok(s.mergeRequest(re, p))
}

// listDiffs shows each file's diff from its first hunk on.
func (s *Server) listDiffs(r *http.Request, re *host.Repo, p *host.Pull) reply {
	files, _, err := gitdiff.Parse(strings.NewReader(re.Diff(p)))
	if err != nil {
		return message(http.StatusInternalServerError, "500 Internal Server Error")
	}
	var all []any
	for _, f := range files {
		var hunks strings.Builder
		for _, t := range f.TextFragments {
			hunks.WriteString(t.String())
		}
		one := map[string]any{"old_path": f.OldName, "new_path": f.NewName, "diff": hunks.String(), "new_file": f.IsNew, "renamed_file": f.IsRename, "deleted_file": f.IsDelete}
		if f.IsNew { // GitLab names both sides even where one is not there
			one["old_path"] = f.NewName
		}
		if f.IsDelete {
			one["new_path"] = f.OldName
		}
		all = append(all, one)
	}
	items, h := page(s, r, all)
	return reply{Status: http.StatusOK, Header: h, Body: items}
}

// listNotes has with what people wrote what GitLab says itself.
func (s *Server) listNotes(r *http.Request, p *host.Pull) reply {
	var all []any
	for _, c := range p.Comments {
		all = append(all, s.note(c))
	}
	all = append(all, map[string]any{"id": 1, "body": "added 1 commit", "author": s.user(p.Author), "created_at": p.Created, "system": true})
	if r.URL.Query().Get("sort") != "asc" {
		slices.Reverse(all)
	}
	items, h := page(s, r, all)
	return reply{Status: http.StatusOK, Header: h, Body: items}
}

func (s *Server) note(c *host.Comment) map[string]any {
	return map[string]any{"id": c.ID, "body": c.Body, "author": s.user(c.Author), "created_at": c.At, "system": false}
}
