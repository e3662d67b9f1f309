package repoconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

func TestAPolicyIsReadAloneAndBelowItsKeyAndInAWholeFile(t *testing.T) {
	three := 3
	want := repoconfig.Policy{Allow: []string{"src/**"}, Forbid: []string{"src/gen/**"}, MaxFiles: &three}
	alone := "allow: [\"src/**\"]\nforbid:\n  - src/gen/**\nmax_files: 3\n"
	below := "policy:\n  " + strings.ReplaceAll(strings.TrimSpace(alone), "\n", "\n  ") + "\n"
	for _, text := range []string{alone, below, "version: 1\nmode: shadow\n" + below} {
		got, err := repoconfig.ParsePolicy([]byte(text))
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s in\n%s", diff, text)
		}
	}
	for _, text := range []string{"", "# nothing\n"} {
		if got, err := repoconfig.ParsePolicy([]byte(text)); err != nil || !cmp.Equal(got, repoconfig.Policy{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestABadPolicyFileSaysTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"max_files: 3\nmax_lines: 4\n":         "the policy, line 2: unknown field",
		"policy:\n  forbid: ['[']\n":           "the policy, line 2: \"[\" is no glob",
		"max_bytes: 9999999\n":                 "line 1: max_bytes is 9999999: write a number from 1 to 1000000",
		"forbid: nothing\n":                    "line 1",
		"a: &a [x]\n":                          "anchors",
		"- x\n":                                "line 1",
		"policy: {}\nmode: pr\n":               "unknown field",
		"version: 2\npolicy: {max_files: 1}\n": "version is 2",
	} {
		got, err := repoconfig.ParsePolicy([]byte(text))
		if reason, _ := fault.Reason(err); reason != repoconfig.ReasonBad || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestAnOperatorsFileSetsTheRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte("max_files: 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if rules, err := repoconfig.Rules(path); err != nil || rules.MaxFiles != 9 || rules.MaxAdded != 200 {
		t.Errorf("%+v, %v", rules, err)
	}
	if rules, err := repoconfig.Rules(""); err != nil || rules.MaxFiles != 5 {
		t.Errorf("%+v, %v", rules, err)
	}
	if _, err := repoconfig.Rules(path + ".missing"); err == nil {
		t.Error("a file that is not there is no default")
	}
}
