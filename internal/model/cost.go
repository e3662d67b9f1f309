package model

import (
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/store"
)

const perMillion = 1_000_000

// cost of tokens in millionths of the currency, rounded up.
func cost(p config.ModelPrice, input, output int64) int64 {
	return (input*p.Input + output*p.Output + perMillion - 1) / perMillion
}

// most is the most that a call can come to: every token at the dearer price.
func most(p config.ModelPrice, tokens int64) store.ModelAmount {
	return store.ModelAmount{Tokens: tokens, Cost: cost(config.ModelPrice{Input: max(p.Input, p.Output)}, tokens, 0)}
}

// spent is what a call came to; false when the provider doesn't say, or says nothing that can be true.
func spent(p config.ModelPrice, u Usage) (store.ModelAmount, bool) {
	const absurd = 1 << 32
	if !u.Known || u.Input < 0 || u.Output < 0 || u.Input > absurd || u.Output > absurd || u.Input+u.Output == 0 {
		return store.ModelAmount{}, false
	}
	return store.ModelAmount{Tokens: u.Input + u.Output, Cost: cost(p, u.Input, u.Output)}, true
}

const millionthsPerCent = 10_000

// budget is the budget that the configuration says.
func budget(c config.Model) store.ModelBudget {
	return store.ModelBudget{
		Run:           store.ModelAmount{Tokens: c.ModelRunTokens, Cost: c.ModelRunCents * millionthsPerCent},
		RepositoryDay: store.ModelAmount{Tokens: c.ModelRepositoryDay, Cost: c.ModelRepositoryCent * millionthsPerCent},
		Day:           store.ModelAmount{Tokens: c.ModelDay, Cost: c.ModelDayCents * millionthsPerCent},
	}
}
