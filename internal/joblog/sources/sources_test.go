package sources_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
	"github.com/sre-agent/sre-agent/internal/joblog/sources"
)

// load is the runner's configuration with these variables besides what it requires.
func load(t *testing.T, variables map[string]string) *config.Config {
	t.Helper()
	environ := map[string]string{
		"NATS_URL": "nats://127.0.0.1:1", "DATABASE_URL": "postgres://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1", "GITHUB_READ_TOKEN": "ghp_token",
	}
	for k, v := range variables {
		environ[k] = v
	}
	cfg, err := config.Load(config.Runner, environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestAProviderThatCannotBeReadIsDeclinedByNameAndSaysWhatToSet(t *testing.T) {
	s := sources.New(load(t, nil), nil)
	for provider, want := range map[string]string{
		"gitlab": "GITLAB_READ_TOKEN", "circleci": "CIRCLECI_READ_TOKEN", "jenkins": "JENKINS_URL and JENKINS_READ_TOKEN",
		"azure-devops": "AZURE_DEVOPS_URL and AZURE_DEVOPS_READ_TOKEN", "buildkite": "BUILDKITE_READ_TOKEN", "gitea": "GITEA_URL and GITEA_READ_TOKEN",
		"forgejo": "FORGEJO_URL and FORGEJO_READ_TOKEN",
	} {
		assertDeclined(t, s, ci.Failure{Provider: provider, RunURL: "https://ci.example.com/7"}, sources.ReasonNoToken, want)
	}
	for _, f := range []ci.Failure{
		{Provider: "bitbucket", RunURL: "https://ci.example.com/7"},
		{Provider: "generic", RunURL: "https://ci.example.com/7"},
		{Provider: "github", RunID: "7", RunURL: "https://ci.example.com/7"}, // another app's check
		{Provider: "nobody", RunURL: "https://ci.example.com/7"},
	} {
		assertDeclined(t, s, f, sources.ReasonNoLog, "")
	}
	if err := s.Readable(ci.Failure{Provider: "github", RunID: "7", RunURL: "https://github.com/acme/shop/actions/runs/7"}); err != nil {
		t.Errorf("GitHub Actions: %v", err)
	}
}

func assertDeclined(t *testing.T, s *sources.Sources, f ci.Failure, reason, says string) {
	t.Helper()
	_, listing := s.FailedJobs(t.Context(), f)
	_, _, reading := s.Log(t.Context(), f, joblog.Job{}, 1)
	_, _, looking := s.LastGreen(t.Context(), f, joblog.Job{})
	for _, err := range []error{s.Readable(f), listing, reading, looking} {
		if got, _ := fault.Reason(err); got != reason || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), f.RunURL) {
			t.Errorf("%s: %v; want %s that says %q and where to look", f.Provider, err, reason, says)
		}
	}
}

func TestEveryConfiguredProviderIsReadInsideOfTheAllowedNetworksAlone(t *testing.T) {
	for provider, tt := range map[string]struct {
		double     joblogtest.Double
		url, token string
	}{
		"github":       {joblogtest.GitHub(), "GITHUB_API_URL", "GITHUB_READ_TOKEN"},
		"gitlab":       {joblogtest.GitLab(), "GITLAB_API_URL", "GITLAB_READ_TOKEN"},
		"circleci":     {joblogtest.CircleCI(), "CIRCLECI_URL", "CIRCLECI_READ_TOKEN"},
		"jenkins":      {joblogtest.Jenkins(), "JENKINS_URL", "JENKINS_READ_TOKEN"},
		"azure-devops": {joblogtest.AzureDevOps(), "AZURE_DEVOPS_URL", "AZURE_DEVOPS_READ_TOKEN"},
		"buildkite":    {joblogtest.Buildkite(), "BUILDKITE_API_URL", "BUILDKITE_READ_TOKEN"},
		"gitea":        {joblogtest.Gitea(), "GITEA_URL", "GITEA_READ_TOKEN"},
		"forgejo":      {joblogtest.Forgejo(), "FORGEJO_URL", "FORGEJO_READ_TOKEN"},
	} {
		t.Run(provider, func(t *testing.T) {
			srv := joblogtest.Start(t, tt.double, joblogtest.World{Failed: []joblogtest.Job{{Name: "test", Failed: true, Log: "text"}}})
			cfg := load(t, map[string]string{tt.url: srv.URL + tt.double.Base, tt.token: tt.double.Token})
			f := tt.double.Failure(srv.URL)
			if f.Provider != provider {
				t.Fatalf("the double is of %s", f.Provider)
			}
			_, err := sources.New(cfg, httpapi.Guarded(nil)).FailedJobs(t.Context(), f)
			if reason, _ := fault.Reason(err); reason != "forbidden_address" || len(srv.Requests()) != 0 {
				t.Errorf("with no network allowed: %v, %d requests", err, len(srv.Requests()))
			}
			s := sources.New(cfg, httpapi.Guarded([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
			jobs, err := s.FailedJobs(t.Context(), f)
			if err != nil || len(jobs) != 1 {
				t.Fatalf("jobs = %v, %v", jobs, err)
			}
			if text, _, err := s.Log(t.Context(), f, jobs[0], 1000); err != nil || !strings.HasSuffix(string(text), "text") {
				t.Errorf("log = %q, %v", text, err)
			}
		})
	}
}
