package joblog_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/azuredevops"
	"github.com/sre-agent/sre-agent/internal/joblog/buildkite"
	"github.com/sre-agent/sre-agent/internal/joblog/circleci"
	"github.com/sre-agent/sre-agent/internal/joblog/gitea"
	"github.com/sre-agent/sre-agent/internal/joblog/github"
	"github.com/sre-agent/sre-agent/internal/joblog/gitlab"
	"github.com/sre-agent/sre-agent/internal/joblog/jenkins"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
)

func TestEveryReaderConforms(t *testing.T) {
	for name, tt := range map[string]struct {
		double joblogtest.Double
		open   func(joblog.API) joblogtest.Source
	}{
		"github":       {joblogtest.GitHub(), func(a joblog.API) joblogtest.Source { return github.New(a) }},
		"gitlab":       {joblogtest.GitLab(), func(a joblog.API) joblogtest.Source { return gitlab.New(a) }},
		"circleci":     {joblogtest.CircleCI(), func(a joblog.API) joblogtest.Source { return circleci.New(a) }},
		"jenkins":      {joblogtest.Jenkins(), func(a joblog.API) joblogtest.Source { return jenkins.New(a) }},
		"azure-devops": {joblogtest.AzureDevOps(), func(a joblog.API) joblogtest.Source { return azuredevops.New(a) }},
		"buildkite":    {joblogtest.Buildkite(), func(a joblog.API) joblogtest.Source { return buildkite.New(a) }},
		"gitea":        {joblogtest.Gitea(), func(a joblog.API) joblogtest.Source { return gitea.New(a) }},
		"forgejo":      {joblogtest.Forgejo(), func(a joblog.API) joblogtest.Source { return gitea.New(a) }},
	} {
		t.Run(name, func(t *testing.T) { joblogtest.Conform(t, tt.double, tt.open) })
	}
}
