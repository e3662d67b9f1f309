package gitea_test

import (
	"encoding/json"
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
	"github.com/sre-agent/sre-agent/internal/webhook/gitea"
	"github.com/sre-agent/sre-agent/internal/webhook/gitea/giteatest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var giteas, forgejos = map[string]string{
	giteatest.RunFailed: "workflow_run", giteatest.RunSuccess: "workflow_run", giteatest.RunOfFork: "workflow_run",
	giteatest.JobFailed: "workflow_job", giteatest.Status: "status", giteatest.Push: "push",
	giteatest.CommentOnPull: "issue_comment", giteatest.PullClosed: "pull_request",
}, map[string]string{
	giteatest.ActionFailed: "action_run_failure", giteatest.ActionRecover: "action_run_recover",
	giteatest.ActionOfFork: "action_run_failure", giteatest.ActionJob: "workflow_job_failure",
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	t.Parallel()
	for example, event := range giteas {
		check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, gitea.Webhooks(), event, giteatest.Example(example)))
	}
	for example, event := range forgejos {
		check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, gitea.ForgejoWebhooks(), event, giteatest.Example(example)))
	}
}

func parse(t *testing.T, p webhook.Provider, event string, body []byte) webhook.Event {
	t.Helper()
	got, err := p.Parse(event, body)
	if err != nil {
		t.Fatal(err)
	}
	check.Parsed(t, p.Name, got, err)
	return got
}

func TestTheSendersRequestsAreRead(t *testing.T) {
	t.Parallel()
	check.Sender(t, gitea.Webhooks(), giteatest.Sender(), "the-secret")
	check.Sender(t, gitea.ForgejoWebhooks(), giteatest.ForgejoSender(), "the-secret")
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	t.Parallel()
	check.Guide(t, *update, "../../../docs/providers/gitea.md", gitea.Webhooks(), "workflow_run")
}

func TestHostileBodiesAreRefused(t *testing.T) {
	t.Parallel()
	check.RefusesHostile(t, gitea.Webhooks(), "workflow_run", "workflow_job", "status", "push", "issue_comment", "pull_request")
	check.RefusesHostile(t, gitea.ForgejoWebhooks(), "action_run_failure", "workflow_job_failure")
}

func edited(t *testing.T, example string, fields ...any) []byte {
	t.Helper()
	body := giteatest.Example(example)
	for i := 0; i < len(fields); i += 2 {
		body = check.Edited(t, body, fields[i].(string), fields[i+1])
	}
	return body
}

func TestEventsAreIgnoredForNamedReasons(t *testing.T) {
	t.Parallel()
	run, jobs, action := giteatest.RunFailed, giteatest.JobFailed, giteatest.ActionFailed
	for _, tt := range []struct {
		name, event string
		body        []byte
		reason      string
	}{
		{"a tag's push", "push", edited(t, giteatest.Push, "ref", "refs/tags/v1"), "event_not_used"},
		{"our own push", "push", edited(t, giteatest.Push, "ref", "refs/heads/sre-agent/ci-abcdef"), "own_branch"},
		{"a comment on an issue", "issue_comment", edited(t, giteatest.CommentOnPull, "is_pull", false), "event_not_used"},
		{"another's pull request", "pull_request", edited(t, giteatest.PullClosed, "pull_request/head/ref", "feature"), "event_not_used"},
		{"an event of tomorrow", "dance", []byte("{}"), "unknown_event"},
		{"a commit status, which names no branch", "status", giteatest.Example(giteatest.Status), "no_branch"},
		{"a pending commit status", "status", edited(t, giteatest.Status, "state", "pending"), "not_completed"},
		{"a requested run", "workflow_run", edited(t, run, "action", "requested"), "not_completed"},
		{"a cancelled run", "workflow_run", edited(t, run, "workflow_run/conclusion", "cancelled"), "conclusion_cancelled"},
		{"a skipped run", "workflow_run", edited(t, run, "workflow_run/conclusion", "skipped"), "conclusion_skipped"},
		{"a conclusion of tomorrow", "workflow_run", edited(t, run, "workflow_run/conclusion", "evil\n"), "conclusion_unknown"},
		{"a tag's run", "workflow_run", edited(t, run, "workflow_run/head_branch", nil), "no_branch"},
		{"a run on our own branch", "workflow_run", edited(t, run, "workflow_run/head_branch", "sre-agent/ci-abc"), "own_branch"},
		{"a job that passed", "workflow_job", edited(t, jobs, "workflow_job/conclusion", "success"), "job_success"},
		{"a queued job", "workflow_job", edited(t, jobs, "action", "queued"), "not_completed"},
		{"a pull request's job", "workflow_job", edited(t, jobs, "workflow_job/head_branch", nil), "no_branch"},
		{"Forgejo: a cancelled run that comes as a failure", "action_run_failure", edited(t, action, "run/status", "cancelled"), "conclusion_cancelled"},
		{"Forgejo: a running run", "action_run_failure", edited(t, action, "run/status", "running"), "not_completed"},
		{"Forgejo: a tag's push", "action_run_failure", edited(t, action, "run/prettyref", "v1", "run/event_payload", `{"ref":"refs/tags/v1"}`), "no_branch"},
		{"Forgejo: a tag that was made", "action_run_failure", edited(t, action, "run/prettyref", "v1", "run/event_payload", `{"ref":"v1","ref_type":"tag"}`), "no_branch"},
		{"Forgejo: a release", "action_run_failure", edited(t, action, "run/prettyref", "v1", "run/event_payload", `{"release":{"id":1}}`), "no_branch"},
		{"Forgejo: a pull request that is not told", "action_run_failure", edited(t, action, "run/prettyref", "#34", "run/event_payload", "{"), "no_branch"},
		{"Forgejo: a fork that is gone", "action_run_failure", edited(t, action, "run/prettyref", "#34", "run/event_payload", `{"pull_request":{"head":{"ref":"b","repo":null},"base":{"ref":"main"}}}`), "no_head_repository"},
		{"Forgejo: our own branch", "action_run_failure", edited(t, action, "run/prettyref", "sre-agent/ci-abc", "run/event_payload", ""), "own_branch"},
		{"Forgejo: a job that passed", "workflow_job_success", edited(t, giteatest.ActionJob, "job/status", "success"), "job_success"},
		{"Forgejo: a job that waits", "workflow_job_waiting", edited(t, giteatest.ActionJob, "job/status", "waiting"), "not_completed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(webhook.Ignore(tt.reason), parse(t, gitea.ForgejoWebhooks(), tt.event, tt.body)); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseChoosesTheRightValue(t *testing.T) {
	t.Parallel()
	branch := func(f ci.Failure) string { return f.Branch }
	head := func(f ci.Failure) string { return f.HeadRepository }
	base := func(f ci.Failure) string { return f.BaseBranch }
	workflow := func(f ci.Failure) string { return f.Workflow }
	for _, tt := range []struct {
		name, event string
		body        []byte
		got         func(ci.Failure) string
		want        string
	}{
		{"a pull request's run is on its branch", "workflow_run", edited(t, giteatest.RunOfFork), branch, "feature/basket"},
		{"and of its fork", "workflow_run", edited(t, giteatest.RunOfFork), head, "ada/shop"},
		{"and has its base", "workflow_run", edited(t, giteatest.RunOfFork), base, "release"},
		{"a head repository that is named counts", "workflow_run", edited(t, giteatest.RunFailed, "workflow_run/head_repository", map[string]any{"full_name": "ada/shop"}), head, "ada/shop"},
		{"a run without its workflow has the file's name", "workflow_run", edited(t, giteatest.RunFailed, "workflow", nil), workflow, "ci.yml"},
		{"a zero time is none", "workflow_run", edited(t, giteatest.RunFailed, "workflow_run/completed_at", "0001-01-01T00:00:00Z"), func(f ci.Failure) string { return f.FinishedAt.Format(time.RFC3339) }, "0001-01-01T00:00:00Z"},
		{"an attempt of an older server is the first", "workflow_run", edited(t, giteatest.RunFailed, "workflow_run/run_attempt", 0), func(f ci.Failure) string { return string(rune('0' + f.RunAttempt)) }, "1"},
		{"Forgejo: a pull request's run is on its branch", "action_run_failure", edited(t, giteatest.ActionOfFork), branch, "feature/basket"},
		{"Forgejo: and of its fork", "action_run_failure", edited(t, giteatest.ActionOfFork), head, "ada/shop"},
		{"Forgejo: and has its base", "action_run_failure", edited(t, giteatest.ActionOfFork), base, "release"},
		{"Forgejo: pull_request_target is on the base branch", "action_run_failure", edited(t, giteatest.ActionOfFork, "run/prettyref", "release"), branch, "release"},
		{"Forgejo: a schedule is on the default branch", "action_run_failure", edited(t, giteatest.ActionFailed, "run/prettyref", "main", "run/event_payload", `{"action":"schedule"}`), branch, "main"},
		{"Forgejo: the author of another commit does not count", "action_run_failure", edited(t, giteatest.ActionFailed, "run/commit_sha", strings.Repeat("ab", 20)), func(f ci.Failure) string { return f.CommitAuthor }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.got(parse(t, gitea.ForgejoWebhooks(), tt.event, tt.body).Failure); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestARunItsAttemptsAndItsJobsAreOneRun(t *testing.T) {
	t.Parallel()
	failed := parse(t, gitea.Webhooks(), "workflow_run", giteatest.Example(giteatest.RunFailed)).Failure
	passed := parse(t, gitea.Webhooks(), "workflow_run", giteatest.Example(giteatest.RunSuccess)).Failure
	of := parse(t, gitea.Webhooks(), "workflow_job", giteatest.Example(giteatest.JobFailed)).Failure
	if failed.RunKey() != passed.RunKey() {
		t.Errorf("the second attempt has another run key: %s", passed.RunKey())
	}
	if !cmp.Equal(failed.Claims, of.Claims) || len(of.Claims) != 1 {
		t.Errorf("claims of the run %q, of its job %q", failed.Claims, of.Claims)
	}
	run := parse(t, gitea.ForgejoWebhooks(), "action_run_failure", giteatest.Example(giteatest.ActionFailed)).Failure
	job := parse(t, gitea.ForgejoWebhooks(), "workflow_job_failure", giteatest.Example(giteatest.ActionJob)).Failure
	if run.RunKey() != job.RunKey() {
		t.Errorf("Forgejo: run key of the run %s, of its job %s", run.RunKey(), job.RunKey())
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		event, example, path, field string
		value                       any
	}{
		{"workflow_run", giteatest.RunFailed, "action", "action", nil},
		{"workflow_run", giteatest.RunFailed, "workflow_run", "workflow_run", nil},
		{"workflow_run", giteatest.RunFailed, "workflow_run/id", "workflow_run.id", nil},
		{"workflow_run", giteatest.RunFailed, "workflow_run/head_sha", "workflow_run.head_sha", "5e5e5e5"},
		{"workflow_run", giteatest.RunFailed, "workflow_run/head_branch", "workflow_run.head_branch", "-x"},
		{"workflow_run", giteatest.RunFailed, "workflow_run/html_url", "workflow_run.html_url", "javascript:x"},
		{"workflow_run", giteatest.RunFailed, "workflow_run/completed_at", "workflow_run.completed_at", "soon"},
		{"workflow_run", giteatest.RunFailed, "repository/id", "repository.id", -1},
		{"workflow_run", giteatest.RunFailed, "repository/name", "repository.name", ".."},
		{"workflow_run", giteatest.RunFailed, "repository/owner/login", "repository.owner.login", "a/b"},
		{"workflow_run", giteatest.RunFailed, "repository/clone_url", "repository.clone_url", "file:///etc"},
		{"workflow_run", giteatest.RunFailed, "workflow/path", "workflow_run.path", "a\nb"},
		{"workflow_job", giteatest.JobFailed, "workflow_job", "workflow_job", nil},
		{"workflow_job", giteatest.JobFailed, "workflow_job/run_id", "workflow_job.run_id", nil},
		{"workflow_job", giteatest.JobFailed, "workflow_job/name", "workflow_job.name", strings.Repeat("n", 256)},
		{"status", giteatest.Status, "state", "state", nil},
		{"action_run_failure", giteatest.ActionFailed, "run", "run", nil},
		{"action_run_failure", giteatest.ActionFailed, "run/repository", "run.repository", nil},
		{"action_run_failure", giteatest.ActionFailed, "run/workflow_id", "run.workflow_id", nil},
		{"action_run_failure", giteatest.ActionFailed, "run/event_payload", "run.prettyref", `{"ref":"refs/heads/a..b"}`},
		{"workflow_job_failure", giteatest.ActionJob, "job", "job", nil},
	} {
		t.Run(tt.event+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			check.RefusesField(t, gitea.ForgejoWebhooks(), tt.event, edited(t, tt.example, tt.path, tt.value), tt.field)
		})
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"Gitea's run", string(giteatest.Example(giteatest.RunFailed)), "acme/shop"},
		{"Forgejo's run", string(giteatest.Example(giteatest.ActionFailed)), "acme/shop"},
		{"Forgejo's job", string(giteatest.Example(giteatest.ActionJob)), "acme/shop"},
		{"none", `{"run":{"id":1}}`, "/"},
		{"a name that climbs", `{"repository":{"name":"..","owner":{"login":"acme"}}}`, "/"},
		{"not JSON", `{"repository":{"name":"n"`, "/"},
	} {
		if owner, name := gitea.Webhooks().Repository(payload.Unread([]byte(tt.body))); owner+"/"+name != tt.want {
			t.Errorf("%s: Repository = %q, %q", tt.name, owner, name)
		}
	}
}

func TestEachServerHasItsOwnHeaders(t *testing.T) {
	t.Parallel()
	key := webhook.Keys{Signing: [][]byte{[]byte("older"), []byte("s")}}
	body := giteatest.Example(giteatest.RunFailed)
	now := time.Now()
	for _, tt := range []struct {
		name   string
		p      webhook.Provider
		prefix string
		edit   func(http.Header)
		verify error
		says   string
	}{
		{"Gitea's pass at gitea", gitea.Webhooks(), "X-Gitea-", func(http.Header) {}, nil, ""},
		{"Gitea's are unsigned at forgejo", gitea.ForgejoWebhooks(), "X-Gitea-", func(http.Header) {}, webhook.ErrUnsigned, "X-Forgejo-Delivery"},
		{"Forgejo's pass at forgejo", gitea.ForgejoWebhooks(), "X-Forgejo-", func(http.Header) {}, nil, ""},
		{"Forgejo's pass at gitea by Gitea's headers", gitea.Webhooks(), "X-Forgejo-", func(http.Header) {}, nil, ""},
		{"a webhook without a secret is unsigned", gitea.Webhooks(), "X-Gitea-", func(h http.Header) { h.Set("X-Gitea-Signature", "") }, webhook.ErrUnsigned, ""},
		{"the SHA-1 header alone is unsigned", gitea.Webhooks(), "X-Gitea-", func(h http.Header) {
			h.Del("X-Gitea-Signature")
			h.Set("X-Hub-Signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")
		}, webhook.ErrUnsigned, ""},
		{"two signatures fail", gitea.Webhooks(), "X-Gitea-", func(h http.Header) { h.Add("X-Gitea-Signature", h.Get("X-Gitea-Signature")) }, webhook.ErrBadSignature, ""},
		{"a prefix fails", gitea.Webhooks(), "X-Gitea-", func(h http.Header) { h.Set("X-Gitea-Signature", "sha256="+h.Get("X-Gitea-Signature")) }, webhook.ErrBadSignature, ""},
		{"a short one fails", gitea.Webhooks(), "X-Gitea-", func(h http.Header) { h.Set("X-Gitea-Signature", h.Get("X-Gitea-Signature")[:62]) }, webhook.ErrBadSignature, ""},
		{"two ids are refused", gitea.Webhooks(), "X-Gitea-", func(h http.Header) { h.Add("X-Gitea-Delivery", "x") }, nil, "X-Gitea-Delivery"},
		{"an event with a wildcard is refused", gitea.Webhooks(), "X-Gitea-", func(h http.Header) { h.Set("X-Gitea-Event", "push.>") }, nil, "X-Gitea-Event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out := giteatest.Request("https://ci.example.com", "s", tt.prefix, "workflow_run", "id-1", body)
			tt.edit(out.Header)
			r := check.Read(t, out, now)
			if err := tt.p.Verify(r, key); !errors.Is(err, tt.verify) {
				t.Errorf("Verify = %v, want %v", err, tt.verify)
			}
			id, event, err := tt.p.Identify(r)
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) || err == nil && (id != "id-1" || event != "workflow_run") {
				t.Errorf("Identify = %q, %q, %v", id, event, err)
			}
		})
	}
}

func TestForgejosTriggerMayBeAnything(t *testing.T) {
	t.Parallel()
	for _, trigger := range []string{"", "null", "[]", `{"ref":7}`, `{"pull_request":[]}`, `{"head_commit":"x"}`} {
		if f := parse(t, gitea.ForgejoWebhooks(), "action_run_failure", edited(t, giteatest.ActionFailed, "run/event_payload", trigger)).Failure; f.Branch != "feature/basket" {
			t.Errorf("%s: branch %q", trigger, f.Branch)
		}
	}
	if text, err := json.Marshal(parse(t, gitea.ForgejoWebhooks(), "action_run_failure", giteatest.Example(giteatest.ActionFailed))); err != nil || strings.Contains(string(text), "before") {
		t.Errorf("the trigger is in the failure: %s, %v", text, err)
	}
}
