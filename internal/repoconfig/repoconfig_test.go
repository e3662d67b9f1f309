package repoconfig_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

const full = `# settings of the agent
version: 1
mode: shadow
checks:
  - workflow: CI
    job: lint
    run: test -z "$(gofmt -l .)"
  - workflow: CI
    run: make ci
  - workflow: release.yml
    run: |
      go mod tidy -diff
      go vet ./...
  - run: make check
fixers: [gofmt, go-mod-tidy]
pull_request_branches: comment
forks: true
policy:
  forbid: ["generated/**"]
`

func TestAFullFileIsRead(t *testing.T) {
	got, err := repoconfig.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &repoconfig.Config{
		Version: 1, Mode: repoconfig.ModeShadow,
		Checks: []repoconfig.Check{
			{Workflow: "CI", Job: "lint", Run: `test -z "$(gofmt -l .)"`},
			{Workflow: "CI", Run: "make ci"},
			{Workflow: "release.yml", Run: "go mod tidy -diff\ngo vet ./...\n"},
			{Run: "make check"},
		},
		Fixers: []string{"gofmt", "go-mod-tidy"}, PullRequestBranches: repoconfig.BranchComment, Forks: true,
		Policy: repoconfig.Policy{Forbid: []string{"generated/**"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct{ workflow, job, want string }{
		{"CI", "lint", `test -z "$(gofmt -l .)"`},
		{"ci", "Lint", `test -z "$(gofmt -l .)"`},
		{"CI", "test", "make ci"},
		{"CI", "", "make ci"},
		{".github/workflows/release.yml", "x", "go mod tidy -diff\ngo vet ./...\n"},
		{"other", "lint", "make check"},
	} {
		if run, ok := got.CheckFor(tt.workflow, tt.job); !ok || run != tt.want {
			t.Errorf("%s/%s: %q", tt.workflow, tt.job, run)
		}
	}
	if !got.Allows("gofmt") || got.Allows("prettier") {
		t.Error("the list of fixers is not kept")
	}
}

func TestWithoutSettingsTheDefaultsHold(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "version: 1\n"} {
		got, err := repoconfig.Parse([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(repoconfig.Default(), got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	if _, ok := repoconfig.Default().CheckFor("CI", "lint"); ok || !repoconfig.Default().Allows("gofmt") {
		t.Error("the default has a check, or a list of fixers")
	}
}

func TestAModeOfOffIsTheWordOff(t *testing.T) {
	for _, text := range []string{"version: 1\nmode: off\n", "version: 1\nmode: 'off'\n"} {
		got, err := repoconfig.Parse([]byte(text))
		if err != nil || got.Mode != repoconfig.ModeOff {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestABadFileSaysTheLineAndWhatToDo(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"an unknown field":            {"version: 1\n\nmood: pr\n", "line 3: unknown field"},
		"an unknown field in a check": {"version: 1\nchecks:\n  - run: x\n    jobs: y\n", "line 4: unknown field"},
		"a field given twice":         {"version: 1\nmode: pr\nmode: off\n", "line 3:"},
		"no version":                  {"mode: pr\n", "line 1: version is 0: write version: 1"},
		"another version":             {"\nversion: 2\n", "line 2: version is 2"},
		"an unknown way":              {"version: 1\npull_request_branches: yolo\n", `line 2: pull_request_branches is "yolo"`},
		"an unknown mode":             {"version: 1\nmode: yolo\n", `line 2: mode is "yolo"`},
		"a check without a command":   {"version: 1\nchecks:\n  - workflow: CI\n", "line 3: check 1 has no usable run"},
		"a fixer that is no name":     {"version: 1\nfixers:\n  - ok\n  - '../x'\n", "line 4: \"../x\" is no fixer's name"},
		"a malformed glob":            {"version: 1\npolicy:\n  forbid: ['[']\n", "line 3: \"[\" is no glob"},
		"a limit of nothing":          {"version: 1\npolicy:\n  max_files: 0\n", "line 3: max_files is 0: write a number from 1 to 100"},
		"nothing allowed":             {"version: 1\npolicy:\n  allow: []\n", "line 3: allow is empty"},
		"an unknown part of a policy": {"version: 1\npolicy:\n  max_file: 3\n", "line 3: unknown field"},
		"the wrong type":              {"version: 1\nchecks: yes please\n", "line 2:"},
		"a broken file":               {"version: 1\nchecks: [\n", "line 2"},
		"a list":                      {"- version\n", "line 1"},
		"a second document":           {"version: 1\n---\nversion: 1\n", "second document"},
		"an anchor":                   {"version: 1\nchecks: &a\n  - run: x\n", "line 2: anchors"},
		"a bomb of aliases":           {"a: &a [x,x]\nb: &b [*a,*a]\n", "anchors"},
		"a tag":                       {"version: !!int 1\n", "line 1: anchors"},
		"a merge key":                 {"version: 1\npolicy:\n  <<: {forbid: []}\n", "anchors"},
		"a complex key":               {"? version\n: 1\n", "anchors"},
		"too many bytes":              {"#" + strings.Repeat("x", repoconfig.MaxBytes), "make it at most"},
		"deep brackets":               {"version: 1\nfixers: " + strings.Repeat("[", 30_000), "nested too deep"},
		"deep braces":                 {"version: 1\npolicy: " + strings.Repeat("{a: ", 15_000), "nested too deep"},
		"deep dashes":                 {strings.Repeat("- ", 30_000), "nested too deep"},
		"deep indentation":            {deep(), "nested too deep"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			cfg, err := repoconfig.Parse([]byte(tt.text))
			if reason, _ := fault.Reason(err); reason != repoconfig.ReasonBad {
				t.Fatalf("got %+v, %v", cfg, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q is not in %q", tt.want, err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func deep() string {
	var b strings.Builder
	for i := range 300 {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("version: 1\nchecks: [{run: x}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := repoconfig.Parse(data)
		if reason, _ := fault.Reason(err); err != nil && reason != repoconfig.ReasonBad {
			t.Errorf("%v", err)
		}
		if err == nil && cfg.Version != 1 {
			t.Errorf("%+v", cfg)
		}
	})
}

func TestEveryModeIsRead(t *testing.T) {
	for _, mode := range []repoconfig.Mode{repoconfig.ModeOff, repoconfig.ModeShadow, repoconfig.ModeSuggest, repoconfig.ModePR} {
		if got, err := repoconfig.Parse([]byte("version: 1\nmode: " + string(mode) + "\n")); err != nil || got.Mode != mode {
			t.Errorf("%s: %+v, %v", mode, got, err)
		}
	}
}

func TestOnlyAModeThatAllowsLessIsNarrower(t *testing.T) {
	order := []repoconfig.Mode{repoconfig.ModeOff, repoconfig.ModeShadow, repoconfig.ModeSuggest, repoconfig.ModePR}
	for i, m := range order {
		for j, than := range order {
			if m.Narrower(than) != (i < j) {
				t.Errorf("%s is narrower than %s: %v", m, than, i >= j)
			}
		}
		if repoconfig.Mode("").Narrower(m) || repoconfig.Mode("loud").Narrower(m) {
			t.Errorf("no mode at all is narrower than %s", m)
		}
	}
}
