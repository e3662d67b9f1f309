package repoconfig_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

func TestWhatPreparesACheckIsReadAndAnEmptyListIsNotNoList(t *testing.T) {
	for text, want := range map[string]*[]string{
		"version: 1\n":              nil,
		"version: 1\nprepare: []\n": {},
		"version: 1\nprepare: [npm ci]\ninstall_scripts: true\n":    {"npm ci"},
		"version: 1\nprepare:\n  - npm ci\n  - make deps\nmode: pr": {"npm ci", "make deps"},
	} {
		got, err := repoconfig.Parse([]byte(text))
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		if diff := cmp.Diff(want, got.Prepare); diff != "" || got.InstallScripts != strings.Contains(text, "true") {
			t.Errorf("%s in\n%s", diff, text)
		}
	}
}

func TestABadPreparationSaysTheLineAndWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\nprepare:\n  - npm ci\n  - ' '\n":                            "line 4: command 2 of prepare is not usable",
		"version: 1\nprepare: npm ci\n":                                          "line 2",
		"version: 1\nprepare: [" + strings.Repeat("a, ", 21) + "]\n":             "write at most 20",
		"version: 1\ninstall_scripts: true\n":                                    "line 2: install_scripts is for the commands of prepare",
		"version: 1\nprepare: []\ninstall_scripts: true\n":                       "line 3: install_scripts",
		"version: 1\nprepare: [\"" + strings.Repeat("x", 8<<10) + "yz" + "\"]\n": "not usable",
	} {
		_, err := repoconfig.Parse([]byte(text))
		if reason, _ := fault.Reason(err); reason != repoconfig.ReasonBad || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
