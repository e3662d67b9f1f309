package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/receipt"
)

// commented is a forge whose comments can be read.
type commented interface {
	Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error)
}

// verifyPullRequest looks for a receipt among the comments: the first that holds is the one. Anybody may write something
// that looks like one, so those that do not hold are told of only when there is no other.
func (a *app) verifyPullRequest(ctx context.Context, v verifying, asked receipt.Asked) (receipt.Report, error) {
	cfg, err := a.operator()
	if err != nil {
		return receipt.Report{}, err
	}
	token := ""
	if v.token != "" {
		text, err := os.ReadFile(v.token)
		if err != nil {
			return receipt.Report{}, &usageError{err.Error()}
		}
		token = strings.TrimSpace(string(text))
	}
	at, owner, name, number, err := pullRequestAt(cfg, v.what, token)
	if err != nil {
		return receipt.Report{}, &usageError{err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	comments, err := at.Comments(ctx, owner, name, number)
	if err != nil {
		return receipt.Report{}, err
	}
	shown, _, _ := strings.Cut(v.what, "#") // what a browser adds to point at a comment
	asked.PR = strings.TrimRight(shown, "/")
	var last *receipt.Report
	for _, c := range comments {
		signed, err := receipt.FromComment(c.Body)
		if err != nil {
			continue
		}
		rep := receipt.Verify(signed, asked)
		if rep.OK {
			return rep, nil
		}
		if last == nil || rep.Receipt != nil {
			last = &rep
		}
	}
	if last == nil {
		return receipt.Report{}, fmt.Errorf("none of the %d comments has a receipt", len(comments))
	}
	return *last, nil
}

// page is how a forge's pages of pull requests look below its address, and who reads their comments.
type page struct {
	forge  string
	shape  *regexp.Regexp
	client func(c *config.Config, token string) commented
}

func pages() []page {
	shape := func(s string) *regexp.Regexp { return regexp.MustCompile("^/" + s + "/([0-9]{1,9})/?$") }
	return []page{
		{origin.GitHub, shape("([^/]+)/([^/]+)/pull"), func(c *config.Config, t string) commented { return github.New(c.GitHubAPIURL, t, nil) }},
		{origin.GitLab, shape("(.+)/([^/]+)/-/merge_requests"), func(c *config.Config, t string) commented { return gitlab.New(c.GitLabAPIURL, t, nil) }},
		{origin.Gitea, shape("([^/]+)/([^/]+)/pulls"), func(c *config.Config, t string) commented { return gitea.New(c.GiteaURL, t, nil) }},
		{origin.Forgejo, shape("([^/]+)/([^/]+)/pulls"), func(c *config.Config, t string) commented { return gitea.New(c.ForgejoURL, t, nil) }},
		{origin.Bitbucket, shape("([^/]+)/([^/]+)/pull-requests"), func(c *config.Config, t string) commented { return bitbucket.New(c.BitbucketAPIURL, t, nil) }},
		{origin.Azure, shape("([^/]+)/_git/([^/]+)/pullrequest"), func(c *config.Config, t string) commented { return azuredevops.New(c.AzureDevOpsURL, t, nil) }},
	}
}

// pullRequestAt says which of the configured forges a pull request is on. The token goes to that one's API and nowhere
// else, and nothing is asked about an address that is below none of theirs.
func pullRequestAt(cfg *config.Config, address, token string) (at commented, owner, name string, number int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", "", 0, fmt.Errorf("%q is no address", address)
	}
	var known []string
	for _, p := range pages() {
		base := baseOf(cfg, p.forge)
		if base == "" {
			continue
		}
		known = append(known, base)
		if m := p.shape.FindStringSubmatch(below(base, u)); m != nil {
			owner, err = url.PathUnescape(m[1])
			name, nameErr := url.PathUnescape(m[2])
			number, numberErr := strconv.Atoi(m[3])
			return p.client(cfg, token), owner, name, number, errors.Join(err, nameErr, numberErr)
		}
	}
	return nil, "", "", 0, fmt.Errorf("%s is no pull request's page on a forge that is configured, which are %s; set the forge's address, or give the comment's text as a file",
		address, strings.Join(known, ", "))
}

// baseOf is a forge's configured address, for people and for git; empty when there is none.
func baseOf(cfg *config.Config, forge string) string {
	for _, f := range origin.Forges(cfg) {
		if f.Name == forge {
			return f.Base
		}
	}
	return ""
}

// below is an address' path below another address, from the slash on; empty when it is elsewhere.
func below(base string, u *url.URL) string {
	b, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || b.Scheme != u.Scheme || !strings.EqualFold(b.Host, u.Host) {
		return ""
	}
	return strings.TrimPrefix(u.EscapedPath(), b.EscapedPath())
}
