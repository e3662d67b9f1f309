// Package joblog reads the failed jobs of a CI run and their logs; the packages below it each know one provider's API.
//
// All of them promise that they only read, that their memory does not grow with the size of a log, of an archive or of a
// line, that a token goes to the configured API and nowhere else, and that whatever an API says or a name holds
// becomes no path on this machine. The suite in joblogtest holds each of them to that.
package joblog

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// MaxPages bounds the pages that are read of one list.
const MaxPages = 50

// Job is one job of a run.
type Job struct {
	// ID is the provider's own id of the job, and Run what its log is found by besides; both mean something to the
	// provider's reader alone.
	ID, Run    string
	Name       string
	Conclusion string
	URL        string
	// FailedSteps are the names of the steps that failed or timed out, in their order.
	FailedSteps []string
}

// Named returns the job with that name, the first where a provider has several.
func Named(jobs []Job, name string) (Job, bool) {
	i := slices.IndexFunc(jobs, func(j Job) bool { return j.Name == name })
	if i < 0 {
		return Job{}, false
	}
	return jobs[i], true
}

// API says where a provider's API is and how to speak to it.
type API struct {
	BaseURL, Token string
	// HTTP carries the calls; nil means a client with sane timeouts that connects anywhere.
	HTTP *http.Client
}

// Client returns a client for the API.
func (a API) Client(auth httpapi.Auth, accept string) *httpapi.Client {
	return httpapi.New(httpapi.Options{BaseURL: a.BaseURL, Token: a.Token, Auth: auth, Accept: accept, HTTP: a.HTTP})
}

// Base is the branch whose last green run a failure is compared with, or "" where nobody knows it.
func Base(f ci.Failure) string { return cmp.Or(f.BaseBranch, f.Repository.DefaultBranch) }
