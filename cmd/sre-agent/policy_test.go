package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

const (
	fineDiff   = "diff --git a/a.go b/a.go\nindex 1111111..2222222 100644\n--- a/a.go\n+++ b/a.go\n@@ -1,1 +1,1 @@\n-x:=1\n+x := 1\n"
	severalTwo = fineDiff + "diff --git a/b.go b/b.go\nindex 1111111..2222222 100644\n--- a/b.go\n+++ b/b.go\n@@ -1,1 +1,1 @@\n-y:=1\n+y := 1\n"
	workflow   = "diff --git a/.github/workflows/x.yml b/.github/workflows/x.yml\nindex 1111111..2222222 100644\n--- a/.github/workflows/x.yml\n+++ b/.github/workflows/x.yml\n@@ -1,1 +1,1 @@\n-a\n+b\n"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADiffIsJudgedByAPolicy(t *testing.T) {
	t.Parallel()
	sreAgent(t, nil, "policy", "check", write(t, "a.diff", fineDiff)).want(t, 0, "allowed  safe, danger 5", "")
	sreAgent(t, nil, "policy", "check", write(t, "a.diff", workflow)).want(t, 1, "forbidden_path", "the policy refuses the diff: forbidden_path")
	sreAgent(t, nil, "policy", "check", write(t, "a.diff", "nonsense")).want(t, 1, "bad_patch", "refuses")
	one := write(t, "policy.yaml", "max_files: 1\n")
	sreAgent(t, nil, "policy", "check", write(t, "a.diff", severalTwo)).want(t, 0, "allowed", "")
	sreAgent(t, nil, "policy", "check", "--policy", one, write(t, "a.diff", severalTwo)).want(t, 1, "too_many_files", "")
	sreAgent(t, nil, "policy", "check", "--json", write(t, "a.diff", fineDiff)).want(t, 0, `"allowed": true`, "")
	sreAgent(t, nil, "policy", "check", "--policy", write(t, "p.yaml", "max_file: 1\n"), write(t, "a.diff", fineDiff)).want(t, 2, "", "line 1: unknown field")
	sreAgent(t, nil, "policy", "check", "/nowhere").want(t, 2, "", "no such file")
	sreAgent(t, nil, "policy", "test").want(t, 2, "", "--policy is required")
}

// past puts runs into a new database: one with a fix of two files, one refused by the policy and one in shadow.
func past(t *testing.T) string {
	t.Helper()
	url := testenv.PostgresWithSchema(t, migrate)
	st, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	limits := run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second, PerRepository: 5}
	claim := func(digit string) store.Run {
		id := create(t, st, digit, store.Start{Reason: run.WaitNew})
		if _, err := st.RingDue(t.Context(), 5, 10); err != nil {
			t.Fatal(err)
		}
		r, refused, err := st.ClaimRun(t.Context(), store.Claim{RunID: id, Holder: "runner-1", TTL: time.Minute, Limits: limits})
		if err != nil || refused != "" {
			t.Fatal(refused, err)
		}
		return r
	}
	fixed := claim("a")
	if err := st.SaveFix(t.Context(), fixed.ID, fixed.Fence, store.Fix{
		BaseCommit: fixed.Failure.Commit, Diff: []byte(severalTwo), Digest: patch.Digest([]byte(severalTwo)), Fixer: "gofmt", Title: "Format", Evidence: evidence.Report{}.JSON(),
	}); err != nil {
		t.Fatal(err)
	}
	for digit, end := range map[string]store.End{
		"b": {State: run.Blocked, Reason: "forbidden_path", Evidence: evidence.Report{Fixer: "npm", Diff: workflow}.JSON()},
		"c": {State: run.Declined, Reason: "shadow_mode", Evidence: evidence.Report{Fixer: "gofmt", Diff: fineDiff}.JSON()},
		"d": {State: run.Declined, Reason: "no_check", Evidence: evidence.Report{}.JSON()},
	} {
		r := claim(digit)
		if err := st.EndRun(t.Context(), r.ID, r.Fence, end); err != nil {
			t.Fatal(err)
		}
	}
	return url
}

func TestAnotherPolicyIsTriedOnPastRuns(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DATABASE_URL": past(t)}
	one := write(t, "policy.yaml", "policy:\n  max_files: 1\n")
	got := sreAgent(t, environ, "policy", "test", "--policy", one, "--since", "30d")
	got.want(t, 0, "3 patches: 1 allowed, 2 refused; 1 would be refused that were allowed, 0 allowed that were refused\n", "")
	got.want(t, 0, "refused (too_many_files)", "")
	asJSON := sreAgent(t, environ, "policy", "test", "--policy", one, "--json")
	var out struct {
		Summary pastSummary
		Runs    []pastVerdict
	}
	if err := json.Unmarshal([]byte(asJSON.stdout), &out); err != nil {
		t.Fatal(err)
	}
	if out.Summary != (pastSummary{Patches: 3, Allowed: 1, Refused: 2, NowRefused: 1}) || len(out.Runs) != 3 {
		t.Errorf("%+v", out)
	}
	for _, v := range out.Runs {
		if v.Changed != (v.NowReason == "too_many_files") || v.Repository != "acme/hello" {
			t.Errorf("%+v", v)
		}
	}
	sreAgent(t, environ, "policy", "test", "--policy", write(t, "none.yaml", ""), "--since", "0s").want(t, 0, "no patches since", "")
}
