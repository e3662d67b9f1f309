package circleci_test

import (
	"errors"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/circleci"
	"github.com/sre-agent/sre-agent/internal/webhook/circleci/circlecitest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func eventOf(t testing.TB, body []byte) string {
	t.Helper()
	_, event, err := circleci.Identify(&webhook.Request{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func parse(t testing.TB, body []byte) webhook.Event {
	t.Helper()
	e, err := circleci.Parse(eventOf(t, body), body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	for _, example := range circlecitest.Examples() {
		t.Run(example, func(t *testing.T) {
			check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, circlecitest.Example(example)))
		})
	}
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	check.Guide(t, *update, "../../../docs/providers/circleci.md", circleci.Webhooks(), "workflow-completed")
}

func TestSenderMakesWhatTheProviderReads(t *testing.T) {
	check.Sender(t, circleci.Webhooks(), circlecitest.Sender(), "s3cret-of-the-webhook")
}

func TestWorkflowAndJobEventsOfOneWorkflowHaveOneRunKey(t *testing.T) {
	workflow := parse(t, circlecitest.Example(circlecitest.WorkflowFailed)).Failure
	job := parse(t, circlecitest.Example(circlecitest.JobFailed)).Failure
	again := parse(t, check.Edited(t, circlecitest.Example(circlecitest.WorkflowFailed), "workflow/id", "another-run")).Failure
	if workflow.RunKey() != job.RunKey() || workflow.RunKey() != again.RunKey() {
		t.Errorf("run keys %q, %q, %q", workflow.RunKey(), job.RunKey(), again.RunKey())
	}
	other := parse(t, check.Edited(t, circlecitest.Example(circlecitest.WorkflowFailed), "workflow/name", "nightly")).Failure
	if workflow.RunKey() == other.RunKey() {
		t.Error("another workflow has the same run key")
	}
}

func TestPipelinesWithoutVCSAreReadFromTheirTriggerParameters(t *testing.T) {
	f := parse(t, circlecitest.Example(circlecitest.WorkflowGitHubApp)).Failure
	if f.Repository.CloneURL != "https://github.com/acme/shop.git" || f.Repository.DefaultBranch != "main" || !strings.HasPrefix(f.RunURL, "https://app.circleci.com/pipelines/circleci/") {
		t.Errorf("%+v", f)
	}
	if got := parse(t, circlecitest.Example(circlecitest.WorkflowNoVCS)); got.Reason != circleci.IgnoredNoRepository {
		t.Errorf("without vcs and parameters: %+v", got)
	}
}

func TestForkedPullRequestsAreFromAFork(t *testing.T) {
	if f := parse(t, circlecitest.Example(circlecitest.WorkflowFork)).Failure; !f.FromFork() || f.HeadRepository != "stranger/shop" {
		t.Errorf("%+v", f)
	}
}

func TestParseIgnoresWithAReason(t *testing.T) {
	workflow, job, gitlab := circlecitest.Example(circlecitest.WorkflowFailed), circlecitest.Example(circlecitest.JobFailed), circlecitest.Example(circlecitest.WorkflowGitLab)
	const parameters = "pipeline/trigger_parameters/"
	for _, tt := range []struct {
		name   string
		body   []byte
		reason string
	}{
		{"a job that passed", circlecitest.Example(circlecitest.JobSuccess), webhook.IgnoredJobSuccess},
		{"a job that passed under the type of a workflow, as one sample has it", check.Edited(t, circlecitest.Example(circlecitest.JobSuccess), "type", "workflow-completed"), webhook.IgnoredJobSuccess},
		{"a cancelled workflow", check.Edited(t, workflow, "workflow/status", "canceled"), "conclusion_canceled"},
		{"a configuration that does not compile", check.Edited(t, workflow, "workflow/status", "error"), "conclusion_error"},
		{"an unauthorized workflow", check.Edited(t, workflow, "workflow/status", "unauthorized"), "conclusion_unauthorized"},
		{"a workflow without a status", check.Edited(t, workflow, "workflow/status", nil), "conclusion_none"},
		{"a workflow that waits for approval", check.Edited(t, workflow, "workflow/status", "on_hold"), webhook.IgnoredNotCompleted},
		{"a cancelled job", check.Edited(t, job, "job/status", "canceled"), "conclusion_canceled"},
		{"a status of tomorrow", check.Edited(t, job, "job/status", "evil\nvalue"), "conclusion_unknown"},
		{"a tag", check.Edited(t, check.Edited(t, workflow, "pipeline/vcs/tag", "v1"), "pipeline/vcs/branch", nil), webhook.IgnoredNoBranch},
		{"our own branch", check.Edited(t, workflow, "pipeline/vcs/branch", "sre-agent/ci-abcdef"), webhook.IgnoredOwnBranch},
		{"no commit", check.Edited(t, workflow, "pipeline/vcs/revision", nil), circleci.IgnoredNoCommit},
		{"a short commit", check.Edited(t, workflow, "pipeline/vcs/revision", "5e5e5e5"), circleci.IgnoredNoCommit},
		{"a repository that is a file", check.Edited(t, workflow, "pipeline/vcs/target_repository_url", "file:///etc/passwd"), circleci.IgnoredNoRepository},
		{"an origin that is no address", check.Edited(t, workflow, "pipeline/vcs/origin_repository_url", "somewhere"), circleci.IgnoredNoHeadRepository},
		{"a merge request, which does not say where it is from", check.Edited(t, gitlab, parameters+"gitlab/type", "merge_request"), circleci.IgnoredNoHeadRepository},
		{"GitHub App with nothing filled in", check.Edited(t, gitlab, "pipeline/trigger_parameters", map[string]any{"git": map[string]any{"repo_url": "", "checkout_url": ""}}), circleci.IgnoredNoRepository},
		{"an event of tomorrow", check.Edited(t, workflow, "type", "pipeline-completed"), webhook.IgnoredUnknownEvent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.body); got.Kind != webhook.Ignored || got.Reason != tt.reason {
				t.Errorf("Parse = %+v, want ignored(%s)", got, tt.reason)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	body := circlecitest.Example(circlecitest.WorkflowFailed)
	for _, tt := range []struct {
		name, path, field string
		value             any
	}{
		{"no project id", "project/id", "project.id", nil},
		{"a project id with a line end", "project/id", "project.id", "a\nb"},
		{"no workflow name", "workflow/name", "workflow.name", nil},
		{"a workflow name with an escape", "workflow/name", "workflow.name", "CI\x1b[2J"},
		{"no workflow id", "workflow/id", "workflow.id", nil},
		{"an address that is a script", "workflow/url", "workflow.url", "javascript:alert(1)"},
		{"a time that is none", "workflow/stopped_at", "workflow.stopped_at", "yesterday"},
		{"a branch that looks like an option", "pipeline/vcs/branch", "pipeline.vcs.branch", "--upload-pack=x"},
		{"an author's address without end", "pipeline/vcs/commit/author/email", "pipeline.vcs.commit.author.email", strings.Repeat("a", 321)},
		{"a project that is a list", "project", "project", []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check.RefusesField(t, circleci.Webhooks(), "workflow-completed", check.Edited(t, body, tt.path, tt.value), tt.field)
		})
	}
}

func TestHostileBodiesEndWithAnErrorOrAReason(t *testing.T) {
	check.RefusesHostile(t, circleci.Webhooks(), "workflow-completed", "job-completed")
}

func TestVerify(t *testing.T) {
	body := "hello world"
	// The example of https://circleci.com/docs/guides/integration/outbound-webhooks/
	const documented = "v1=734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"
	keys := webhook.Keys{Signing: [][]byte{[]byte("secret")}}
	for _, tt := range []struct {
		name   string
		header []string
		body   string
		keys   webhook.Keys
		want   error
	}{
		{"the right signature passes", []string{circlecitest.Sign("secret", []byte(body))}, body, keys, nil},
		{"a newer version beside it does not matter", []string{"v2=abc, " + circlecitest.Sign("secret", []byte(body)) + ",v0=1"}, body, keys, nil},
		{"another secret fails", []string{circlecitest.Sign("other", []byte(body))}, body, keys, webhook.ErrBadSignature},
		{"a changed body fails", []string{circlecitest.Sign("secret", []byte(body))}, body + " ", keys, webhook.ErrBadSignature},
		{"v1 twice fails", []string{"v1=00," + circlecitest.Sign("secret", []byte(body))}, body, keys, webhook.ErrBadSignature},
		{"only versions that we don't know fail", []string{"v2=" + documented[3:]}, body, keys, webhook.ErrBadSignature},
		{"v1 behind a hundred others fails", []string{strings.Repeat("v3=x,", 100) + circlecitest.Sign("secret", []byte(body))}, body, keys, webhook.ErrBadSignature},
		{"a short signature fails", []string{documented[:40]}, body, keys, webhook.ErrBadSignature},
		{"two headers fail", []string{documented, documented}, body, keys, webhook.ErrBadSignature},
		{"no header is unsigned", nil, body, keys, webhook.ErrUnsigned},
		{"a secret as a token does not count", []string{circlecitest.Sign("secret", []byte(body))}, body, webhook.Keys{Tokens: [][]byte{[]byte("secret")}}, webhook.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &webhook.Request{Header: http.Header{circleci.HeaderSignature: tt.header}, Body: []byte(tt.body)}
			if err := circleci.Verify(r, tt.keys); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
	if got := circlecitest.Sign("secret", []byte(body)); got != documented {
		t.Errorf("Sign = %s, want CircleCI's documented value %s", got, documented)
	}
}

func TestIdentifyReadsTheSignedBody(t *testing.T) {
	r := &webhook.Request{Header: http.Header{"Circleci-Event-Type": {"job-completed"}}, Body: circlecitest.Example(circlecitest.WorkflowFailed)}
	id, event, err := circleci.Identify(r)
	if err != nil || id != "6f1f2c8e-4a52-3d0b-9c1e-7e0a4c5d2b11" || event != "workflow-completed" {
		t.Errorf("Identify = %q, %q, %v", id, event, err)
	}
	for field, value := range map[string]any{"id": "a\nb", "type": "Evil.>"} {
		r.Body = check.Edited(t, circlecitest.Example(circlecitest.WorkflowFailed), field, value)
		if _, _, err := circleci.Identify(r); err == nil || !strings.Contains(err.Error(), "field "+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
