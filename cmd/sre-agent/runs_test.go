package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// hostile is what a workflow's name or a check's output may hold: it clears the screen, sets the title, turns the
// direction of reading, and rings.
const hostile = "evil\x1b[2J\x1b]0;title\x07\u202eredro\u009b31m"

func migrate(ctx context.Context, url string) error {
	_, err := store.Migrate(ctx, url)
	return err
}

// records puts a waiting run (1) and a published one (2) into a new database.
func records(t *testing.T) (url string) {
	t.Helper()
	url = testenv.PostgresWithSchema(t, migrate)
	st, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	create(t, st, "a", store.Start{Reason: run.WaitRateLimited, Delay: time.Hour})
	publish(t, st, create(t, st, "b", store.Start{Reason: run.WaitNew}))
	return url
}

func create(t *testing.T, st *store.Store, digit string, start store.Start) int64 {
	t.Helper()
	rec, err := st.RecordFailure(t.Context(), store.Delivery{
		Provider: "github", ID: "delivery-" + digit, Event: "workflow_run", BodySHA256: strings.Repeat(digit, 64), ReceivedAt: time.Now(),
	}, ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: "7", Owner: "acme", Name: "hello"}, Branch: "main",
		Commit: strings.Repeat(digit, 40), Workflow: "ci.yml", WorkflowName: hostile, Conclusion: "failure",
	}, start, "")
	if err != nil {
		t.Fatal(err)
	}
	return rec.RunID
}

func publish(t *testing.T, st *store.Store, id int64) {
	t.Helper()
	ctx := t.Context()
	limits := run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second, PerRepository: 2}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := st.RingDue(ctx, 2, 10)
	must(err)
	r, refused, err := st.ClaimRun(ctx, store.Claim{RunID: id, Holder: "runner-1", TTL: time.Minute, Limits: limits})
	if must(err); refused != "" {
		t.Fatal(refused)
	}
	report := evidence.Report{
		Stages: []evidence.Stage{{Name: "context", Verdict: "pass"}, {Name: "verify", Verdict: "declined", Reason: "still_red", Detail: hostile}},
		Class:  "format", Confidence: 0.95, ClassLine: &evidence.Line{Number: 7, Text: "main.go is not gofmt-ed " + hostile},
		Excerpt: []evidence.Line{{Number: 7, Text: "main.go is not gofmt-ed"}}, Diagnostics: []evidence.Diagnostic{{Tool: "gofmt", File: "main.go", Line: 3, Message: "wrong layout"}},
		Fixer: "model", Plan: &evidence.Plan{RootCause: "the layout is wrong", Category: "format", Operations: []evidence.Operation{{Kind: "modify_code", File: "main.go", Rationale: "as gofmt has it"}}},
		Model:  &evidence.Model{API: "openai", Model: "double", Calls: 1, Tokens: 1050, CostMillionths: 2500, Request: "sha256:question"},
		Policy: &evidence.Policy{Class: "safe", Danger: 20, Parts: []string{"files 5", "operation: modify_code 15"}, Findings: []string{"test_deleted: no"}},
		Scan:   &evidence.Scan{Compared: true}, Digest: "sha256:digest-of-the-patch", Diff: "--- a/main.go\n" + strings.Repeat("+x\n", 100),
		Check: &evidence.Check{
			Base: &evidence.CheckRun{ExitCode: 0}, Cause: "change",
			Command: "gofmt -l .", Source: "log", Before: evidence.CheckRun{ExitCode: 1, Output: hostile + "\n" + strings.Repeat("line\n", 100)},
		},
	}.JSON()
	diff := []byte("--- a\n+++ b\n")
	sum := sha256.Sum256(diff)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	must(st.SaveFix(ctx, id, r.Fence, store.Fix{
		BaseCommit: r.Failure.Commit, Diff: diff, Digest: digest, Fixer: "gofmt", Title: "Format", Evidence: report,
	}))
	r, refused, err = st.ClaimPublication(ctx, id, r.Fence, "publisher-1", time.Minute)
	if must(err); refused != "" {
		t.Fatal(refused)
	}
	_, err = st.Intend(ctx, id, r.Fence, store.Intent{Digest: digest, Branch: "sre-agent/ci-x", BaseBranch: "main", CommitID: strings.Repeat("c", 40)})
	must(err)
	must(st.Publish(ctx, id, r.Fence, store.Receipt{State: store.PubOpened, Number: 1, URL: "https://forge.example/pull/1"}, store.End{State: run.Published}))
}

func TestTheVerifiedPatchIsPrintedByteForByte(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DATABASE_URL": records(t)}
	if got := sreAgent(t, environ, "runs", "show", "2", "--patch"); got.code != 0 || got.stdout != "--- a\n+++ b\n" {
		t.Errorf("%d, %q", got.code, got.stdout)
	}
	sreAgent(t, environ, "runs", "show", "1", "--patch").want(t, 1, "", "run 1 has no verified patch")
	sreAgent(t, environ, "runs", "show", "2", "--patch", "--json").want(t, 2, "", "")
}

func TestRunsAreListedAndShown(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DATABASE_URL": records(t)}
	list := sreAgent(t, environ, "runs", "list")
	list.want(t, 0, "rate_limited", "")
	if lines := strings.Split(strings.TrimSpace(list.stdout), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[1], "2 ") {
		t.Errorf("want a head and two runs, the newest first:\n%s", list.stdout)
	}
	sreAgent(t, environ, "runs", "list", "--state", "blocked").want(t, 0, "no runs\n", "")
	only := sreAgent(t, environ, "runs", "list", "--state", "published", "--limit", "1")
	if only.want(t, 0, "published", ""); strings.Contains(only.stdout, "waiting") {
		t.Errorf("--state does not choose:\n%s", only.stdout)
	}
	show := sreAgent(t, environ, "runs", "show", "2")
	for _, want := range []string{
		"delivery-b", "attempt 1", "still_red", "gofmt -l .", "exit code 1", "sha256:", "https://forge.example/pull/1", "more lines",
		"format, confidence 0.95", "line 7: main.go is not", "main.go:3: gofmt", "the layout is wrong", "modify_code main.go", "1050 tokens", "0.002500", "20 (files 5, operation: modify_code 15)", "test_deleted: no",
		"0 secrets", "sha256:digest-of-the-patch", "--- a/main.go", "the failure is by: change",
	} {
		show.want(t, 0, want, "")
	}
	sreAgent(t, environ, "runs", "show", "99").want(t, 1, "", "there is no run 99")
	for _, o := range []outcome{list, show, sreAgent(t, environ, "runs", "show", "2", "--json"), sreAgent(t, environ, "runs", "list", "--json")} {
		if i := strings.IndexFunc(o.stdout, func(r rune) bool { return r != '\n' && deceives(r) }); i >= 0 {
			t.Errorf("a control character reaches the terminal at %q", o.stdout[max(0, i-20):i+5])
		}
	}
}

func TestRunsAsJSONKeepWhatWasRecorded(t *testing.T) {
	t.Parallel()
	got := sreAgent(t, map[string]string{"DATABASE_URL": records(t)}, "runs", "show", "2", "--json")
	var v struct {
		ID      int64
		State   string
		Failure struct {
			WorkflowName string `json:"workflow_name"`
		}
		Deliveries     []struct{ Outcome string }
		AttemptHistory []struct {
			Number   int
			Evidence struct{ Stages []struct{ Name string } }
		} `json:"attempt_history"`
		Fix         struct{ Diff string }
		Publication struct{ URL string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil {
		t.Fatalf("%v in %s", err, got.stdout)
	}
	if v.ID != 2 || v.State != "published" || v.Failure.WorkflowName != hostile || len(v.Deliveries) != 1 || v.Deliveries[0].Outcome != "run" ||
		len(v.AttemptHistory) != 1 || v.AttemptHistory[0].Number != 1 || len(v.AttemptHistory[0].Evidence.Stages) != 2 ||
		v.Fix.Diff != "--- a\n+++ b\n" || v.Publication.URL != "https://forge.example/pull/1" {
		t.Errorf("got %+v", v)
	}
}

func TestATableFitsItsTerminal(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"ID", "NAME", "TEXT"}, {"1", strings.Repeat("n", 30), strings.Repeat("t", 90)}, {"22", "short", hostile}}
	for _, width := range []int{0, 20, 40, 80, 200} {
		t.Run(fmt.Sprintf("in %d columns", width), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			terminal{Writer: &out, width: width}.table(rows)
			for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\n"), "\n") {
				if n := len([]rune(line)); width > 0 && n > width {
					t.Errorf("%d columns: %q", n, line)
				}
			}
			if full := strings.Contains(out.String(), strings.Repeat("t", 90)); full != (width == 0 || width == 200) {
				t.Errorf("the long text whole: %v\n%s", full, out.String())
			}
		})
	}
}

func TestWhatComesFromOutsideIsMadeVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, with ünïcode 漢字": "plain, with ünïcode 漢字",
		"\x1b[31mred":            `\x1b[31mred`,
		"a\tb\r\nc":              `a    b\x0d\x0ac`,
		"\u202egnp.exe":          `\u202egnp.exe`,
		"zero\u200bwidth\u2028":  `zero\u200bwidth\u2028`,
		"\u009b2J":               `\x9b2J`,
		"bad \xff utf-8":         "bad \uFFFD utf-8",
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) is %q, want %q", in, got, want)
		}
	}
}
