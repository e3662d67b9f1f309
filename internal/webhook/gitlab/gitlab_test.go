package gitlab_test

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
	"github.com/sre-agent/sre-agent/internal/webhook/gitlab"
	"github.com/sre-agent/sre-agent/internal/webhook/gitlab/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var examples = map[string]string{
	gitlabtest.PipelineFailed: "pipeline", gitlabtest.PipelinePassed: "pipeline", gitlabtest.PipelineOfFork: "pipeline",
	gitlabtest.JobFailed: "job", gitlabtest.JobAllowedFails: "job", gitlabtest.Push: "push",
	gitlabtest.NoteOnMerge: "note", gitlabtest.MergeClosed: "merge_request",
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	t.Parallel()
	for example, event := range examples {
		got, err := gitlab.Parse(event, gitlabtest.Example(example))
		if err != nil {
			t.Fatal(err)
		}
		check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), got)
	}
}

func TestTheSendersRequestsAreRead(t *testing.T) {
	t.Parallel()
	check.Sender(t, gitlab.Webhooks(), gitlabtest.Sender(), "whsec_c2lnbmluZy10b2tlbi1vZi1hY21l")
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	t.Parallel()
	check.Guide(t, *update, "../../../docs/providers/gitlab.md", gitlab.Webhooks(), "pipeline")
}

func TestHostileBodiesAreRefused(t *testing.T) {
	t.Parallel()
	check.RefusesHostile(t, gitlab.Webhooks(), "pipeline", "job", "push", "note", "merge_request")
}

func edited(t *testing.T, example string, fields ...any) []byte {
	t.Helper()
	body := gitlabtest.Example(example)
	for i := 0; i < len(fields); i += 2 {
		body = check.Edited(t, body, fields[i].(string), fields[i+1])
	}
	return body
}

func parse(t *testing.T, event string, body []byte) webhook.Event {
	t.Helper()
	got, err := gitlab.Parse(event, body)
	if err != nil {
		t.Fatal(err)
	}
	check.Parsed(t, gitlab.Provider, got, err)
	return got
}

func TestEventsAreIgnoredForNamedReasons(t *testing.T) {
	t.Parallel()
	pipeline, job := gitlabtest.PipelineFailed, gitlabtest.JobFailed
	for _, tt := range []struct {
		name, event string
		body        []byte
		reason      string
	}{
		{"a tag's push", "push", edited(t, gitlabtest.Push, "ref", "refs/tags/v1"), "event_not_used"},
		{"our own push", "push", edited(t, gitlabtest.Push, "ref", "refs/heads/sre-agent/ci-abcdef"), "own_branch"},
		{"a push without a project", "push", edited(t, gitlabtest.Push, "project", nil), "event_not_used"},
		{"a comment on an issue", "note", edited(t, gitlabtest.NoteOnMerge, "object_attributes/noteable_type", "Issue"), "event_not_used"}, //nolint:misspell // GitLab's word
		{"a comment on another's merge request", "note", edited(t, gitlabtest.NoteOnMerge, "merge_request/source_branch", "feature"), "event_not_used"},
		{"a merge request with a hostile number", "merge_request", edited(t, gitlabtest.MergeClosed, "object_attributes/iid", "1; drop"), "event_not_used"},
		{"a merge request below zero", "merge_request", edited(t, gitlabtest.MergeClosed, "object_attributes/iid", -1), "event_not_used"},
		{"an event of tomorrow", "dance", []byte("{}"), "unknown_event"},
		{"a running pipeline", "pipeline", edited(t, pipeline, "object_attributes/status", "running"), "not_completed"},
		{"a pipeline that is being cancelled", "pipeline", edited(t, pipeline, "object_attributes/status", "canceling"), "not_completed"},
		{"a cancelled pipeline", "pipeline", edited(t, pipeline, "object_attributes/status", "canceled"), "conclusion_canceled"},
		{"a skipped pipeline", "pipeline", edited(t, pipeline, "object_attributes/status", "skipped"), "conclusion_skipped"},
		{"a pipeline that waits for a person", "pipeline", edited(t, pipeline, "object_attributes/status", "manual"), "conclusion_manual"},
		{"a status of tomorrow", "pipeline", edited(t, pipeline, "object_attributes/status", "evil\nvalue"), "conclusion_unknown"},
		{"a pipeline without a status", "pipeline", edited(t, pipeline, "object_attributes/status", nil), "conclusion_unknown"},
		{"a tag's pipeline", "pipeline", edited(t, pipeline, "object_attributes/tag", true), "no_branch"},
		{"a pipeline on no branch", "pipeline", edited(t, pipeline, "object_attributes/ref", nil), "no_branch"},
		{"our own branch", "pipeline", edited(t, pipeline, "object_attributes/ref", "sre-agent/ci-abcdef"), "own_branch"},
		{"a child pipeline that passed", "pipeline", edited(t, gitlabtest.PipelinePassed, "object_attributes/source", "parent_pipeline"), "child_success"},
		{"a pipeline of another project's that passed", "pipeline", edited(t, gitlabtest.PipelinePassed, "source_pipeline", map[string]any{"pipeline_id": 5}), "child_success"},
		{"a job that passed", "job", edited(t, job, "build_status", "success"), "job_success"},
		{"a job that runs", "job", edited(t, job, "build_status", "running"), "not_completed"},
		{"a job that was cancelled", "job", edited(t, job, "build_status", "canceled"), "conclusion_canceled"},
		{"a job that may fail", "job", gitlabtest.Example(gitlabtest.JobAllowedFails), "allowed_failure"},
		{"a tag's job", "job", edited(t, job, "tag", true), "no_branch"},
		{"a job of a merge request's pipeline", "job", edited(t, job, "ref", "refs/merge-requests/34/head"), "no_branch"},
		{"a job on our own branch", "job", edited(t, job, "ref", "sre-agent/ci-abcdef"), "own_branch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(webhook.Ignore(tt.reason), parse(t, tt.event, tt.body)); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommitIDOfAJobIsThePipelinesIDAndTheCommitIsInSHA(t *testing.T) {
	t.Parallel()
	f := parse(t, "job", gitlabtest.Example(gitlabtest.JobFailed)).Failure
	if f.Commit != strings.Repeat("5e", 20) || f.RunID != "90210" {
		t.Errorf("commit %s, run %s", f.Commit, f.RunID)
	}
	f = parse(t, "job", edited(t, gitlabtest.JobFailed, "pipeline_id", nil)).Failure
	if f.Commit != strings.Repeat("5e", 20) || f.RunID != "90210" {
		t.Errorf("without pipeline_id: commit %s, run %s", f.Commit, f.RunID)
	}
}

func TestJobsTheirRetriesAndThePipelineHaveOneRunKey(t *testing.T) {
	t.Parallel()
	want := parse(t, "pipeline", gitlabtest.Example(gitlabtest.PipelineFailed)).Failure.RunKey()
	retried := edited(t, gitlabtest.JobFailed, "build_id", 550019, "build_name", "lint", "retries_count", 1)
	for name, got := range map[string]webhook.Event{
		"its job":            parse(t, "job", gitlabtest.Example(gitlabtest.JobFailed)),
		"another, retried":   parse(t, "job", retried),
		"a success":          parse(t, "pipeline", gitlabtest.Example(gitlabtest.PipelinePassed)),
		"the second attempt": parse(t, "pipeline", edited(t, gitlabtest.PipelineFailed, "object_attributes/id", 90333, "object_attributes/name", "x")),
	} {
		if key := got.Failure.RunKey(); key != want {
			t.Errorf("%s: run key %s, want %s", name, key, want)
		}
	}
}

func TestAllowFailureOfAPipelinesJobLeavesThePipelinesStatusToDecide(t *testing.T) {
	t.Parallel()
	if got := parse(t, "pipeline", gitlabtest.Example(gitlabtest.PipelinePassed)); got.Kind != webhook.Success {
		t.Errorf("%+v", got)
	}
}

func TestParseChoosesTheRightValue(t *testing.T) {
	t.Parallel()
	fork := gitlabtest.PipelineOfFork
	for _, tt := range []struct {
		name, event string
		body        []byte
		got         func(ci.Failure) string
		want        string
	}{
		{"a fork's merge request has the fork as head repository", "pipeline", edited(t, fork), func(f ci.Failure) string { return f.HeadRepository }, "projects/8200"},
		{"a fork that is gone is a fork", "pipeline", edited(t, fork, "merge_request/source_project_id", nil), func(f ci.Failure) string { return f.HeadRepository }, "projects/0"},
		{"a merge request of the project itself is none", "pipeline", edited(t, fork, "merge_request/source_project_id", 4711), func(f ci.Failure) string { return f.HeadRepository }, "acme/web/shop"},
		{"the merge request's target is the base branch", "pipeline", edited(t, fork), func(f ci.Failure) string { return f.BaseBranch }, "release"},
		{"the target in another project is not", "pipeline", edited(t, fork, "merge_request/target_project_id", 1), func(f ci.Failure) string { return f.BaseBranch }, "main"},
		{"the merge request's own ref gives way to its branch", "pipeline", edited(t, fork, "object_attributes/ref", "refs/merge-requests/34/head"), func(f ci.Failure) string { return f.Branch }, "feature/basket"},
		{"a pipeline without a name has one for people", "pipeline", edited(t, gitlabtest.PipelineFailed, "object_attributes/name", nil), func(f ci.Failure) string { return f.WorkflowName }, "GitLab CI"},
		{"an older server's pipeline has an address too", "pipeline", edited(t, gitlabtest.PipelineFailed, "object_attributes/url", nil), func(f ci.Failure) string { return f.RunURL }, "https://gitlab.example.com/acme/web/shop/-/pipelines/90210"},
		{"groups in groups are the owner", "job", edited(t, gitlabtest.JobFailed), func(f ci.Failure) string { return f.Repository.Owner }, "acme/web"},
		{"a server below a path", "job", edited(t, gitlabtest.JobFailed, "repository/homepage", "https://example.com/gitlab/acme/web/shop"), func(f ci.Failure) string { return f.Repository.FullName() }, "acme/web/shop"},
		{"without SSH the address is read", "job", edited(t, gitlabtest.JobFailed, "repository/git_ssh_url", nil), func(f ci.Failure) string { return f.Repository.FullName() }, "acme/web/shop"},
		{"a newer server's job knows the default branch", "job", edited(t, gitlabtest.JobFailed, "project", map[string]any{"path_with_namespace": "acme/web/shop", "default_branch": "trunk"}), func(f ci.Failure) string { return f.BaseBranch }, "trunk"},
		{"a job's time is the job's end", "job", edited(t, gitlabtest.JobFailed), func(f ci.Failure) string { return f.FinishedAt.Format(time.RFC3339) }, "2026-11-03T10:20:29Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.got(parse(t, tt.event, tt.body).Failure); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		event, path, field string
		value              any
	}{
		{"pipeline", "object_kind", "object_attributes", "build"},
		{"pipeline", "object_attributes", "object_attributes", nil},
		{"pipeline", "object_attributes/id", "object_attributes.id", -1},
		{"pipeline", "object_attributes/sha", "object_attributes.sha", "abc"},
		{"pipeline", "object_attributes/ref", "object_attributes.ref", "--upload-pack=x"},
		{"pipeline", "object_attributes/url", "object_attributes.url", "javascript:alert(1)"},
		{"pipeline", "object_attributes/finished_at", "object_attributes.finished_at", "soon"},
		{"pipeline", "project/id", "project.id", nil},
		{"pipeline", "project/path_with_namespace", "project.path_with_namespace", "acme/../shop"},
		{"pipeline", "project/path_with_namespace", "project.path_with_namespace", "shop"},
		{"pipeline", "project/git_http_url", "project.git_http_url", "https://user:pass@gitlab.example.com/a/b.git"},
		{"pipeline", "project/git_http_url", "project.git_http_url", "ext::sh -c id"},
		{"pipeline", "user/username", "user.username", "a\x1b[2J"},
		{"job", "object_kind", "object_kind", "pipeline"},
		{"job", "sha", "sha", nil},
		{"job", "pipeline_id", "pipeline_id", -1},
		{"job", "build_id", "build_id", nil},
		{"job", "project_id", "project.id", nil},
		{"job", "commit/author_email", "commit.author_email", strings.Repeat("a", 321)},
		{"job", "repository/git_http_url", "project.git_http_url", "file:///etc/passwd"},
	} {
		t.Run(tt.event+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			example := map[string]string{"pipeline": gitlabtest.PipelineFailed, "job": gitlabtest.JobFailed}[tt.event]
			check.RefusesField(t, gitlab.Webhooks(), tt.event, edited(t, example, tt.path, tt.value), tt.field)
		})
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"a pipeline", string(gitlabtest.Example(gitlabtest.PipelineFailed)), "acme/web|shop"},
		{"a job", string(gitlabtest.Example(gitlabtest.JobFailed)), "acme/web|shop"},
		{"a push", string(gitlabtest.Example(gitlabtest.Push)), "acme/web|shop"},
		{"a group's event", `{"event_name":"group_create"}`, "|"},
		{"a path that climbs", `{"project":{"path_with_namespace":"acme/../shop"}}`, "|"},
		{"a path with wildcards", `{"project":{"path_with_namespace":"acme/*/>"}}`, "|"},
		{"a file", `{"repository":{"homepage":"file:///acme/shop"}}`, "|"},
		{"not JSON", `{"project":{"path_with`, "|"},
	} {
		if owner, name := gitlab.Repository(payload.Unread([]byte(tt.body))); owner+"|"+name != tt.want {
			t.Errorf("%s: Repository = %q, %q", tt.name, owner, name)
		}
	}
}

var at = time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC)

func keys(signing, token string) webhook.Keys {
	var k webhook.Keys
	if signing != "" {
		k.Signing = [][]byte{[]byte("older"), []byte(signing)}
	}
	if token != "" {
		k.Tokens = [][]byte{[]byte("older"), []byte(token)}
	}
	return k
}

func TestVerify(t *testing.T) {
	t.Parallel()
	body := gitlabtest.Example(gitlabtest.PipelineFailed)
	signed := func(edit func(http.Header)) *webhook.Request {
		r := gitlabtest.Request("https://ci.example.com", "s", "Pipeline Hook", "id-1", at, body)
		edit(r.Header)
		return check.Read(t, r, at)
	}
	token := func(edit func(http.Header)) *webhook.Request {
		r := gitlabtest.TokenRequest("https://ci.example.com", "t", "Pipeline Hook", "id-1", body)
		edit(r.Header)
		return check.Read(t, r, at)
	}
	same := func(http.Header) {}
	late := signed(same)
	late.Received = at.Add(6 * time.Minute)
	for _, tt := range []struct {
		name string
		r    *webhook.Request
		keys webhook.Keys
		want error
	}{
		{"a signed request passes", signed(same), keys("s", ""), nil},
		{"it passes where tokens are known too", signed(same), keys("s", "t"), nil},
		{"a bad signature fails even with the right token", signed(func(h http.Header) {
			h.Set("X-Gitlab-Token", "t")
			h.Set("Webhook-Signature", "v1,AAAA")
		}), keys("s", "t"), webhook.ErrBadSignature},
		{"a signed request of six minutes ago is stale", late, keys("s", ""), webhook.ErrStale},
		{"another signing token fails", signed(same), keys("x", ""), webhook.ErrBadSignature},
		{"another id than the signed one fails", signed(func(h http.Header) { h.Set("Webhook-Id", "id-2") }), keys("s", ""), webhook.ErrBadSignature},
		{"two signatures fail", signed(func(h http.Header) { h.Add("Webhook-Signature", "v1,AAAA") }), keys("s", ""), webhook.ErrBadSignature},
		{"the secret token passes", token(same), keys("", "t"), nil},
		{"it passes where signing tokens are known too", token(same), keys("s", "t"), nil},
		{"another secret token fails", token(same), keys("", "x"), webhook.ErrBadSignature},
		{"two secret tokens fail", token(func(h http.Header) { h.Add("X-Gitlab-Token", "t") }), keys("", "t"), webhook.ErrBadSignature},
		{"none at all is unsigned", token(func(h http.Header) { h.Del("X-Gitlab-Token") }), keys("", "t"), webhook.ErrUnsigned},
		{"a secret token where only signatures count is unsigned", token(same), keys("t", ""), webhook.ErrUnsigned},
		{"no key accepts nothing", token(same), webhook.Keys{}, webhook.ErrUnsigned},
		{"an empty token never matches", token(func(h http.Header) { h.Set("X-Gitlab-Token", " ") }), webhook.Keys{Tokens: [][]byte{{}}}, webhook.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := gitlab.Verify(tt.r, tt.keys); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, tt := range []struct {
		name            string
		header          http.Header
		id, event, says string
	}{
		{"a delivery sent again has its key again", header("Idempotency-Key", "k-1", "X-Gitlab-Event", "Pipeline Hook"), "k-1", "pipeline", ""},
		{"a signed one has its signed id", header("Idempotency-Key", "k-1", "Webhook-Id", "k-2", "Webhook-Signature", "v1,", "X-Gitlab-Event", "Job Hook"), "k-2", "job", ""},
		{"an unsigned id does not count", header("Idempotency-Key", "k-1", "Webhook-Id", "k-2", "X-Gitlab-Event", "Job Hook"), "k-1", "job", ""},
		{"an older server sends no id", header("X-Gitlab-Event", "Merge Request Hook"), "", "merge_request", ""},
		{"a long id", header("Idempotency-Key", strings.Repeat("a", 65), "X-Gitlab-Event", "Job Hook"), "", "", "Idempotency-Key"},
		{"two ids", header("Idempotency-Key", "a", "Idempotency-Key", "b", "X-Gitlab-Event", "Job Hook"), "", "", "Idempotency-Key"},
		{"no event", header("Idempotency-Key", "a"), "", "", "X-Gitlab-Event"},
		{"an event with a wildcard", header("X-Gitlab-Event", "Job.>"), "", "", "X-Gitlab-Event"},
	} {
		id, event, err := gitlab.Identify(&webhook.Request{Header: tt.header})
		if id != tt.id || event != tt.event || (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: Identify = %q, %q, %v", tt.name, id, event, err)
		}
	}
}
