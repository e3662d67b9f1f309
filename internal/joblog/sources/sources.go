// Package sources finds the reader of a failure's logs: one for each provider that has a token.
//
// A provider that can't be read is declined by name: "no_token" says which variables to set, "no_log" that the log is
// in no API that anybody here knows, and where a person can look.
package sources

import (
	"context"
	"net/http"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/azuredevops"
	"github.com/sre-agent/sre-agent/internal/joblog/buildkite"
	"github.com/sre-agent/sre-agent/internal/joblog/circleci"
	"github.com/sre-agent/sre-agent/internal/joblog/gitea"
	"github.com/sre-agent/sre-agent/internal/joblog/github"
	"github.com/sre-agent/sre-agent/internal/joblog/gitlab"
	"github.com/sre-agent/sre-agent/internal/joblog/jenkins"
)

// Reasons why a log is not read.
const (
	ReasonNoLog   = "no_log"
	ReasonNoToken = "no_token"
)

// Source is one provider's reader.
type Source interface {
	// FailedJobs lists the jobs of a failure that failed or timed out.
	FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error)
	// Log reads at most limit bytes of a job's log, head and tail.
	Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error)
	// LastGreen finds the same job in the latest run that was green, on the base branch where the provider can tell.
	LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error)
}

// Sources has every provider that is configured.
type Sources struct {
	ready map[string]Source
	unset map[string]config.Reader
}

// New makes the readers of a configuration; hc carries all their calls.
func New(cfg *config.Config, hc *http.Client) *Sources {
	s := &Sources{unset: map[string]config.Reader{}}
	s.ready = map[string]Source{"github": github.New(joblog.API{BaseURL: cfg.GitHubAPIURL, Token: cfg.ReadToken.Reveal(), HTTP: hc})}
	for _, r := range cfg.Readers(cfg.GitLabAPIURL) {
		if r.Token.IsSet() && r.URL != "" {
			s.ready[r.Provider] = reader(r.Provider, joblog.API{BaseURL: r.URL, Token: r.Token.Reveal(), HTTP: hc})
		} else {
			s.unset[r.Provider] = r
		}
	}
	return s
}

func reader(provider string, a joblog.API) Source {
	switch provider {
	case "gitlab":
		return gitlab.New(a)
	case "circleci":
		return circleci.New(a)
	case "jenkins":
		return jenkins.New(a)
	case "azure-devops":
		return azuredevops.New(a)
	case "buildkite":
		return buildkite.New(a)
	default:
		return gitea.New(a)
	}
}

// Readable says with a named reason why a failure's log can't be read, before anything is asked.
func (s *Sources) Readable(f ci.Failure) error {
	_, err := s.of(f)
	return err
}

func (s *Sources) of(f ci.Failure) (Source, error) {
	source, ready := s.ready[f.Provider]
	unset, known := s.unset[f.Provider]
	switch {
	case ready && f.Provider == "github" && !github.Readable(f):
		return nil, fault.Permf(ReasonNoLog, "the log of a check that is not GitHub Actions' own is with the app that made it: see %s", f.RunURL)
	case ready:
		return source, nil
	case known && unset.URL == "":
		return nil, fault.Permf(ReasonNoToken, "logs of %s are not read: set %s and %s; until then see %s", f.Provider, unset.URLName, unset.TokenName(), f.RunURL)
	case known:
		return nil, fault.Permf(ReasonNoToken, "logs of %s are not read: set %s; until then see %s", f.Provider, unset.TokenName(), f.RunURL)
	}
	return nil, fault.Permf(ReasonNoLog, "the logs of %s pipelines can't be read, so nobody knows what failed: see %s", f.Provider, f.RunURL)
}

// FailedJobs lists the jobs of a failure that failed or timed out.
func (s *Sources) FailedJobs(ctx context.Context, f ci.Failure) ([]joblog.Job, error) {
	source, err := s.of(f)
	if err != nil {
		return nil, err
	}
	return source.FailedJobs(ctx, f)
}

// Log reads at most limit bytes of a job's log, head and tail.
func (s *Sources) Log(ctx context.Context, f ci.Failure, job joblog.Job, limit int64) (text []byte, truncated bool, err error) {
	source, err := s.of(f)
	if err != nil {
		return nil, false, err
	}
	return source.Log(ctx, f, job, limit)
}

// LastGreen finds the same job in the latest run that was green.
func (s *Sources) LastGreen(ctx context.Context, f ci.Failure, job joblog.Job) (joblog.Job, bool, error) {
	source, err := s.of(f)
	if err != nil {
		return joblog.Job{}, false, err
	}
	return source.LastGreen(ctx, f, job)
}
