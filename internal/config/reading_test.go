package config_test

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/config"
)

func TestATokenWithoutTheAddressThatItIsForIsAProblem(t *testing.T) {
	runner := func(variables ...string) map[string]string {
		environ := map[string]string{
			"NATS_URL": "nats://127.0.0.1:1", "DATABASE_URL": "postgres://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1", "GITHUB_READ_TOKEN": "x",
		}
		for i := 0; i < len(variables); i += 2 {
			environ[variables[i]] = variables[i+1]
		}
		return environ
	}
	for token, address := range map[string]string{
		"JENKINS_READ_TOKEN": "JENKINS_URL", "AZURE_DEVOPS_READ_TOKEN": "AZURE_DEVOPS_URL", "GITEA_READ_TOKEN": "GITEA_URL", "FORGEJO_READ_TOKEN": "FORGEJO_URL",
	} {
		_, err := config.Load(config.Runner, runner(token, "the-token"))
		if err == nil || !strings.Contains(err.Error(), address+" is not set, but "+token+" is") || strings.Contains(err.Error(), "the-token") {
			t.Errorf("%s alone: %v", token, err)
		}
		if _, err := config.Load(config.Runner, runner(token, "the-token", address, "https://ci.example.com")); err != nil {
			t.Errorf("%s with its address: %v", token, err)
		}
	}
	for _, token := range []string{"GITLAB_READ_TOKEN", "CIRCLECI_READ_TOKEN", "BUILDKITE_READ_TOKEN", "BITBUCKET_READ_TOKEN"} {
		if _, err := config.Load(config.Runner, runner(token, "the-token")); err != nil {
			t.Errorf("%s, whose address has a default: %v", token, err)
		}
	}
	if _, err := config.Load(config.Runner, runner("API_ALLOWED_NETWORKS", "10.0.0.0/8,nonsense")); err == nil {
		t.Error("a network that is none was taken")
	}
}

func TestOnlyTheRunnerIsGivenTheTokensThatRead(t *testing.T) {
	for _, v := range config.Describe() {
		if !strings.HasSuffix(v.Name, "_READ_TOKEN") {
			continue
		}
		for _, p := range v.Programs {
			if p != config.Runner && p != config.All {
				t.Errorf("%s goes to %s", v.Name, p)
			}
		}
	}
}
