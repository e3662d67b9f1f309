package github

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// maxChecks bounds how many check runs and how many statuses of a commit are read; GitHub keeps 1,000 of one name.
const maxChecks = 1000

// CommitChecks puts together what check runs (GitHub Actions and Apps) and statuses (older CIs) say about a commit,
// without our own.
func (c *Client) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	runs, err := c.checkRuns(ctx, owner, name, commit)
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read check runs of %s: %w", commit, repositoryFault(err))
	}
	statuses, err := c.statuses(ctx, owner, name, commit)
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read statuses of %s: %w", commit, repositoryFault(err))
	}
	return together(append(runs, statuses...)), nil
}

// together is red as soon as one is, and green only when all are.
func together(all []forge.Checks) forge.Checks {
	out := forge.ChecksNone
	for _, one := range all {
		switch {
		case one == forge.ChecksRed:
			return forge.ChecksRed
		case one == forge.ChecksPending, out == forge.ChecksNone:
			out = one
		}
	}
	return out
}

func own(check string) bool {
	first, _, _ := strings.Cut(check, "/")
	return first == forge.OwnCheck
}

func (c *Client) checkRuns(ctx context.Context, owner, name, commit string) ([]forge.Checks, error) {
	path, err := httpapi.Path("repos", owner, name, "commits", commit, "check-runs")
	if err != nil {
		return nil, err
	}
	var out []forge.Checks
	err = c.pages(ctx, owner, name, path, url.Values{"filter": {"latest"}}, maxChecks, func() (any, func() int) {
		var page struct {
			CheckRuns []struct {
				Name       string `json:"name"`
				Status     string `json:"status"`
				Conclusion string `json:"conclusion"`
			} `json:"check_runs"`
		}
		return &page, func() int {
			for _, r := range page.CheckRuns {
				if !own(r.Name) {
					out = append(out, runOutcome(r.Status, r.Conclusion))
				}
			}
			return len(page.CheckRuns)
		}
	})
	return out, err
}

// runOutcome follows what GitHub lets pass a required check (docs.github.com, "About status checks").
func runOutcome(status, conclusion string) forge.Checks {
	switch {
	case status != "completed":
		return forge.ChecksPending
	case conclusion == "success" || conclusion == "neutral" || conclusion == "skipped":
		return forge.ChecksGreen
	}
	return forge.ChecksRed
}

func (c *Client) statuses(ctx context.Context, owner, name, commit string) ([]forge.Checks, error) {
	path, err := httpapi.Path("repos", owner, name, "commits", commit, "status")
	if err != nil {
		return nil, err
	}
	var out []forge.Checks
	err = c.pages(ctx, owner, name, path, nil, maxChecks, func() (any, func() int) {
		var page struct {
			Statuses []struct {
				Context string `json:"context"`
				State   string `json:"state"`
			} `json:"statuses"`
		}
		return &page, func() int {
			for _, s := range page.Statuses {
				switch {
				case own(s.Context):
				case s.State == "pending":
					out = append(out, forge.ChecksPending)
				case s.State == "success":
					out = append(out, forge.ChecksGreen)
				default: // failure, error
					out = append(out, forge.ChecksRed)
				}
			}
			return len(page.Statuses)
		}
	})
	return out, err
}
