package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// us is who opens and says what comes through the API.
const us = "sre-agent"

// answerAbout runs the operations on one pull request, on commits and on people; 501 leaves it to others.
func (s *Server) answerAbout(c *call, r *http.Request, re *repo) reply {
	switch c.operation() {
	case "repos/get-collaborator-permission-level":
		return getPermission(re, c.params["username"])
	case "checks/list-for-ref":
		return s.listChecks(re, r, c.params["ref"])
	case "repos/get-combined-status-for-ref":
		return s.getStatus(re, r, c.params["ref"])
	case "pulls/get", "pulls/update", "pulls/list-files":
	default:
		return message(http.StatusNotImplemented, "no handler for "+c.operation())
	}
	pr := issue(re, c.params["pull_number"])
	switch {
	case pr == nil:
		return message(http.StatusNotFound, "Not Found")
	case c.operation() == "pulls/update":
		return s.updatePull(re, pr, c.body)
	case c.operation() == "pulls/list-files":
		return s.listFiles(re, r, pr)
	}
	return reply{status: http.StatusOK, body: s.wholePull(re, pr)}
}

// wholePull is a pull request with what lists leave out.
func (s *Server) wholePull(re *repo, pr *PR) map[string]any {
	out := s.pullJSON(re, pr)
	out["merged"] = pr.Merged
	if base := s.branch(re, pr.Base); pr.State == "open" && base != "" {
		_, err := s.gitIn(re.dir, "merge-tree", "--write-tree", base, pr.HeadSHA)
		out["mergeable"] = err == nil
	}
	return out
}

func (s *Server) updatePull(re *repo, pr *PR, raw []byte) reply {
	var in struct{ State, Title, Body string }
	if err := json.Unmarshal(raw, &in); err != nil {
		return message(http.StatusBadRequest, "Problems parsing JSON")
	}
	switch {
	case re.archived:
		return message(http.StatusForbidden, "Repository was archived so is read-only.")
	case in.State == "open" && pr.Merged:
		return message(http.StatusUnprocessableEntity, "Validation Failed")
	case in.State == "closed" && pr.State == "open":
		s.end(pr)
	case in.State == "open":
		pr.State = "open"
	}
	if in.Title != "" {
		pr.Title = in.Title
	}
	if in.Body != "" {
		pr.Body = in.Body
	}
	return reply{status: http.StatusOK, body: s.wholePull(re, pr)}
}

func (s *Server) listFiles(re *repo, r *http.Request, pr *PR) reply {
	diff, err := s.gitIn(re.dir, "diff", "--no-color", pr.BaseSHA, pr.HeadSHA)
	if err != nil {
		return message(http.StatusInternalServerError, "Server Error")
	}
	files, _, err := gitdiff.Parse(strings.NewReader(string(diff)))
	if err != nil {
		return message(http.StatusInternalServerError, "Server Error")
	}
	var all []any
	for _, f := range files {
		all = append(all, fileJSON(f))
	}
	items, header := page(s, r, all)
	return reply{status: http.StatusOK, header: header, body: items}
}

func fileJSON(f *gitdiff.File) map[string]any {
	name, status := f.NewName, "modified"
	switch {
	case f.IsNew:
		status = "added"
	case f.IsDelete:
		name, status = f.OldName, "removed"
	case f.IsRename:
		status = "renamed"
	}
	patch, added, removed := "", int64(0), int64(0)
	for _, fragment := range f.TextFragments {
		patch += fragment.String()
		added += fragment.LinesAdded
		removed += fragment.LinesDeleted
	}
	out := map[string]any{"filename": name, "status": status, "additions": added, "deletions": removed, "changes": added + removed}
	if patch != "" { // a binary file has none
		out["patch"] = strings.TrimSuffix(patch, "\n")
	}
	return out
}

// getPermission is 404 for whom GitHub does not know; those that a repository says nothing of may do nothing there.
func getPermission(re *repo, login string) reply {
	may, known := re.members[login]
	if !known {
		return message(http.StatusNotFound, fmt.Sprintf("%s is not a user", login))
	}
	return reply{status: http.StatusOK, body: map[string]any{"permission": may, "role_name": may, "user": map[string]any{"login": login}}}
}
