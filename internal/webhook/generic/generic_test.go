package generic_test

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/generic"
	"github.com/sre-agent/sre-agent/internal/webhook/generic/generictest"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const guide = "../../../docs/providers/generic.md"

func eventOf(t testing.TB, body []byte) string {
	t.Helper()
	_, event, err := generic.Identify(&webhook.Request{Header: http.Header{sign.HeaderID: {"msg_1"}}, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func parse(t testing.TB, body []byte) webhook.Event {
	t.Helper()
	e, err := generic.Parse(eventOf(t, body), body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseOfTheExamplesIsAsTheGoldensSay(t *testing.T) {
	for _, example := range generictest.Examples() {
		t.Run(example, func(t *testing.T) {
			check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), parse(t, generictest.Example(example)))
		})
	}
}

func TestTheGuideShowsWhatParseMakes(t *testing.T) {
	check.Guide(t, *update, guide, generic.Webhooks(), "pipeline.failed")
}

func TestSenderMakesWhatTheProviderReads(t *testing.T) {
	check.Sender(t, generic.Webhooks(), generictest.Sender(), "s3cret-of-the-endpoint")
	check.Sender(t, generic.Webhooks(), generictest.Sender(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
}

var script = regexp.MustCompile("(?ms)^```sh\n(#!/bin/sh\n.*?)^```")

// TestTheGuidesScriptSendsAFailureThatCounts runs the script of the guide as it stands there.
func TestTheGuidesScriptSendsAFailureThatCounts(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	m := script.FindSubmatch(text)
	if m == nil {
		t.Fatal("the guide has no script")
	}
	if lines := strings.Count(string(m[1]), "\n"); lines > 12 {
		t.Errorf("the script has %d lines", lines)
	}
	file := filepath.Join(t.TempDir(), "send.sh")
	if err := os.WriteFile(file, m[1], 0o755); err != nil {
		t.Fatal(err)
	}
	const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	got := make(chan webhook.Event, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req := &webhook.Request{Header: r.Header, Body: body, Received: time.Now()}
		if err := generic.Verify(req, webhook.Keys{Signing: [][]byte{[]byte(secret)}}); err != nil {
			t.Errorf("Verify: %v", err)
		}
		_, event, err := generic.Identify(req)
		if err != nil {
			t.Error(err)
		}
		e, err := generic.Parse(event, body)
		if err != nil {
			t.Errorf("Parse: %v of %s", err, body)
		}
		got <- e
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	cmd := exec.Command(file)
	cmd.Env = append(os.Environ(), "url="+server.URL+"/webhooks/generic", "secret="+secret, "owner=acme", "name=shop",
		"clone_url=https://git.example.com/acme/shop.git", "branch=feature/basket", "commit="+strings.Repeat("5e", 20), "workflow=nightly", "run_id=90210")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f := (<-got).Failure
	if f.Repository.FullName() != "acme/shop" || f.Branch != "feature/basket" || f.Workflow != "nightly" || f.RunID != "90210" || f.FinishedAt.IsZero() {
		t.Errorf("%+v", f)
	}
}

func TestTheLeastAndTheWholeMessageOfOnePipelineDifferOnlyInTheRepositorysID(t *testing.T) {
	least, whole := parse(t, generictest.Example(generictest.PipelineFailedLeast)).Failure, parse(t, generictest.Example(generictest.PipelineFailed)).Failure
	if least.Repository.ID != "git.example.com/acme/shop" || least.Workflow != whole.Workflow || least.FromFork() {
		t.Errorf("%+v", least)
	}
	if f := parse(t, generictest.Example(generictest.PipelineFailedFork)).Failure; !f.FromFork() {
		t.Errorf("%+v", f)
	}
}

func TestParseIgnoresWithAReason(t *testing.T) {
	body := generictest.Example(generictest.PipelineFailed)
	for _, tt := range []struct {
		name, path string
		value      any
		reason     string
	}{
		{"a ping", "type", "ping", webhook.IgnoredPing},
		{"a type of tomorrow", "type", "pipeline.exploded", webhook.IgnoredUnknownEvent},
		{"no branch", "data/branch", nil, webhook.IgnoredNoBranch},
		{"a tag", "data/branch", "refs/tags/v1", webhook.IgnoredNoBranch},
		{"our own branch", "data/branch", "refs/heads/sre-agent/ci-abcdef", webhook.IgnoredOwnBranch},
		{"a short commit", "data/commit", "5e5e5e5", generic.IgnoredNoCommit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, check.Edited(t, body, tt.path, tt.value)); got.Kind != webhook.Ignored || got.Reason != tt.reason {
				t.Errorf("Parse = %+v, want ignored(%s)", got, tt.reason)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	body := generictest.Example(generictest.PipelineFailed)
	for _, tt := range []struct {
		name, path, field string
		value             any
	}{
		{"no data", "data", "data", nil},
		{"no repository", "data/repository", "data.repository.owner", nil},
		{"an owner that climbs", "data/repository/owner", "data.repository.owner", "acme/.."},
		{"a name with a slash", "data/repository/name", "data.repository.name", "a/b"},
		{"an id with a line end", "data/repository/id", "data.repository.id", "a\nb"},
		{"a clone URL that runs a command", "data/repository/clone_url", "data.repository.clone_url", "ext::sh -c id"},
		{"a clone URL with credentials", "data/repository/clone_url", "data.repository.clone_url", "https://u:p@git.example.com/acme/shop.git"},
		{"a default branch with a blank", "data/repository/default_branch", "data.repository.default_branch", "a b"},
		{"a branch that looks like an option", "data/branch", "data.branch", "--upload-pack=x"},
		{"no workflow", "data/workflow", "data.workflow", nil},
		{"a workflow with an escape", "data/workflow", "data.workflow", "CI\x1b[2J"},
		{"no run id", "data/run_id", "data.run_id", nil},
		{"a run id that is a number", "data/run_id", "data.run_id", 7},
		{"an attempt below zero", "data/run_attempt", "data.run_attempt", -1},
		{"an address that is a script", "data/run_url", "data.run_url", "javascript:alert(1)"},
		{"a head repository without owner", "data/head_repository", "data.head_repository", "shop"},
		{"a time that is none", "timestamp", "timestamp", "yesterday"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check.RefusesField(t, generic.Webhooks(), "pipeline.failed", check.Edited(t, body, tt.path, tt.value), tt.field)
		})
	}
}

func TestHostileBodiesEndWithAnErrorOrAReason(t *testing.T) {
	check.RefusesHostile(t, generic.Webhooks(), "pipeline.failed", "pipeline.succeeded")
}

func TestVerify(t *testing.T) {
	body := generictest.Example(generictest.PipelineFailed)
	now := time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC)
	headers := func(id string, at time.Time, signature string) http.Header {
		return http.Header{sign.HeaderID: {id}, sign.HeaderTimestamp: {strconv.FormatInt(at.Unix(), 10)}, sign.HeaderSignature: {signature}}
	}
	good := generictest.Sign("s", "msg_1", now, body)
	twice := headers("msg_1", now, good)
	twice.Add(sign.HeaderSignature, good)
	for _, tt := range []struct {
		name   string
		header http.Header
		body   []byte
		want   error
	}{
		{"a signature passes", headers("msg_1", now, good), body, nil},
		{"an old signature beside it passes", headers("msg_1", now, "v1,AAAA v1a,x "+good), body, nil},
		{"another id fails", headers("msg_2", now, good), body, webhook.ErrBadSignature},
		{"another time fails", headers("msg_1", now.Add(time.Second), good), body, webhook.ErrBadSignature},
		{"a changed body fails", headers("msg_1", now, good), body[1:], webhook.ErrBadSignature},
		{"six minutes old is stale", headers("msg_1", now.Add(-6*time.Minute), generictest.Sign("s", "msg_1", now.Add(-6*time.Minute), body)), body, webhook.ErrStale},
		{"two headers fail", twice, body, webhook.ErrBadSignature},
		{"no signature is unsigned", http.Header{sign.HeaderID: {"msg_1"}}, body, webhook.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &webhook.Request{Header: tt.header, Body: tt.body, Received: now}
			if err := generic.Verify(r, webhook.Keys{Signing: [][]byte{[]byte("s")}}); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestIdentifyRefuses(t *testing.T) {
	body := generictest.Example(generictest.PipelineFailed)
	for name, ids := range map[string][]string{"no id": nil, "two ids": {"a", "b"}, "an id with a line end": {"a\n"}, "a long id": {strings.Repeat("a", 65)}} {
		if _, _, err := generic.Identify(&webhook.Request{Header: http.Header{sign.HeaderID: ids}, Body: body}); err == nil || !strings.Contains(err.Error(), sign.HeaderID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
