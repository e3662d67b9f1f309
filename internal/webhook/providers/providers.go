// Package providers is the table of all CI providers whose webhooks sre-agent reads.
package providers

import (
	"sync"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/azuredevops"
	"github.com/sre-agent/sre-agent/internal/webhook/bitbucket"
	"github.com/sre-agent/sre-agent/internal/webhook/buildkite"
	"github.com/sre-agent/sre-agent/internal/webhook/circleci"
	"github.com/sre-agent/sre-agent/internal/webhook/generic"
	"github.com/sre-agent/sre-agent/internal/webhook/gitea"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/gitlab"
	"github.com/sre-agent/sre-agent/internal/webhook/jenkins"
)

// Table lists every provider, in the order of the documentation.
func Table() []webhook.Provider {
	return []webhook.Provider{
		github.Webhooks(),
		gitlab.Webhooks(),
		circleci.Webhooks(),
		jenkins.Webhooks(),
		azuredevops.Webhooks(),
		buildkite.Webhooks(),
		gitea.Webhooks(),
		gitea.ForgejoWebhooks(),
		bitbucket.Webhooks(),
		generic.Webhooks(),
	}
}

// Find returns the provider of a name.
func Find(name string) (webhook.Provider, bool) {
	p, ok := byName()[name]
	return p, ok
}

// byName is the table once more, made once: each delivery that is recorded looks into it.
var byName = sync.OnceValue(func() map[string]webhook.Provider {
	table := map[string]webhook.Provider{}
	for _, p := range Table() {
		table[p.Name] = p
	}
	return table
})

//go:generate sh -c "go run ./gendoc > ../../../docs/providers.md.new && mv ../../../docs/providers.md.new ../../../docs/providers.md"
