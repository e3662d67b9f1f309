package azuredevops_test

import (
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/azuredevops"
	"github.com/sre-agent/sre-agent/internal/webhook/azuredevops/azuredevopstest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func eventOf(t testing.TB, body []byte) string {
	t.Helper()
	_, event, err := azuredevops.Identify(&webhook.Request{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func parse(t testing.TB, body []byte) webhook.Event {
	t.Helper()
	e, err := azuredevops.Parse(eventOf(t, body), body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	for _, example := range azuredevopstest.Examples() {
		t.Run(example, func(t *testing.T) {
			check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, azuredevopstest.Example(example)))
		})
	}
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	check.Guide(t, *update, "../../../docs/providers/azure-devops.md", azuredevops.Webhooks(), "build.complete")
}

func TestSenderMakesWhatTheProviderReads(t *testing.T) {
	check.Sender(t, azuredevops.Webhooks(), azuredevopstest.Sender(), "sre-agent:pass:word")
}

func TestVersion1IsReadFromItsLGRefAndCommit(t *testing.T) {
	v2 := parse(t, azuredevopstest.Example(azuredevopstest.BuildFailed)).Failure
	v1 := parse(t, azuredevopstest.Example(azuredevopstest.BuildV1Repository)).Failure
	if v1.Branch != "feature/basket" || v1.Commit != strings.Repeat("5e", 20) || v1.RunKey() != v2.RunKey() {
		t.Errorf("%+v, run key %q, want %q", v1, v1.RunKey(), v2.RunKey())
	}
	if got := parse(t, azuredevopstest.Example(azuredevopstest.BuildV1)); got.Reason != azuredevops.IgnoredNoRepository {
		t.Errorf("version 1.0 without a repository: %+v", got)
	}
}

func TestPullRequestBuildsAreReadAsTheirOwnBranchAndCommit(t *testing.T) {
	f := parse(t, azuredevopstest.Example(azuredevopstest.BuildPullRequest)).Failure
	if f.Branch != "feature/basket" || f.Commit != strings.Repeat("5e", 20) || f.BaseBranch != "main" || f.FromFork() {
		t.Errorf("%+v", f)
	}
	if push := parse(t, azuredevopstest.Example(azuredevopstest.BuildGitHub)).Failure; push.RunKey() != f.RunKey() {
		t.Errorf("the push's run key is %q, the pull request's %q", push.RunKey(), f.RunKey())
	}
	if got := parse(t, azuredevopstest.Example(azuredevopstest.BuildPullRequestFork)); got.Reason != azuredevops.IgnoredFork {
		t.Errorf("from a fork: %+v", got)
	}
}

func TestNamesWithBlanksGiveWayToIDs(t *testing.T) {
	f := parse(t, azuredevopstest.Example(azuredevopstest.BuildNamesWithBlanks)).Failure
	const want = "https://dev.azure.com/acme/5a1c0f7e-3333-4c2b-9d3e-0f1a2b3c4d03/_git/5a1c0f7e-5555-4c2b-9d3e-0f1a2b3c4d05"
	if f.Repository.CloneURL != want {
		t.Errorf("clone URL %s, want %s", f.Repository.CloneURL, want)
	}
}

func TestParseIgnoresWithAReason(t *testing.T) {
	build, pull := azuredevopstest.Example(azuredevopstest.BuildFailed), azuredevopstest.Example(azuredevopstest.BuildPullRequest)
	v1 := azuredevopstest.Example(azuredevopstest.BuildV1)
	for _, tt := range []struct {
		name, path string
		body       []byte
		value      any
		reason     string
	}{
		{"a partial success", "x", azuredevopstest.Example(azuredevopstest.BuildPartiallySucceeded), nil, azuredevops.IgnoredPartiallySucceeded},
		{"a cancelled build", "resource/result", build, "canceled", "conclusion_canceled"},
		{"a build of version 1.0 that was stopped", "resource/status", v1, "stopped", "conclusion_canceled"},
		{"no result", "resource/result", build, nil, "conclusion_none"},
		{"a result of tomorrow", "resource/result", build, "evil\nvalue", "conclusion_unknown"},
		{"a push", "eventType", build, "git.push", webhook.IgnoredEventNotUsed},
		{"an event of tomorrow", "eventType", build, "quantum.complete", webhook.IgnoredUnknownEvent},
		{"a tag", "resource/sourceBranch", build, "refs/tags/v1", webhook.IgnoredNoBranch},
		{"no branch", "resource/sourceBranch", build, nil, webhook.IgnoredNoBranch},
		{"our own branch", "resource/sourceBranch", build, "refs/heads/sre-agent/ci-abcdef", webhook.IgnoredOwnBranch},
		{"a pull request that does not say what it is from", "resource/triggerInfo", pull, map[string]any{}, webhook.IgnoredNoBranch},
		{"a pull request that does not say whether it is from a fork", "resource/triggerInfo", pull, map[string]any{"pr.sourceBranch": "x", "pr.sourceSha": strings.Repeat("5e", 20)}, azuredevops.IgnoredFork},
		{"a commit that is none", "resource/sourceVersion", build, "5a1c0f7e-5555-4c2b-9d3e-0f1a2b3c4d05", azuredevops.IgnoredNoCommit},
		{"no repository, as with minimal details", "resource/repository", build, nil, azuredevops.IgnoredNoRepository},
		{"a repository without a type, as other events have it", "resource/repository/type", build, nil, azuredevops.IgnoredNoRepository},
		{"a repository on the disk", "resource/repository/url", build, "file:///srv/git", azuredevops.IgnoredNoRepository},
		{"TFVC", "resource/repository/type", build, "TfsVersionControl", azuredevops.IgnoredNotGit},
		{"TFVC in version 1.0", "resource/sourceGetVersion", v1, "C1234", azuredevops.IgnoredNotGit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, check.Edited(t, tt.body, tt.path, tt.value)); got.Kind != webhook.Ignored || got.Reason != tt.reason {
				t.Errorf("Parse = %+v, want ignored(%s)", got, tt.reason)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	body := azuredevopstest.Example(azuredevopstest.BuildFailed)
	for _, tt := range []struct {
		name, path, field string
		value             any
	}{
		{"no resource", "resource", "resource", nil},
		{"no build id", "resource/id", "resource.id", nil},
		{"a build id below zero", "resource/id", "resource.id", -1},
		{"no definition", "resource/definition", "resource.definition.id", nil},
		{"a definition's name with an escape", "resource/definition/name", "resource.definition.name", "CI\x1b[2J"},
		{"a project id with a line end", "resource/project/id", "resource.project.id", "a\nb"},
		{"no repository id", "resource/repository/id", "resource.repository.id", nil},
		{"an address that is a script", "resource/url", "resource.url", "javascript:alert(1)"},
		{"a branch that looks like an option", "resource/sourceBranch", "resource.sourceBranch", "refs/heads/--upload-pack=x"},
		{"a name without end", "resource/requestedFor/displayName", "resource.requestedFor.displayName", strings.Repeat("a", 256)},
		{"a time that is none", "resource/finishTime", "resource.finishTime", "yesterday"},
		{"a trigger that is no text", "resource/triggerInfo", "resource.triggerInfo", map[string]any{"pr.isFork": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check.RefusesField(t, azuredevops.Webhooks(), "build.complete", check.Edited(t, body, tt.path, tt.value), tt.field)
		})
	}
	pull := check.Edited(t, azuredevopstest.Example(azuredevopstest.BuildPullRequest), "resource/parameters", `{"system.pullRequest.targetBranch":"a b"}`)
	check.RefusesField(t, azuredevops.Webhooks(), "build.complete", pull, "resource.parameters")
}

func TestHostileBodiesEndWithAnErrorOrAReason(t *testing.T) {
	check.RefusesHostile(t, azuredevops.Webhooks(), "build.complete")
}

func TestVerify(t *testing.T) {
	tokens := webhook.Keys{Tokens: [][]byte{[]byte("sre-agent:old"), []byte("sre-agent:ne:w")}}
	for _, tt := range []struct {
		name   string
		header []string
		keys   webhook.Keys
		want   error
	}{
		{"a user and password pass", []string{azuredevopstest.Basic("sre-agent:old")}, tokens, nil},
		{"a password with a colon passes", []string{azuredevopstest.Basic("sre-agent:ne:w")}, tokens, nil},
		{"the scheme in lower case passes", []string{strings.Replace(azuredevopstest.Basic("sre-agent:old"), "Basic", "basic", 1)}, tokens, nil},
		{"another password fails", []string{azuredevopstest.Basic("sre-agent:other")}, tokens, webhook.ErrBadSignature},
		{"another user fails", []string{azuredevopstest.Basic("root:old")}, tokens, webhook.ErrBadSignature},
		{"only the password fails", []string{azuredevopstest.Basic(":old")}, tokens, webhook.ErrBadSignature},
		{"another scheme fails", []string{strings.Replace(azuredevopstest.Basic("sre-agent:old"), "Basic", "Bearer", 1)}, tokens, webhook.ErrBadSignature},
		{"what is not base64 fails", []string{"Basic sre-agent:old"}, tokens, webhook.ErrBadSignature},
		{"nothing after the scheme fails, even for an empty key", []string{"Basic "}, webhook.Keys{Tokens: [][]byte{{}}}, webhook.ErrBadSignature},
		{"two headers fail", []string{azuredevopstest.Basic("sre-agent:old"), azuredevopstest.Basic("sre-agent:old")}, tokens, webhook.ErrBadSignature},
		{"no header is unsigned", nil, tokens, webhook.ErrUnsigned},
		{"a signing secret is no password", []string{azuredevopstest.Basic("sre-agent:old")}, webhook.Keys{Signing: tokens.Tokens}, webhook.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := azuredevops.Verify(&webhook.Request{Header: http.Header{"Authorization": tt.header}}, tt.keys)
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}
