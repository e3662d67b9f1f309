package config

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// HookAddress is one webhook in a provider's settings.
type HookAddress struct {
	// Kind is repo, org or app (GitHub), or project or group (GitLab).
	Kind string
	// Path is whose hook it is, such as acme/shop; the App's hook has none, and no ID.
	Path string
	ID   int64
}

// String is the address as it is configured.
func (h HookAddress) String() string {
	if h.Kind == "app" {
		return h.Kind
	}
	return h.Kind + ":" + h.Path + ":" + strconv.FormatInt(h.ID, 10)
}

// ParseGitHubHooks reads the entries of GITHUB_HOOKS.
func ParseGitHubHooks(entries []string) ([]HookAddress, error) {
	return parseHooks(entries, func(kind string, segments int) bool {
		return kind == "repo" && segments == 2 || kind == "org" && segments == 1
	})
}

// ParseGitLabHooks reads the entries of GITLAB_HOOKS.
func ParseGitLabHooks(entries []string) ([]HookAddress, error) {
	return parseHooks(entries, func(kind string, _ int) bool { return kind == "project" || kind == "group" })
}

func parseHooks(entries []string, fits func(kind string, segments int) bool) ([]HookAddress, error) {
	hooks := make([]HookAddress, 0, len(entries))
	for _, entry := range entries {
		if entry == "app" && fits("repo", 2) {
			hooks = append(hooks, HookAddress{Kind: entry})
			continue
		}
		parts := strings.Split(entry, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%q is not kind:path:id", clip(entry))
		}
		segments := strings.Split(parts[1], "/")
		id, err := strconv.ParseInt(parts[2], 10, 64)
		bad := func(s string) bool { return s == "" || s == "." || s == ".." }
		if err != nil || id < 1 || slices.ContainsFunc(segments, bad) || !fits(parts[0], len(segments)) {
			return nil, fmt.Errorf("%q is not a hook's address", clip(entry))
		}
		hooks = append(hooks, HookAddress{Kind: parts[0], Path: parts[1], ID: id})
	}
	return hooks, nil
}

// ParseAppKey reads the private key of a GitHub App: RSA, PEM, PKCS #1 (as GitHub makes it) or PKCS #8.
func ParseAppKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is not an RSA private key")
	}
	return key, nil
}

// checkHooks wants with each hook what asking about it takes. The operator's commands need it only to reconcile.
func (l *loader) checkHooks() {
	if l.cfg.program == Operator {
		return
	}
	for _, p := range l.cfg.HookProblems() {
		if !l.bad[p.Variable] {
			l.problems = append(l.problems, p)
		}
	}
}

// HookProblems says what is not set though the configured hooks need it.
func (c *Config) HookProblems() []Problem {
	var problems []Problem
	needs := func(variable string, missing bool, whom string) {
		if missing {
			problems = append(problems, Problem{Variable: variable, Given: "is not set", Want: "it, to ask for redelivery from " + whom})
		}
	}
	hooks, _ := ParseGitHubHooks(c.GitHubHooks) // what can't be read is a problem already
	isApp := func(h HookAddress) bool { return h.Kind == "app" }
	isOther := func(h HookAddress) bool { return h.Kind != "app" }
	needs("GITHUB_HOOK_TOKEN", slices.ContainsFunc(hooks, isOther) && !c.GitHubHookToken.IsSet(), "the repositories and organisations of GITHUB_HOOKS")
	needs("GITHUB_APP_ID", slices.ContainsFunc(hooks, isApp) && c.GitHubAppID == "", "the App of GITHUB_HOOKS")
	needs("GITHUB_APP_PRIVATE_KEY", slices.ContainsFunc(hooks, isApp) && !c.GitHubAppPrivateKey.IsSet(), "the App of GITHUB_HOOKS")
	needs("GITLAB_HOOK_TOKEN", len(c.GitLabHooks) > 0 && !c.GitLabHookToken.IsSet(), "GITLAB_HOOKS")
	return problems
}
