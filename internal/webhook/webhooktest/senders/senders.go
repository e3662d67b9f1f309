// Package senders is the table of makers of deliveries, one for each provider.
package senders

import (
	"github.com/sre-agent/sre-agent/internal/webhook/azuredevops/azuredevopstest"
	"github.com/sre-agent/sre-agent/internal/webhook/bitbucket/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/webhook/buildkite/buildkitetest"
	"github.com/sre-agent/sre-agent/internal/webhook/circleci/circlecitest"
	"github.com/sre-agent/sre-agent/internal/webhook/generic/generictest"
	"github.com/sre-agent/sre-agent/internal/webhook/gitea/giteatest"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/gitlab/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/webhook/jenkins/jenkinstest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
)

// Table lists a sender of every provider, in the order of package providers.
func Table() []webhooktest.Sender {
	return []webhooktest.Sender{
		githubtest.Sender(),
		gitlabtest.Sender(),
		circlecitest.Sender(),
		jenkinstest.Sender(),
		azuredevopstest.Sender(),
		buildkitetest.Sender(),
		giteatest.Sender(),
		giteatest.ForgejoSender(),
		bitbuckettest.Sender(),
		generictest.Sender(),
	}
}
