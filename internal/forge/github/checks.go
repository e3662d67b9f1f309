package github

import (
	"context"
	"fmt"
	"net/url"

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
	return runs.With(statuses), nil
}

func (c *Client) checkRuns(ctx context.Context, owner, name, commit string) (out forge.Checks, err error) {
	path, err := httpapi.Path("repos", owner, name, "commits", commit, "check-runs")
	if err != nil {
		return forge.ChecksNone, err
	}
	type run struct {
		Name       string `json:"name"`
		Status     string `json:"status"`
		Conclusion string `json:"conclusion"`
	}
	type page struct {
		CheckRuns []run `json:"check_runs"`
	}
	runs, err := list(ctx, c, owner, name, path, url.Values{"filter": {"latest"}}, maxChecks, func(p page) []run { return p.CheckRuns })
	for _, r := range runs {
		if !forge.Ours(r.Name) {
			out = out.With(runOutcome(r.Status, r.Conclusion))
		}
	}
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

func (c *Client) statuses(ctx context.Context, owner, name, commit string) (out forge.Checks, err error) {
	path, err := httpapi.Path("repos", owner, name, "commits", commit, "status")
	if err != nil {
		return forge.ChecksNone, err
	}
	type status struct {
		Context string `json:"context"`
		State   string `json:"state"`
	}
	type page struct {
		Statuses []status `json:"statuses"`
	}
	statuses, err := list(ctx, c, owner, name, path, nil, maxChecks, func(p page) []status { return p.Statuses })
	for _, s := range statuses {
		switch {
		case forge.Ours(s.Context):
		case s.State == "pending":
			out = out.With(forge.ChecksPending)
		case s.State == "success":
			out = out.With(forge.ChecksGreen)
		default: // failure, error
			out = out.With(forge.ChecksRed)
		}
	}
	return out, err
}
