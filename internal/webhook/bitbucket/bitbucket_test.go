package bitbucket_test

import (
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/bitbucket"
	"github.com/sre-agent/sre-agent/internal/webhook/bitbucket/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	created = "repo:commit_status_created"
	updated = "repo:commit_status_updated"
)

var examples = map[string]string{
	bitbuckettest.PipelinesFailed: updated, bitbuckettest.PipelinesPassed: updated, bitbuckettest.OtherFailed: created,
	bitbuckettest.NoRefname: updated, bitbuckettest.Push: "repo:push", bitbuckettest.PullComment: "pullrequest:comment_created",
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	t.Parallel()
	for example, event := range examples {
		check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, event, bitbuckettest.Example(example)))
	}
}

func parse(t *testing.T, event string, body []byte) webhook.Event {
	t.Helper()
	got, err := bitbucket.Parse(event, body)
	if err != nil {
		t.Fatal(err)
	}
	check.Parsed(t, bitbucket.Provider, got, err)
	return got
}

func TestTheSendersRequestsAreRead(t *testing.T) {
	t.Parallel()
	check.Sender(t, bitbucket.Webhooks(), bitbuckettest.Sender(), "the-secret")
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	t.Parallel()
	check.Guide(t, *update, "../../../docs/providers/bitbucket.md", bitbucket.Webhooks(), updated)
}

func TestHostileBodiesAreRefused(t *testing.T) {
	t.Parallel()
	check.RefusesHostile(t, bitbucket.Webhooks(), created, updated, "repo:push", "pullrequest:updated")
}

func edited(t *testing.T, example string, fields ...any) []byte {
	t.Helper()
	body := bitbuckettest.Example(example)
	for i := 0; i < len(fields); i += 2 {
		body = check.Edited(t, body, fields[i].(string), fields[i+1])
	}
	return body
}

func TestEventsAreIgnoredForNamedReasons(t *testing.T) {
	t.Parallel()
	example := bitbuckettest.PipelinesFailed
	for _, tt := range []struct {
		name, event string
		body        []byte
		reason      string
	}{
		{"a push of nothing", "repo:push", edited(t, bitbuckettest.Push, "push", nil), "event_not_used"},
		{"another's pull request", "pullrequest:updated", edited(t, bitbuckettest.PullComment, "pullrequest/source/branch/name", "feature"), "event_not_used"},
		{"a pull request", "pullrequest:created", []byte("{}"), "event_not_used"},
		{"an event of tomorrow", "dance:begun", []byte("{}"), "unknown_event"},
		{"a build under way", created, edited(t, example, "commit_status/state", "INPROGRESS"), "not_completed"},
		{"a build that was stopped", updated, edited(t, example, "commit_status/state", "STOPPED"), "conclusion_stopped"},
		{"a state of tomorrow", updated, edited(t, example, "commit_status/state", "evil\n"), "conclusion_unknown"},
		{"a null refname", updated, bitbuckettest.Example(bitbuckettest.NoRefname), "no_branch"},
		{"no refname", updated, edited(t, example, "commit_status/refname", nil), "no_branch"},
		{"our own branch", updated, edited(t, example, "commit_status/refname", "sre-agent/ci-abcdef"), "own_branch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(webhook.Ignore(tt.reason), parse(t, tt.event, tt.body)); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnotherRunOfPipelinesOnTheCommitHasTheSameRunKey(t *testing.T) {
	t.Parallel()
	failed := parse(t, updated, bitbuckettest.Example(bitbuckettest.PipelinesFailed))
	passed := parse(t, updated, bitbuckettest.Example(bitbuckettest.PipelinesPassed))
	if failed.Failure.RunKey() != passed.Failure.RunKey() || failed.Kind != webhook.Failure || passed.Kind != webhook.Success {
		t.Errorf("%s %s, %s %s", failed.Kind, failed.Failure.RunKey(), passed.Kind, passed.Failure.RunKey())
	}
	if !passed.Failure.FinishedAt.After(failed.Failure.FinishedAt) {
		t.Errorf("it ended at %v, before %v", passed.Failure.FinishedAt, failed.Failure.FinishedAt)
	}
}

func TestParseChoosesTheRightValue(t *testing.T) {
	t.Parallel()
	pipelines, other := bitbuckettest.PipelinesFailed, bitbuckettest.OtherFailed
	workflow := func(f ci.Failure) string { return f.Workflow }
	for _, tt := range []struct {
		name string
		body []byte
		got  func(ci.Failure) string
		want string
	}{
		{"the repository's id has no braces", edited(t, pipelines), func(f ci.Failure) string { return f.Repository.ID }, "9d7c1b60-4711-4f0a-9a51-3d1c6f1b2a77"},
		{"the name is that of the address, not the display name", edited(t, pipelines), func(f ci.Failure) string { return f.Repository.Name }, "shop"},
		{"another system's key is the workflow", edited(t, other), workflow, "acme-ci"},
		{"an address like Pipelines' elsewhere is another system's", edited(t, pipelines, "commit_status/url", "https://ci.example/pipelines/results/1"), workflow, "-897687000"},
		{"query and fragment of an address are dropped", edited(t, other), func(f ci.Failure) string { return f.RunURL }, "https://ci.acme.example/shop/777"},
		{"the commit is read from the link where it is nowhere else", edited(t, other), func(f ci.Failure) string { return f.Commit }, strings.Repeat("5e", 20)},
		{"an author without an address has none", edited(t, pipelines, "commit_status/commit/author/raw", "Ada"), func(f ci.Failure) string { return f.CommitAuthor }, ""},
		{"a status without a name has its key", edited(t, other, "commit_status/name", nil), func(f ci.Failure) string { return f.WorkflowName }, "acme-ci"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.got(parse(t, updated, tt.body).Failure); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		example, path, field string
		value                any
	}{
		{bitbuckettest.OtherFailed, "commit_status", "commit_status", nil},
		{bitbuckettest.OtherFailed, "commit_status/key", "commit_status.key", nil},
		{bitbuckettest.OtherFailed, "commit_status/key", "commit_status.key", strings.Repeat("k", 256)},
		{bitbuckettest.OtherFailed, "commit_status/url", "commit_status.url", "javascript:alert(1)"},
		{bitbuckettest.OtherFailed, "commit_status/url", "commit_status.url", "https://user:pass@ci.acme.example/1"},
		{bitbuckettest.OtherFailed, "commit_status/links/commit/href", "commit_status.commit.hash", "https://x/commit/5e5e"},
		{bitbuckettest.PipelinesFailed, "commit_status/commit/hash", "commit_status.commit.hash", "--help"},
		{bitbuckettest.PipelinesFailed, "commit_status/refname", "commit_status.refname", "a..b"},
		{bitbuckettest.PipelinesFailed, "commit_status/updated_on", "commit_status.updated_on", "soon"},
		{bitbuckettest.PipelinesFailed, "repository/uuid", "repository.uuid", nil},
		{bitbuckettest.PipelinesFailed, "repository/uuid", "repository.uuid", "{a b}"},
		{bitbuckettest.PipelinesFailed, "repository/full_name", "repository.full_name", "acme/../shop"},
		{bitbuckettest.PipelinesFailed, "repository/full_name", "repository.full_name", "shop"},
		{bitbuckettest.PipelinesFailed, "actor/nickname", "actor.nickname", "a\x1b[2J"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			check.RefusesField(t, bitbucket.Webhooks(), updated, edited(t, tt.example, tt.path, tt.value), tt.field)
		})
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"a status", string(bitbuckettest.Example(bitbuckettest.PipelinesFailed)), "acme/shop"},
		{"a push", string(bitbuckettest.Example(bitbuckettest.Push)), "acme/shop"},
		{"none", `{}`, "/"},
		{"a name that climbs", `{"repository":{"full_name":"acme/.."}}`, "/"},
		{"three parts", `{"repository":{"full_name":"a/b/c"}}`, "/"},
		{"not JSON", `{"repository":{"full_name":"acme`, "/"},
	} {
		if owner, name := bitbucket.Repository(payload.Unread([]byte(tt.body))); owner+"/"+name != tt.want {
			t.Errorf("%s: Repository = %q, %q", tt.name, owner, name)
		}
	}
}

func TestVerifyAndIdentify(t *testing.T) {
	t.Parallel()
	keys := webhook.Keys{Signing: [][]byte{[]byte("older"), []byte("s")}, Tokens: [][]byte{[]byte("t")}}
	for _, tt := range []struct {
		name   string
		edit   func(http.Header)
		verify error
		says   string
	}{
		{"a signed request passes", func(http.Header) {}, nil, ""},
		{"its second attempt has the same id", func(h http.Header) { h.Set("X-Attempt-Number", "2") }, nil, ""},
		{"a webhook without a secret is unsigned", func(h http.Header) { h.Del("X-Hub-Signature") }, webhook.ErrUnsigned, ""},
		{"two signatures fail", func(h http.Header) { h.Add("X-Hub-Signature", h.Get("X-Hub-Signature")) }, webhook.ErrBadSignature, ""},
		{"SHA-1 fails", func(h http.Header) { h.Set("X-Hub-Signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59") }, webhook.ErrBadSignature, ""},
		{"a short one fails", func(h http.Header) { h.Set("X-Hub-Signature", "sha256=00") }, webhook.ErrBadSignature, ""},
		{"no id is refused", func(h http.Header) { h.Del("X-Request-UUID") }, nil, "X-Request-UUID"},
		{"a long id is refused", func(h http.Header) { h.Set("X-Request-UUID", strings.Repeat("a", 65)) }, nil, "X-Request-UUID"},
		{"two events are refused", func(h http.Header) { h.Add("X-Event-Key", "repo:push") }, nil, "X-Event-Key"},
		{"an event with a wildcard is refused", func(h http.Header) { h.Set("X-Event-Key", "repo.>") }, nil, "X-Event-Key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out := bitbuckettest.Request("https://ci.example.com", "s", updated, "id-1", bitbuckettest.Example(bitbuckettest.PipelinesFailed))
			tt.edit(out.Header)
			r := check.Read(t, out, time.Now())
			if err := bitbucket.Verify(r, keys); !errors.Is(err, tt.verify) {
				t.Errorf("Verify = %v, want %v", err, tt.verify)
			}
			id, event, err := bitbucket.Identify(r)
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) || err == nil && (id != "id-1" || event != updated) {
				t.Errorf("Identify = %q, %q, %v", id, event, err)
			}
		})
	}
}
