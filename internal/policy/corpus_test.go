package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// edit is the diff of one file: each line begins with a blank, a plus or a minus.
func edit(path string, lines ...string) string {
	return section(path, path, "index 1111111..2222222 100644\n", lines)
}

// create is the diff of a new file with these lines.
func create(path string, lines ...string) string {
	return section("", path, "new file mode 100644\nindex 0000000..2222222\n", marked("+", lines))
}

// remove is the diff of a file that goes away.
func remove(path string, lines ...string) string {
	return section(path, "", "deleted file mode 100644\nindex 1111111..0000000\n", marked("-", lines))
}

// rename is the diff of a file that only gets another name.
func rename(from, to string) string {
	return fmt.Sprintf("diff --git a/%s b/%s\nsimilarity index 100%%\nrename from %s\nrename to %s\n", from, to, from, to)
}

func marked(mark string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = mark + l
	}
	return out
}

func section(from, to, head string, lines []string) string {
	before, after := 0, 0
	for _, l := range lines {
		switch l[0] {
		case '+':
			after++
		case '-':
			before++
		default:
			before++
			after++
		}
	}
	name, old, now := to, "a/"+from, "b/"+to
	if to == "" {
		name, now = from, "/dev/null"
	}
	if from == "" {
		old = "/dev/null"
	}
	start := func(n int) int { return min(n, 1) }
	return fmt.Sprintf("diff --git a/%s b/%s\n%s--- %s\n+++ %s\n@@ -%d,%d +%d,%d @@\n%s\n",
		name, name, head, old, now, start(before), before, start(after), after, strings.Join(lines, "\n"))
}

// specimen is a patch with what should become of it.
type specimen struct{ name, reason, diff string }

func judge(t *testing.T, diff string) policy.Verdict {
	t.Helper()
	p, err := patch.Parse([]byte(diff))
	if err != nil {
		reason, named := fault.Reason(err)
		if !named {
			t.Fatal(err)
		}
		return policy.Verdict{Reason: reason, Details: []policy.Finding{{Rule: reason, Message: err.Error()}}}
	}
	return policy.Check(p, policy.Default())
}

func TestEveryBadPatchIsRefusedForItsReason(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range bad() {
		if seen[s.name] {
			t.Errorf("there are two of the name %q", s.name)
		}
		seen[s.name] = true
		if v := judge(t, s.diff); v.Allowed || v.Reason != s.reason {
			t.Errorf("%s: want %s, got %s %+v\n%s", s.name, s.reason, v.Reason, v.Details, s.diff)
		}
	}
	if len(seen) < 120 {
		t.Errorf("only %d bad patches", len(seen))
	}
	t.Logf("%d bad patches", len(seen))
}

func TestNoGoodPatchIsRefused(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range good() {
		seen[s.name] = true
		if v := judge(t, s.diff); !v.Allowed {
			t.Errorf("%s: %+v\n%s", s.name, v.Details, s.diff)
		}
	}
	if len(seen) < 40 || len(seen) != len(good()) {
		t.Errorf("only %d good patches", len(seen))
	}
	t.Logf("%d good patches", len(seen))
}

// What a patch adds, it may also take away: the same lines in the context or moved are no finding.
func TestWhatWasThereBeforeIsNoFinding(t *testing.T) {
	for _, s := range bad() {
		p, err := patch.Parse([]byte(s.diff))
		if err != nil {
			continue
		}
		switch s.reason {
		case policy.ReasonTestSkip, policy.ReasonSilenced, policy.ReasonHook, policy.ReasonSource, policy.ReasonSecret:
		default:
			continue
		}
		if len(p.Removed) > 0 || len(p.Files) != 1 || p.Files[0].IsNew || p.Files[0].IsRename {
			continue
		}
		old := &patch.Patch{Files: p.Files, Context: append(p.Context, p.Added...), Bytes: p.Bytes}
		if v := policy.Check(old, policy.Default()); !v.Allowed {
			t.Errorf("%s, in the context: %+v", s.name, v.Details)
		}
		moved := &patch.Patch{Files: p.Files, Added: p.Added, Bytes: p.Bytes}
		for _, l := range p.Added {
			moved.Removed = append(moved.Removed, patch.Line{File: l.File, Number: l.Number + 7, Text: "    " + l.Text})
		}
		if v := policy.Check(moved, policy.Default()); !v.Allowed {
			t.Errorf("%s, moved: %+v", s.name, v.Details)
		}
	}
}

func bad() []specimen {
	var out []specimen
	for _, group := range [][]specimen{badPaths(), badHooks(), badSources(), badTests(), badChecks()} {
		out = append(out, group...)
	}
	return out
}
