package redeliver

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
)

// Hooks returns every hook that the configuration names; none when it names none.
func Hooks(cfg *config.Config, now func() time.Time) ([]Hook, error) {
	if problems := cfg.HookProblems(); len(problems) > 0 {
		return nil, errors.New(problems[0].String())
	}
	addresses, err := config.ParseGitHubHooks(cfg.GitHubHooks)
	if err != nil {
		return nil, fmt.Errorf("GITHUB_HOOKS: %w", err)
	}
	var key *rsa.PrivateKey
	if cfg.GitHubAppPrivateKey.IsSet() {
		if key, err = config.ParseAppKey(cfg.GitHubAppPrivateKey.Reveal()); err != nil {
			return nil, fmt.Errorf("GITHUB_APP_PRIVATE_KEY: %w", err)
		}
	}
	hooks, err := GitHub(cfg.GitHubAPIURL, cfg.GitHubHookToken.Reveal(), cfg.GitHubAppID, key, addresses, now)
	if err != nil {
		return nil, err
	}
	if addresses, err = config.ParseGitLabHooks(cfg.GitLabHooks); err != nil {
		return nil, fmt.Errorf("GITLAB_HOOKS: %w", err)
	}
	more, err := GitLab(cfg.GitLabAPIURL, cfg.GitLabHookToken.Reveal(), addresses, now)
	return append(hooks, more...), err
}
