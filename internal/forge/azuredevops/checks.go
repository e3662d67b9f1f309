package azuredevops

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// The types of policy that are about CI: build validation and required statuses (those of the organisation's
// _apis/policy/types). Reviewers and work items are not.
const (
	buildPolicy  = "0609b952-1397-4640-95ec-e00a01b2c241"
	statusPolicy = "cbdc66da-9728-4af8-aada-9a5a32e4a226"
)

// CommitChecks sums up the statuses of a commit, and the CI policies of the open pull requests whose head it is.
func (c *Client) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	p, err := path(owner, name, "commits", commit, "statuses")
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read checks: %w", err)
	}
	var got struct {
		Value []struct {
			State   string `json:"state"`
			Context struct {
				Genre string `json:"genre"`
				Name  string `json:"name"`
			} `json:"context"`
		} `json:"value"`
	}
	query := url.Values{"latestOnly": {"true"}, "top": {strconv.Itoa(maxItems)}}
	if _, err := c.api.Get(ctx, p, versioned(query, apiVersion), &got); err != nil {
		return forge.ChecksNone, fmt.Errorf("read checks of %s: %w", commit, repositoryFault(err))
	}
	var states []string
	for _, s := range got.Value {
		if s.Context.Genre != forge.OwnCheck && s.Context.Name != forge.OwnCheck {
			states = append(states, s.State)
		}
	}
	policies, err := c.policies(ctx, owner, name, commit)
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read checks of %s: %w", commit, err)
	}
	return sum(append(states, policies...)), nil
}

// sum takes the states of statuses and of policies together; what does not apply says nothing.
func sum(states []string) forge.Checks {
	out := forge.ChecksNone
	for _, s := range states {
		switch s {
		case "failed", "error", "rejected", "broken":
			return forge.ChecksRed
		case "notApplicable", "notSet":
		case "succeeded", "approved":
			if out == forge.ChecksNone {
				out = forge.ChecksGreen
			}
		default:
			out = forge.ChecksPending
		}
	}
	return out
}

func (c *Client) policies(ctx context.Context, owner, name, commit string) ([]string, error) {
	open, err := c.list(ctx, owner, name, url.Values{"searchCriteria.status": {"active"}})
	if err != nil {
		return nil, err
	}
	var states []string
	for _, pr := range open {
		if pr.LastMergeSourceCommit.CommitID != commit {
			continue
		}
		more, err := c.evaluations(ctx, owner, pr)
		if err != nil {
			return nil, err
		}
		states = append(states, more...)
	}
	return states, nil
}

func (c *Client) evaluations(ctx context.Context, owner string, pr pullRequest) ([]string, error) {
	p, err := httpapi.Path(owner, "_apis", "policy", "evaluations")
	if err != nil {
		return nil, err
	}
	var got struct {
		Value []struct {
			Status        string `json:"status"`
			Configuration struct {
				Enabled bool `json:"isEnabled"`
				Type    struct {
					ID string `json:"id"`
				} `json:"type"`
			} `json:"configuration"`
		} `json:"value"`
	}
	artifact := fmt.Sprintf("vstfs:///CodeReview/CodeReviewId/%s/%d", pr.Repository.Project.ID, pr.ID)
	if _, err := c.api.Get(ctx, p, versioned(url.Values{"artifactId": {artifact}}, policyVersion), &got); err != nil {
		return nil, err
	}
	var states []string
	for _, e := range got.Value {
		if id := e.Configuration.Type.ID; e.Configuration.Enabled && (id == buildPolicy || id == statusPolicy) {
			states = append(states, e.Status)
		}
	}
	return states, nil
}
