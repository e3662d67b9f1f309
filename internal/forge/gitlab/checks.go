package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
)

const maxStatuses = 1000

var errNoCommit = errors.New("no such commit")

// CommitChecks puts together what pipelines' jobs and other systems' statuses say about a commit, without our own: GitLab
// lists both as a commit's statuses, of each name the latest.
func (c *Client) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	type status struct {
		Name         string `json:"name"`
		Status       string `json:"status"`
		AllowFailure bool   `json:"allow_failure"`
	}
	all, err := list[status](ctx, c, owner, name, errNoCommit, url.Values{}, maxStatuses, "repository", "commits", commit, "statuses")
	if errors.Is(err, errNoCommit) {
		return forge.ChecksNone, nil
	}
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read statuses of %s: %w", commit, err)
	}
	out := forge.ChecksNone
	for _, s := range all {
		if first, _, _ := strings.Cut(s.Name, "/"); first == forge.OwnCheck {
			continue
		}
		switch one := outcome(s.Status, s.AllowFailure); {
		case one == forge.ChecksRed:
			return forge.ChecksRed, nil
		case one == forge.ChecksPending, out == forge.ChecksNone:
			out = one
		}
	}
	return out, nil
}

// outcome reads a job's status as its pipeline does (docs.gitlab.com/ci/jobs, "Job status"): what may fail, what was
// skipped and what waits for a person holds nothing up.
func outcome(status string, mayFail bool) forge.Checks {
	switch status {
	case "success", "skipped", "manual":
		return forge.ChecksGreen
	case "failed", "canceled", "canceling":
		if mayFail {
			return forge.ChecksGreen
		}
		return forge.ChecksRed
	}
	return forge.ChecksPending
}
