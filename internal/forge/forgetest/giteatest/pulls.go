package giteatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
)

// PullURL is a pull request's page.
func (s *Server) PullURL(re *host.Repo, p *host.Pull) string {
	return fmt.Sprintf("%s/%s/%s/pulls/%d", s.URL(), re.Owner, re.Name, p.Number)
}

// Draft says whether a title makes a draft, and what it is without that.
func Draft(title string) (plain string, draft bool) {
	for _, prefix := range []string{"WIP:", "[WIP]:"} {
		if strings.HasPrefix(strings.ToUpper(title), prefix) {
			return strings.TrimSpace(title[len(prefix):]), true
		}
	}
	return title, false
}

func (s *Server) pull(re *host.Repo, p *host.Pull) map[string]any {
	_, draft := Draft(p.Title)
	state := forge.Closed
	if p.Open {
		state = forge.Open
	}
	head := map[string]any{"label": p.Head, "ref": p.Head, "sha": p.HeadSHA, "repo_id": p.From.ID, "repo": s.repository(p.From, p.Author)}
	if p.From.Branch(p.Head) == "" {
		head["ref"] = fmt.Sprintf("refs/pull/%d/head", p.Number)
	}
	names := []any{}
	for _, name := range p.Labels {
		i := slices.IndexFunc(re.Labels, func(l host.Label) bool { return l.Name == name })
		names = append(names, label(re.Labels[i]))
	}
	out := map[string]any{
		"id": re.ID*1000 + int64(p.Number), "number": p.Number, "html_url": s.PullURL(re, p), "url": s.PullURL(re, p), "title": p.Title,
		"body": p.Body, "state": state, "draft": draft, "merged": p.Merged, "mergeable": !p.Merged && !draft && !re.Conflicts(p),
		"user": s.user(p.Author), "labels": names, "created_at": p.Created, "head": head,
		"base": map[string]any{"label": p.Base, "ref": p.Base, "sha": re.Branch(p.Base), "repo_id": re.ID},
	}
	if p.Merged {
		out["merge_commit_sha"] = p.MergeCommit
	}
	return out
}

func (s *Server) listPulls(r *http.Request, re *host.Repo) reply {
	q := r.URL.Query()
	state := q.Get("state")
	var found []any
	for _, p := range slices.Backward(re.Pulls) {
		switch {
		case state == forge.Closed && p.Open, (state == forge.Open || state == "") && !p.Open:
		case q.Get("head") != "" && q.Get("head") != p.Head:
		default:
			found = append(found, s.pull(re, p))
		}
	}
	items, h := page(r, found)
	return reply{Status: http.StatusOK, Header: h, Body: items}
}

func (s *Server) createPull(e *forgetest.Exchange, re *host.Repo, login string) reply {
	in := host.Read[struct{ Title, Head, Base, Body string }](e)
	if in.Head == in.Base {
		return message(http.StatusUnprocessableEntity, "Invalid PullRequest: There are no changes between the head and the base")
	}
	from, head := re, in.Head
	if owner, branch, ok := strings.Cut(in.Head, ":"); ok {
		from, head = s.FindFork(re, owner), branch
	}
	if from == nil || from.Branch(head) == "" || re.Branch(in.Base) == "" {
		return notFound()
	}
	if p := re.OpenPull(from, head, in.Base); p != nil {
		return message(http.StatusConflict, fmt.Sprintf("pull request already exists for these targets [id: %d, issue_id: %d, head_repo_id: %d, base_repo_id: %d, head_branch: %s, base_branch: %s]",
			p.Number, p.Number, from.ID, re.ID, head, in.Base))
	}
	p := s.AddPull(re, host.Pull{Title: in.Title, Body: in.Body, Head: head, Base: in.Base, From: from, Author: login})
	return reply{Status: http.StatusCreated, Body: s.pull(re, p)}
}

func (s *Server) editPull(e *forgetest.Exchange, re *host.Repo, p *host.Pull) reply {
	in := host.Read[struct{ State, Title string }](e)
	if in.Title != "" {
		p.Title = in.Title
	}
	switch {
	case in.State == "":
	case p.Merged:
		return message(http.StatusPreconditionFailed, "cannot change state of this pull request, it was already merged")
	case in.State != forge.Open && in.State != forge.Closed:
		return message(http.StatusPreconditionFailed, "unknown state: "+in.State)
	default:
		p.Open = in.State == forge.Open
	}
	return reply{Status: http.StatusCreated, Body: s.pull(re, p)}
}

func files(r *http.Request, re *host.Repo, p *host.Pull) reply {
	var all []any
	for _, name := range host.ChangedPaths(re.Diff(p)) {
		all = append(all, map[string]any{"filename": name, "status": "changed"})
	}
	items, h := page(r, all)
	return reply{Status: http.StatusOK, Header: h, Body: items}
}

func (s *Server) serveDiff(w http.ResponseWriter, r *http.Request, owner, name, index string) {
	if may, _ := s.Permission(token(r)); may == forge.NoPermission {
		http.Error(w, `{"message":"user does not exist [uid: 0, name: ]"}`, http.StatusUnauthorized)
		return
	}
	diff := ""
	s.With(owner, name, func(re *host.Repo) {
		if re == nil || re.NoPulls {
			return
		}
		if p := re.Pull(host.Number(index, 0)); p != nil {
			diff = re.Diff(p)
		}
	})
	if diff == "" {
		http.Error(w, `{"message":"The target couldn't be found."}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain;charset=utf-8")
	_, _ = w.Write([]byte(diff))
}

func comment(c *host.Comment) map[string]any {
	return map[string]any{"id": c.ID, "body": c.Body, "created_at": c.At, "user": map[string]any{"login": c.Author}}
}

func (s *Server) editComment(e *forgetest.Exchange, re *host.Repo) reply {
	for _, p := range re.Pulls {
		for _, c := range p.Comments {
			if fmt.Sprint(c.ID) == e.Param("id") {
				c.Body = host.Read[struct{ Body string }](e).Body
				return ok(comment(c))
			}
		}
	}
	return notFound()
}

// addLabels takes labels by their ids, or all by their names. It passes over what the repository does not have.
func addLabels(e *forgetest.Exchange, re *host.Repo, p *host.Pull) reply {
	in := host.Read[struct{ Labels []json.RawMessage }](e)
	for _, raw := range in.Labels {
		for _, l := range re.Labels {
			if string(raw) == fmt.Sprint(l.ID) || string(raw) == fmt.Sprintf("%q", l.Name) {
				p.AddLabelTo(l.Name)
			}
		}
	}
	out := []any{}
	for _, l := range re.Labels {
		if slices.Contains(p.Labels, l.Name) {
			out = append(out, label(l))
		}
	}
	return ok(out)
}
