// Package ci holds what sre-agent knows about a CI failure, in one schema for every provider.
//
// It is pure: no input or output, and nothing but the standard library.
package ci

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
)

// Repository names a repository as its forge knows it.
type Repository struct {
	// ID is the forge's own, immutable id. Names change when a repository moves; this does not.
	ID            string `json:"id"`
	Owner         string `json:"owner"`
	Name          string `json:"name"`
	CloneURL      string `json:"clone_url"`
	WebURL        string `json:"web_url,omitempty"`
	DefaultBranch string `json:"default_branch"`
}

// FullName is "owner/name".
func (r Repository) FullName() string { return r.Owner + "/" + r.Name }

// Failure is a failed CI workflow on one commit, normalised from a provider's webhook.
type Failure struct {
	// Provider is the webhook provider's name, such as "github".
	Provider   string     `json:"provider"`
	Repository Repository `json:"repository"`
	// HeadRepository is the full name of the repository that the commit lives in; it differs from
	// Repository.FullName for a pull request from a fork.
	HeadRepository string `json:"head_repository"`
	// Branch is the branch that failed; BaseBranch is the branch whose settings apply (the pull request's
	// base, else the default branch).
	Branch     string `json:"branch"`
	BaseBranch string `json:"base_branch"`
	Commit     string `json:"commit"`
	// Workflow is the stable identity of the workflow (its file path where the provider has one), and
	// WorkflowName is what people call it.
	Workflow     string `json:"workflow"`
	WorkflowName string `json:"workflow_name"`
	// RunID and RunAttempt name the provider's own run, where its logs are.
	RunID      string `json:"run_id"`
	RunAttempt int    `json:"run_attempt"`
	RunURL     string `json:"run_url"`
	Conclusion string `json:"conclusion"`
	// Actor is the login that caused the CI run.
	Actor string `json:"actor,omitempty"`
	// FinishedAt is when the pipeline ended, by the provider's clock; zero where it does not say. A success counts
	// against a failure only if it ended later.
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// CommitAuthor is the e-mail address of the failing commit's author.
	CommitAuthor string `json:"commit_author,omitempty"`
	// Claims are further names that this pipeline goes by on this commit, such as "run:123". SameAs are the names by
	// which it may have been told of before: an event whose SameAs holds another's claim is about the same pipeline, so
	// that a provider's events, which do not all know the workflow, still make one run. The run key always counts as
	// both. A name that two pipelines may share, as a workflow's display name, is never both of one event.
	Claims []string `json:"claims,omitempty"`
	SameAs []string `json:"same_as,omitempty"`
}

// FromFork says whether the failing commit lives in another repository than the one that reported it.
func (f Failure) FromFork() bool {
	return f.HeadRepository != "" && !strings.EqualFold(f.HeadRepository, f.Repository.FullName())
}

// RunKey identifies the work for this failure: provider, repository id, head commit and workflow, and never
// the provider's run attempt or job. Ten red jobs and five re-runs of one workflow have one run key.
func (f Failure) RunKey() string {
	return strings.Join([]string{f.Provider, f.Repository.ID, strings.ToLower(f.Commit), f.Workflow}, ":")
}

// Claimed are the claims, each made unique as the run key is.
func (f Failure) Claimed() []string { return f.named(f.Claims) }

// Known are all names by which the pipeline may have been told of before, the run key among them.
func (f Failure) Known() []string { return append(f.named(f.SameAs), f.RunKey()) }

// Names are the run key and the claims: what a success is remembered by.
func (f Failure) Names() []string { return append(f.named(f.Claims), f.RunKey()) }

func (f Failure) named(names []string) []string {
	out := make([]string, 0, len(names)+1)
	for _, name := range names {
		out = append(out, strings.Join([]string{f.Provider, f.Repository.ID, strings.ToLower(f.Commit), "=" + name}, ":"))
	}
	return out
}

// ShortKey is a short, stable name for a run key, fit for a branch name: 10 lower-case letters and digits.
func ShortKey(runKey string) string {
	sum := sha256.Sum256([]byte(runKey))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:10]
}
