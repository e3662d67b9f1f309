package forgetest

import (
	"net/http"
	"slices"
)

// Check is what a CI said about a commit: a check run, or a status when Legacy is set.
type Check struct {
	Commit, Name string
	// Legacy says that it is a status, as CIs other than Actions and Apps report it.
	Legacy bool
	// Outcome is empty while it is under way, else "success", "failure" or another conclusion.
	Outcome string
}

// Report lets a CI say something. Of each name only the latest word counts.
func (s *Server) Report(owner, name string, c Check) error {
	return s.withRepo(owner, name, func(re *repo) error {
		same := func(old Check) bool { return old.Commit == c.Commit && old.Name == c.Name && old.Legacy == c.Legacy }
		if i := slices.IndexFunc(re.checks, same); i >= 0 {
			re.checks[i] = c
			return nil
		}
		re.checks = append(re.checks, c)
		return nil
	})
}

func (re *repo) checksOf(commit string, legacy bool) (out []Check) {
	for _, c := range re.checks {
		if c.Commit == commit && c.Legacy == legacy {
			out = append(out, c)
		}
	}
	return out
}

func (s *Server) listChecks(re *repo, r *http.Request, commit string) reply {
	if !s.has(re, commit) {
		return message(http.StatusUnprocessableEntity, "No commit found for SHA: "+commit)
	}
	all := re.checksOf(commit, false)
	var out []any
	for i, c := range all {
		run := map[string]any{"id": i + 1, "name": c.Name, "head_sha": commit, "status": "in_progress", "conclusion": nil}
		if c.Outcome != "" {
			run["status"], run["conclusion"] = "completed", c.Outcome
		}
		out = append(out, run)
	}
	items, header := page(s, r, out)
	return reply{status: http.StatusOK, header: header, body: map[string]any{"total_count": len(all), "check_runs": items}}
}

func (s *Server) getStatus(re *repo, r *http.Request, commit string) reply {
	if !s.has(re, commit) {
		return message(http.StatusNotFound, "Not Found")
	}
	state, all := "success", re.checksOf(commit, true)
	if len(all) == 0 {
		state = "pending"
	}
	var out []any
	for i, c := range all {
		one := c.Outcome
		switch {
		case one == "":
			one = "pending"
			if state == "success" {
				state = "pending"
			}
		case one != "success":
			state = "failure"
		}
		out = append(out, map[string]any{"id": i + 1, "context": c.Name, "state": one})
	}
	items, header := page(s, r, out)
	body := map[string]any{"state": state, "sha": commit, "total_count": len(all), "statuses": items, "repository": repositoryJSON(re)}
	return reply{status: http.StatusOK, header: header, body: body}
}
