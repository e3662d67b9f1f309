package github

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/appjwt"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/sending"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// early is how long before its end a token is no longer used.
const early = 5 * time.Minute

// Rights say what a token for a repository of an owner is to be allowed, by GitHub's names. None of them has
// "workflows": a push that changes what CI runs is refused by GitHub itself.
type Rights func(owner string) map[string]string

// ToPublish are the rights to push a fix and to open its pull request. Comments and labels of pull requests go with
// pull_requests; checks and statuses of a private repository can't be read without theirs (docs.github.com/rest,
// "Permissions required for GitHub Apps"). With forks of an owner's, those are pushed to and everything else is not.
func ToPublish(forkOwner string) Rights {
	return func(owner string) map[string]string {
		if forkOwner != "" && strings.EqualFold(owner, forkOwner) {
			return map[string]string{"contents": "write"}
		}
		contents := "write"
		if forkOwner != "" {
			contents = "read"
		}
		return map[string]string{"contents": contents, "pull_requests": "write", "checks": "read", "statuses": "read"}
	}
}

// ToRerun is the right to have a workflow's failed jobs run again.
func ToRerun(string) map[string]string { return map[string]string{"actions": "write"} }

// App is a GitHub App, which gets itself a token for one repository and one hour. A token is kept until shortly before
// its end and is never written down. It is safe for concurrent use: of those who want a repository's token at the same
// time, one asks for it.
type App struct {
	id      string
	key     *rsa.PrivateKey
	rights  Rights
	baseURL string
	hc      *http.Client
	now     func() time.Time

	mu     sync.Mutex
	grants map[string]*grant
}

// grant is what is known of one repository. Whoever has put something into turn may read and change it.
type grant struct {
	turn  chan struct{}
	token string
	ends  time.Time
	kept  bool // it has been handed out more than once
}

// NewApp returns the App of an id (or client ID) and its private key, whose tokens have these rights. A nil hc means one
// with sane timeouts, a nil now time.Now.
func NewApp(baseURL, id string, key *rsa.PrivateKey, rights Rights, hc *http.Client, now func() time.Time) *App {
	if now == nil {
		now = time.Now
	}
	return &App{id: id, key: key, rights: rights, baseURL: baseURL, hc: shared(baseURL, hc), now: now, grants: map[string]*grant{}}
}

// Token returns a token for a repository that is good for five minutes at least. A repository that the App is not
// installed on is "repository_not_found"; permissions that it was not given are "forbidden".
func (a *App) Token(ctx context.Context, owner, name string) (string, error) {
	g := a.grant(owner, name)
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("token for %s/%s: %w", owner, name, ctx.Err())
	}
	if g.token != "" && a.now().Before(g.ends.Add(-early)) {
		g.kept = true
		return g.token, nil
	}
	token, ends, err := a.mint(ctx, owner, name)
	if err != nil {
		return "", fmt.Errorf("token for %s/%s: %w", owner, name, err)
	}
	g.token, g.ends, g.kept = token, ends, false
	return token, nil
}

// Refused implements Tokens: a token that was kept is forgotten, and a new one may do better. One that has just been
// made will not.
func (a *App) Refused(owner, name, token string) bool {
	g := a.grant(owner, name)
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	if g.token != token {
		return true // somebody has replaced it meanwhile
	}
	g.token = ""
	return g.kept
}

func (a *App) grant(owner, name string) *grant {
	key := strings.ToLower(owner + "/" + name)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.grants[key] == nil {
		a.grants[key] = &grant{turn: make(chan struct{}, 1)}
	}
	return a.grants[key]
}

// mint makes a new token. If the reply is lost, the token that was made ends by itself within the hour, unused.
func (a *App) mint(ctx context.Context, owner, name string) (token string, ends time.Time, err error) {
	jwt, err := appjwt.Sign(a.id, a.key, a.now())
	if err != nil {
		return "", ends, fault.Perm("unauthorized", err)
	}
	api := httpapi.New(httpapi.Options{BaseURL: a.baseURL, Token: jwt, Version: apiVersion, HTTP: a.hc, Now: a.now})
	path, err := httpapi.Path("repos", owner, name, "installation")
	if err != nil {
		return "", ends, err
	}
	var installation struct {
		ID int64 `json:"id"`
	}
	if _, err := api.Get(ctx, path, nil, &installation); err != nil {
		return "", ends, fmt.Errorf("is the App installed there: %w", repositoryFault(err))
	}
	path, err = httpapi.Path("app", "installations", strconv.FormatInt(installation.ID, 10), "access_tokens")
	if err != nil {
		return "", ends, err
	}
	var got struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	in := map[string]any{"repositories": []string{name}, "permissions": a.rights(owner)}
	if err := sending.New(api, a.hc).Send(ctx, http.MethodPost, path, in, &got); err != nil {
		return "", ends, mintFault(err)
	}
	if got.Token == "" || strings.ContainsAny(got.Token, "\r\n") {
		return "", ends, &httpapi.RetryError{Op: "POST " + path, Message: "the answer holds no token"}
	}
	return got.Token, got.ExpiresAt, nil
}

// mintFault names a refusal: an installation that lacks a permission or the repository answers 422.
func mintFault(err error) error {
	if reason, _ := fault.Reason(err); reason == "rejected" {
		return fault.Perm("forbidden", err)
	}
	return repositoryFault(err)
}
