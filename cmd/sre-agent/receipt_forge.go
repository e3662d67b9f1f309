package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/github"
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
	asked.PR = strings.TrimRight(v.what, "/")
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

var githubPull = regexp.MustCompile(`^/([^/]+)/([^/]+)/pull/([0-9]{1,9})/?$`)

// pullRequestAt says which forge a pull request is on. The token goes to the configured API and nowhere else.
func pullRequestAt(cfg *config.Config, address, token string) (at commented, owner, name string, number int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", "", 0, fmt.Errorf("%q is no address", address)
	}
	m := githubPull.FindStringSubmatch(u.EscapedPath())
	if m == nil {
		return nil, "", "", 0, fmt.Errorf("%s is no pull request on GitHub; of another forge, give the comment's text as a file", address)
	}
	api, err := url.Parse(cfg.GitHubAPIURL)
	if err != nil || api.Host != u.Host && (api.Host != "api.github.com" || u.Host != "github.com") {
		return nil, "", "", 0, fmt.Errorf("GITHUB_API_URL is %s, which is not the API of %s", cfg.GitHubAPIURL, u.Host)
	}
	number, err = strconv.Atoi(m[3])
	return github.New(cfg.GitHubAPIURL, token, nil), m[1], m[2], number, err
}
