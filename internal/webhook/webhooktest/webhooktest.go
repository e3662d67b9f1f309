// Package webhooktest says what a made-up delivery of any provider is made from. Each provider's own test package makes
// it; package senders has the table of them. No service imports any of these.
package webhooktest

import (
	"net/http"
	"strings"
	"time"
)

// Params are the facts of a finished pipeline. Fields left empty have values of Default.
type Params struct {
	// DeliveryID is the id of the delivery, where the provider has one.
	DeliveryID string
	// RepositoryID is a number for the providers that number repositories, and is made part of an id for the others.
	RepositoryID  int64
	Owner, Name   string
	Branch        string
	DefaultBranch string
	Commit        string
	RunID         int64
	// Passed makes the pipeline one that passed.
	Passed bool
	// At is when the request is sent and when the pipeline ended.
	At time.Time
	// Size, in bytes, is what the body is filled up to with a longer commit message, or with another text that people write.
	Size int
	// Body, when it is set, is sent instead of the pipeline's, signed as that would be.
	Body []byte
}

// Instead returns the body to send instead of one that was made.
func (p Params) Instead(made []byte) []byte {
	if p.Body != nil {
		return p.Body
	}
	return made
}

// Default fills the empty fields.
func (p Params) Default() Params {
	first := func(s *string, or string) {
		if *s == "" {
			*s = or
		}
	}
	first(&p.DeliveryID, "8d1e6b6c-0f5a-4f0e-9a51-3d1c6f1b2a77")
	first(&p.Owner, "acme")
	first(&p.Name, "shop")
	first(&p.Branch, "feature/basket")
	first(&p.DefaultBranch, "main")
	first(&p.Commit, strings.Repeat("5e", 20))
	if p.RepositoryID == 0 {
		p.RepositoryID = 4711
	}
	if p.RunID == 0 {
		p.RunID = 90210
	}
	if p.At.IsZero() {
		p.At = time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC)
	}
	return p
}

// Filler is text of n bytes for a commit message: words and line ends.
func Filler(n int) string {
	const words = "Count the basket's items once, round each price before they are added, and say so in the receipt.\n"
	if n <= 0 {
		return ""
	}
	return strings.Repeat(words, n/len(words)+1)[:n]
}

// Sender makes one provider's requests.
type Sender struct {
	Provider string
	// SendsToken says that the key travels with the request as it is (webhook.Keys.Tokens), rather than signing it.
	SendsToken bool
	// Pipeline returns the request for a whole pipeline that ended, signed with key.
	Pipeline func(url, key string, p Params) *http.Request
}
