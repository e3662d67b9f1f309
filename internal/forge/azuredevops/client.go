// Package azuredevops opens pull requests in Azure Repos by REST 7.1 (learn.microsoft.com/rest/api/azure/devops).
//
// Owner is the project, name the repository, and the base URL has the organisation. A write is one request and is never
// repeated here: an error that is not permanent leaves open whether it took effect, and the caller looks before it
// writes again. A person is named by the unique name (mail address) or by the identity's id.
package azuredevops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/sending"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	apiVersion    = "7.1"
	policyVersion = "7.1-preview.1" // policy evaluations have no other
	pageSize      = 100
	maxItems      = 1000
	maxFiles      = 300
	headDelay     = 5 * time.Second
	heads         = "refs/heads/"
)

// Client speaks for one token to one organisation.
type Client struct {
	api    *httpapi.Client
	people *httpapi.Client
	sender *sending.Sender
	root   string // for the pages that people see
}

// New returns a client for an organisation, such as https://dev.azure.com/acme. A nil hc means one with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Client {
	if token != "" {
		token = ":" + token // a password without a user
	}
	options := httpapi.Options{BaseURL: baseURL, Token: token, Auth: httpapi.Basic, Accept: "application/json", HTTP: hc}
	api := httpapi.New(options)
	options.BaseURL = peopleURL(baseURL)
	return &Client{api: api, people: httpapi.New(options), sender: sending.New(api, hc), root: strings.TrimRight(baseURL, "/")}
}

// peopleURL is where identities are read: Azure DevOps Services has another documented host for them, a server of one's
// own has not.
func peopleURL(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err == nil && u.Scheme == "https" && u.Host == "dev.azure.com" {
		u.Host = "vssps.dev.azure.com"
		return u.String()
	}
	return baseURL
}

func versioned(query url.Values, version string) url.Values {
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", version)
	return query
}

// path is a path below a repository.
func path(owner, name string, more ...string) (string, error) {
	return httpapi.Path(append([]string{owner, "_apis", "git", "repositories", name}, more...)...)
}

// BranchHead returns the commit that a branch points to, or forge.ErrNoBranch.
func (c *Client) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	p, err := path(owner, name, "refs")
	if err != nil {
		return "", fmt.Errorf("read branch: %w", err)
	}
	var got struct {
		Value []struct {
			Name     string `json:"name"`
			ObjectID string `json:"objectId"`
		} `json:"value"`
	}
	// The filter is a prefix; the list is in order, so that the name itself comes before the longer ones.
	if _, err := c.api.Get(ctx, p, versioned(url.Values{"filter": {"heads/" + branch}}, apiVersion), &got); err != nil {
		return "", fmt.Errorf("read branch %s: %w", branch, repositoryFault(err))
	}
	for _, r := range got.Value {
		if r.Name == heads+branch && r.ObjectID != "" {
			return r.ObjectID, nil
		}
	}
	return "", fmt.Errorf("read branch %s: %w", branch, forge.ErrNoBranch)
}

type repository struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	DefaultBranch string `json:"defaultBranch"`
	IsDisabled    bool   `json:"isDisabled"`
	Project       struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"project"`
	Parent *repository `json:"parentRepository"`
}

func (r repository) fullName() string { return r.Project.Name + "/" + r.Name }

// securityToken names the repository in the permissions' namespace.
func (r repository) securityToken() string { return "repoV2/" + r.Project.ID + "/" + r.ID }

func (c *Client) repository(ctx context.Context, owner, name string) (repository, error) {
	p, err := path(owner, name)
	if err != nil {
		return repository{}, err
	}
	var got repository
	_, err = c.api.Get(ctx, p, versioned(url.Values{"includeParent": {"true"}}, apiVersion), &got)
	return got, repositoryFault(err)
}

// Repository says what the forge knows about a repository and what our token may do there. A disabled one is archived.
func (c *Client) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	got, err := c.repository(ctx, owner, name)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", err)
	}
	out := forge.Repository{
		ID: got.ID, FullName: got.fullName(), Archived: got.IsDisabled,
		DefaultBranch: strings.TrimPrefix(got.DefaultBranch, heads),
	}
	if got.Parent != nil {
		out.Parent = got.Parent.fullName()
	}
	out.CanPush, err = c.mayWrite(ctx, got)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read our rights: %w", err)
	}
	return out, nil
}

// write is the one place that writes. What is refused of any write is "pull_request_rejected".
func (c *Client) write(ctx context.Context, method, p string, in, out any) error {
	return sending.Refused(c.sender.Send(ctx, method, p+"?"+versioned(nil, apiVersion).Encode(), in, out))
}

func repositoryFault(err error) error {
	if reason, ok := fault.Reason(err); ok && reason == "not_found" {
		return fault.Perm("repository_not_found", err)
	}
	return err
}

// missing tells a missing pull request from a missing repository, which are both 404.
func (c *Client) missing(ctx context.Context, owner, name string, err error) error {
	if reason, ok := fault.Reason(err); !ok || reason != "not_found" {
		return err
	}
	if _, repoErr := c.repository(ctx, owner, name); repoErr != nil {
		return repoErr
	}
	return forge.ErrNoPullRequest
}

// coded says whether an answer has one of Azure DevOps' error codes, such as TF401179.
func coded(err error, code string) bool {
	var se *httpapi.StatusError
	return errors.As(err, &se) && strings.Contains(se.Message, code)
}
