package repoconfig_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

const custom = `version: 1
custom_fixers:
  - name: proto
    when:
      commands: ['\bmake proto\b']
      logs: ['stale proto']
      files: ['**/*.proto']
    tool:
      command: protoc --version
      version: "25.1"
    fix: make proto
    touches: ['gen/**']
    check: make proto && git diff --exit-code
`

func TestAFixerOfARepositorysOwnIsRead(t *testing.T) {
	got, err := repoconfig.Parse([]byte(custom))
	if err != nil {
		t.Fatal(err)
	}
	want := []repoconfig.CustomFixer{{
		Name: "proto", When: repoconfig.CustomWhen{Commands: []string{`\bmake proto\b`}, Logs: []string{"stale proto"}, Files: []string{"**/*.proto"}},
		Tool: repoconfig.CustomTool{Command: "protoc --version", Version: "25.1"}, Fix: "make proto", Touches: []string{"gen/**"}, Check: "make proto && git diff --exit-code",
	}}
	if diff := cmp.Diff(want, got.CustomFixers); diff != "" {
		t.Error(diff)
	}
}

func TestABadFixerSaysTheLineAndWhatToDo(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"no name":                   {"name: proto", "name: Proto!", `line 3: fixer 1: "Proto!" is no name`},
		"an unknown field":          {"    fix:", "    network: true\n    fix:", "line 11: unknown field"},
		"nothing that says when":    {"      commands: ['\\bmake proto\\b']\n      logs: ['stale proto']\n", "", "line 5: fixer 1: nothing says when"},
		"a broken expression":       {`'\bmake proto\b'`, `'('`, `line 5: fixer 1: "(" is no usable expression`},
		"an expression too long":    {"'stale proto'", strings.Repeat("x", 501), "is no usable expression"},
		"a broken glob":             {"'gen/**'", "'['", `line 12: fixer 1: "[" is no glob`},
		"a glob out of the tree":    {"'gen/**'", "'../x'", `"../x" is no glob`},
		"an absolute glob":          {"'gen/**'", "'/etc/**'", `"/etc/**" is no glob`},
		"no fix":                    {"fix: make proto\n", "fix: ' '\n", "line 11: fixer 1: no usable fix"},
		"no check":                  {"check: make proto && git diff --exit-code", "check: ''", "no usable check"},
		"nothing that it may touch": {"touches: ['gen/**']", "touches: []", "line 12: fixer 1: nothing says what it may change"},
		"a tool without a version":  {"      version: \"25.1\"\n", "", "write both the tool's command and its version"},
		"a version that is none":    {`"25.1"`, "'*'", `"*" is no version`},
		"two of one name":           {"  - name: proto", "  - {name: proto, when: {logs: [x]}, fix: x, touches: [x], check: x}\n  - name: proto", "line 4: fixer 2: \"proto\" is the name of an earlier fixer"},
	} {
		text := strings.Replace(custom, tt.old, tt.new, 1)
		if text == custom {
			t.Fatalf("%s: the edit did not apply", name)
		}
		_, err := repoconfig.Parse([]byte(text))
		if reason, _ := fault.Reason(err); reason != repoconfig.ReasonBad || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q is not in %v", name, tt.want, err)
		}
	}
	many := "version: 1\ncustom_fixers:\n"
	for range 21 {
		many += "  - name: x\n"
	}
	if _, err := repoconfig.Parse([]byte(many)); err == nil || !strings.Contains(err.Error(), "write at most 20") {
		t.Error(err)
	}
}
