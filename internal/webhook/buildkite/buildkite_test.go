package buildkite_test

import (
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/buildkite"
	"github.com/sre-agent/sre-agent/internal/webhook/buildkite/buildkitetest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func eventOf(t testing.TB, body []byte) string {
	t.Helper()
	_, event, err := buildkite.Identify(&webhook.Request{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func parse(t testing.TB, body []byte) webhook.Event {
	t.Helper()
	e, err := buildkite.Parse(eventOf(t, body), body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	for _, example := range buildkitetest.Examples() {
		t.Run(example, func(t *testing.T) {
			check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, buildkitetest.Example(example)))
		})
	}
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	check.Guide(t, *update, "../../../docs/providers/buildkite.md", buildkite.Webhooks(), "build.finished")
}

func TestSenderMakesWhatTheProviderReads(t *testing.T) {
	check.Sender(t, buildkite.Webhooks(), buildkitetest.Sender(), "s3cret-of-the-webhook")
}

func TestBlockedBuildsAreNotAtTheirEnd(t *testing.T) {
	for _, state := range []string{"passed", "failed", "blocked"} {
		if got := parse(t, check.Edited(t, buildkitetest.Example(buildkitetest.BuildBlocked), "build/state", state)); got.Reason != buildkite.IgnoredBlocked {
			t.Errorf("%s: %+v", state, got)
		}
	}
}

func TestBuildJobRetryAndRebuildHaveOneRunKey(t *testing.T) {
	want := parse(t, buildkitetest.Example(buildkitetest.BuildFailed)).Failure.RunKey()
	for _, example := range []string{buildkitetest.JobFailed, buildkitetest.JobRetryFailed, buildkitetest.BuildRebuilt} {
		if got := parse(t, buildkitetest.Example(example)).Failure.RunKey(); got != want {
			t.Errorf("%s: run key %q, want %q", example, got, want)
		}
	}
	other := check.Edited(t, buildkitetest.Example(buildkitetest.BuildFailed), "pipeline/id", "another-pipeline")
	if got := parse(t, other).Failure.RunKey(); got == want {
		t.Error("another pipeline has the same run key")
	}
}

func TestOfAJobAndItsRetrySourceOnlyTheRetryCounts(t *testing.T) {
	if got := parse(t, buildkitetest.Example(buildkitetest.JobRetried)); got.Reason != buildkite.IgnoredRetried {
		t.Errorf("the job that was retried: %+v", got)
	}
	if got := parse(t, buildkitetest.Example(buildkitetest.JobRetryFailed)); got.Kind != webhook.Failure {
		t.Errorf("the retry: %+v", got)
	}
}

func TestForksHaveTheirOwnHeadRepository(t *testing.T) {
	f := parse(t, buildkitetest.Example(buildkitetest.BuildFork)).Failure
	if !f.FromFork() || f.HeadRepository != "stranger/shop" || f.Branch != "feature/basket" || f.BaseBranch != "main" {
		t.Errorf("%+v", f)
	}
}

func TestParseIgnoresWithAReason(t *testing.T) {
	build, job := buildkitetest.Example(buildkitetest.BuildFailed), buildkitetest.Example(buildkitetest.JobFailed)
	for _, tt := range []struct {
		name, path string
		body       []byte
		value      any
		reason     string
	}{
		{"a ping", "x", buildkitetest.Example(buildkitetest.Ping), nil, webhook.IgnoredPing},
		{"a build that began", "event", build, "build.running", webhook.IgnoredEventNotUsed},
		{"an event of tomorrow", "event", build, "build.exploded", webhook.IgnoredUnknownEvent},
		{"a cancelled build", "build/state", build, "canceled", "conclusion_canceled"},
		{"a skipped build", "build/state", build, "skipped", "conclusion_skipped"},
		{"a build that did not run", "build/state", build, "not_run", "conclusion_not_run"},
		{"a state that is already that of the next run", "build/state", build, "running", webhook.IgnoredNotCompleted},
		{"no state", "build/state", build, nil, "conclusion_none"},
		{"a state of tomorrow", "build/state", build, "evil\nvalue", "conclusion_unknown"},
		{"a job that passed", "x", buildkitetest.Example(buildkitetest.JobPassed), nil, webhook.IgnoredJobSuccess},
		{"a job that may fail", "x", buildkitetest.Example(buildkitetest.JobSoftFailed), nil, webhook.IgnoredAllowed},
		{"a trigger step", "job/type", job, "trigger", buildkite.IgnoredOtherJob},
		{"a job that no agent took", "job/state", job, "expired", "conclusion_expired"},
		{"a build of HEAD", "build/commit", build, "HEAD", buildkite.IgnoredNoCommit},
		{"a tag", "build/tag", build, "v1.0", webhook.IgnoredNoBranch},
		{"no branch", "build/branch", build, nil, webhook.IgnoredNoBranch},
		{"our own branch", "build/branch", build, "sre-agent/ci-abcdef", webhook.IgnoredOwnBranch},
		{"a repository on the disk", "pipeline/repository", build, "/srv/git/shop.git", buildkite.IgnoredNoRepository},
		{"a fork without an address", "build/pull_request", build, map[string]any{"base": "main", "repository": "gone"}, buildkite.IgnoredNoHeadRepository},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, check.Edited(t, tt.body, tt.path, tt.value)); got.Kind != webhook.Ignored || got.Reason != tt.reason {
				t.Errorf("Parse = %+v, want ignored(%s)", got, tt.reason)
			}
		})
	}
	for state, kind := range map[string]string{"timed_out": webhook.Failure, "finished": webhook.Failure} {
		if got := parse(t, check.Edited(t, job, "job/state", state)); got.Kind != kind {
			t.Errorf("a job that is %s: %+v", state, got)
		}
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	body := buildkitetest.Example(buildkitetest.BuildFailed)
	for _, tt := range []struct {
		name, path, field string
		value             any
	}{
		{"no build", "build", "build", nil},
		{"no pipeline id", "pipeline/id", "pipeline.id", nil},
		{"a pipeline id with a line end", "pipeline/id", "pipeline.id", "a\nb"},
		{"no build id", "build/id", "build.id", nil},
		{"an address that is a script", "build/web_url", "build.web_url", "javascript:alert(1)"},
		{"a branch that looks like an option", "build/branch", "build.branch", "--upload-pack=x"},
		{"a branch with a colon that is from no fork", "build/branch", "build.branch", "stranger:main"},
		{"a base branch with a blank", "build/pull_request", "build.pull_request.base", map[string]any{"base": "a b"}},
		{"a default branch that climbs", "pipeline/default_branch", "pipeline.default_branch", "a/../b"},
		{"a slug with an escape", "pipeline/slug", "pipeline.slug", "CI\x1b[2J"},
		{"a creator without end", "build/creator/name", "build.creator.name", strings.Repeat("a", 256)},
		{"a time that is none", "build/finished_at", "build.finished_at", "yesterday"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check.RefusesField(t, buildkite.Webhooks(), "build.finished", check.Edited(t, body, tt.path, tt.value), tt.field)
		})
	}
	check.RefusesField(t, buildkite.Webhooks(), "job.finished", body, "job")
}

func TestHostileBodiesEndWithAnErrorOrAReason(t *testing.T) {
	check.RefusesHostile(t, buildkite.Webhooks(), "build.finished", "job.finished")
}

func TestVerify(t *testing.T) {
	body := buildkitetest.Example(buildkitetest.BuildFailed)
	now := time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC)
	good := buildkitetest.Sign("s", now, body)
	signing := webhook.Keys{Signing: [][]byte{[]byte("s")}}
	tokens := webhook.Keys{Tokens: [][]byte{[]byte("t")}}
	for _, tt := range []struct {
		name   string
		header http.Header
		body   []byte
		keys   webhook.Keys
		want   error
	}{
		{"a signature passes", http.Header{buildkite.HeaderSignature: {good}}, body, signing, nil},
		{"a blank after the comma passes", http.Header{buildkite.HeaderSignature: {strings.Replace(good, ",", ", ", 1)}}, body, signing, nil},
		{"a token passes", http.Header{buildkite.HeaderToken: {"t"}}, body, tokens, nil},
		{"a changed body fails", http.Header{buildkite.HeaderSignature: {good}}, append([]byte(" "), body...), signing, webhook.ErrBadSignature},
		{"another timestamp fails", http.Header{buildkite.HeaderSignature: {strings.Replace(good, "timestamp=1", "timestamp=2", 1)}}, body, signing, webhook.ErrBadSignature},
		{"six minutes old is stale", http.Header{buildkite.HeaderSignature: {buildkitetest.Sign("s", now.Add(-6*time.Minute), body)}}, body, signing, webhook.ErrStale},
		{"six minutes ahead is stale", http.Header{buildkite.HeaderSignature: {buildkitetest.Sign("s", now.Add(6*time.Minute), body)}}, body, signing, webhook.ErrStale},
		{"a bad signature is not saved by a token", http.Header{buildkite.HeaderSignature: {"timestamp=1,signature="}, buildkite.HeaderToken: {"t"}}, body, tokens, webhook.ErrBadSignature},
		{"a token never serves as a signing secret", http.Header{buildkite.HeaderSignature: {buildkitetest.Sign("t", now, body)}}, body, tokens, webhook.ErrBadSignature},
		{"a signing secret never serves as a token", http.Header{buildkite.HeaderToken: {"s"}}, body, signing, webhook.ErrBadSignature},
		{"two signatures fail", http.Header{buildkite.HeaderSignature: {good, good}}, body, signing, webhook.ErrBadSignature},
		{"two tokens fail", http.Header{buildkite.HeaderToken: {"t", "t"}}, body, tokens, webhook.ErrBadSignature},
		{"a signature without its timestamp fails", http.Header{buildkite.HeaderSignature: {good[strings.Index(good, ",")+1:]}}, body, signing, webhook.ErrBadSignature},
		{"nothing is unsigned", http.Header{}, body, signing, webhook.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &webhook.Request{Header: tt.header, Body: tt.body, Received: now}
			if err := buildkite.Verify(r, tt.keys); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}
