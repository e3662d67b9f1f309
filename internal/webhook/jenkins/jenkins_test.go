package jenkins_test

import (
	"errors"
	"flag"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/jenkins"
	"github.com/sre-agent/sre-agent/internal/webhook/jenkins/jenkinstest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func parse(t testing.TB, body []byte) webhook.Event {
	t.Helper()
	_, event, err := jenkins.Identify(&webhook.Request{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	e, err := jenkins.Parse(event, body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	for _, example := range jenkinstest.Examples() {
		t.Run(example, func(t *testing.T) {
			check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, jenkinstest.Example(example)))
		})
	}
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	check.Guide(t, *update, "../../../docs/providers/jenkins.md", jenkins.Webhooks(), "build.finalized")
}

func TestSenderMakesWhatTheProviderReads(t *testing.T) {
	check.Sender(t, jenkins.Webhooks(), jenkinstest.Sender(), "t0ken & of=the address")
}

func TestOfTheTwoFinalPhasesOnlyFinalizedCounts(t *testing.T) {
	if got := parse(t, jenkinstest.Example(jenkinstest.CompletedFailure)); got.Reason != jenkins.IgnoredCompletedPhase {
		t.Errorf("COMPLETED: %+v", got)
	}
	if got := parse(t, jenkinstest.Example(jenkinstest.FinalizedFailure)); got.Kind != webhook.Failure {
		t.Errorf("FINALIZED: %+v", got)
	}
}

func TestUnstableIsNotAFailure(t *testing.T) {
	if got := parse(t, jenkinstest.Example(jenkinstest.FinalizedUnstable)); got.Reason != jenkins.IgnoredUnstable {
		t.Errorf("%+v", got)
	}
}

func TestBuildsOfOneJobAndCommitHaveOneRunKeyHoweverTheyWereCheckedOut(t *testing.T) {
	body := jenkinstest.Example(jenkinstest.FinalizedFailure)
	first := parse(t, body).Failure.RunKey()
	for name, other := range map[string][]byte{
		"the next build":         check.Edited(t, body, "build/number", 215),
		"a checkout over ssh":    jenkinstest.Example(jenkinstest.FinalizedSSH),
		"another display name":   check.Edited(t, body, "display_name", "The shop"),
		"a host in upper case":   check.Edited(t, body, "build/scm/url", "https://GITHUB.com/acme/shop"),
		"credentials in the URL": check.Edited(t, body, "build/scm/url", "https://u:p@github.com/acme/shop.git"),
	} {
		if got := parse(t, other).Failure.RunKey(); got != first {
			t.Errorf("%s: run key %q, want %q", name, got, first)
		}
	}
	if got := parse(t, check.Edited(t, body, "url", "job/acme/job/nightly/")).Failure.RunKey(); got == first {
		t.Error("another job has the same run key")
	}
}

func TestTheBranchLosesWhatJenkinsPutsBeforeIt(t *testing.T) {
	for given, want := range map[string]string{
		"origin/main": "main", "main": "main", "refs/heads/main": "main", "refs/remotes/origin/main": "main", "remotes/origin/a/b": "a/b",
	} {
		if got := parse(t, check.Edited(t, jenkinstest.Example(jenkinstest.FinalizedFailure), "build/scm/branch", given)).Failure.Branch; got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}

func TestParseIgnoresWithAReason(t *testing.T) {
	body := jenkinstest.Example(jenkinstest.FinalizedFailure)
	for _, tt := range []struct {
		name, path string
		value      any
		reason     string
	}{
		{"a build in the queue", "build/phase", "QUEUED", webhook.IgnoredNotCompleted},
		{"a phase of tomorrow", "build/phase", "ARCHIVED", webhook.IgnoredUnknownEvent},
		{"an aborted build", "build/status", "ABORTED", "conclusion_aborted"},
		{"a build that was not built", "build/status", "NOT_BUILT", "conclusion_not_built"},
		{"no status", "build/status", nil, "conclusion_none"},
		{"a status of tomorrow", "build/status", "evil\nvalue", "conclusion_unknown"},
		{"no branch", "build/scm/branch", nil, webhook.IgnoredNoBranch},
		{"a detached head", "build/scm/branch", "detached", webhook.IgnoredNoBranch},
		{"a tag", "build/scm/branch", "refs/tags/v1", webhook.IgnoredNoBranch},
		{"our own branch", "build/scm/branch", "origin/sre-agent/ci-abcdef", webhook.IgnoredOwnBranch},
		{"a pull request of a multibranch job", "build/scm/branch", "PR-12", jenkins.IgnoredPullRequest},
		{"a merge of a pull request", "build/scm/branch", "MR-3-merge", jenkins.IgnoredPullRequest},
		{"a pull request by its ref", "build/scm/branch", "refs/remotes/origin/pull/12/merge", jenkins.IgnoredPullRequest},
		{"a repository on the disk", "build/scm/url", "/srv/git/shop.git", jenkins.IgnoredNoRepository},
		{"a commit that is short", "build/scm/commit", "5e5e5e5", jenkins.IgnoredNoCommit},
		{"no source", "build/scm", nil, jenkins.IgnoredNoRepository},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, check.Edited(t, body, tt.path, tt.value)); got.Kind != webhook.Ignored || got.Reason != tt.reason {
				t.Errorf("Parse = %+v, want ignored(%s)", got, tt.reason)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	body := jenkinstest.Example(jenkinstest.FinalizedFailure)
	for _, tt := range []struct {
		name, path, field string
		value             any
	}{
		{"no build", "build", "build", nil},
		{"no job", "url", "url", nil},
		{"a job with a line end", "url", "url", "job/a\nb/"},
		{"no number", "build/number", "build.number", nil},
		{"a number that is text", "build/number", "build.number", "214"},
		{"no address, as Jenkins without a configured one", "build/full_url", "build.full_url", nil},
		{"an address that is a script", "build/full_url", "build.full_url", "javascript:alert(1)"},
		{"a branch that looks like an option", "build/scm/branch", "build.scm.branch", "--upload-pack=x"},
		{"a name with an escape", "display_name", "display_name", "CI\x1b[2J"},
		{"a time in another millennium", "build/timestamp", "build.timestamp", int64(1) << 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check.RefusesField(t, jenkins.Webhooks(), "build.finalized", check.Edited(t, body, tt.path, tt.value), tt.field)
		})
	}
}

func TestHostileBodiesEndWithAnErrorOrAReason(t *testing.T) {
	check.RefusesHostile(t, jenkins.Webhooks(), "build.finalized")
}

func TestVerify(t *testing.T) {
	tokens := webhook.Keys{Tokens: [][]byte{[]byte("old"), []byte("new")}}
	for _, tt := range []struct {
		name  string
		query url.Values
		keys  webhook.Keys
		want  error
	}{
		{"one of the tokens passes", url.Values{"token": {"old"}}, tokens, nil},
		{"another token fails", url.Values{"token": {"other"}}, tokens, webhook.ErrBadSignature},
		{"no token is unsigned", nil, tokens, webhook.ErrUnsigned},
		{"an empty token is unsigned", url.Values{"token": {""}}, webhook.Keys{Tokens: [][]byte{{}}}, webhook.ErrUnsigned},
		{"the token twice fails", url.Values{"token": {"old", "old"}}, tokens, webhook.ErrBadSignature},
		{"a signing secret is no token", url.Values{"token": {"old"}}, webhook.Keys{Signing: tokens.Tokens}, webhook.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := jenkins.Verify(&webhook.Request{Query: tt.query}, tt.keys)
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "other") {
				t.Error("the error quotes the token")
			}
		})
	}
}
