package fix

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const redTerraform = "variable \"a\" {\n    type=string\n}\n"

func TestTerraformFmtTurnsAFailingTreeGreen(t *testing.T) {
	t.Parallel()
	// Where the machine has no Terraform, the last one that "go install" builds is built.
	version := "1.5.7"
	if have := terraformVersion(installedTools(t)["terraform"]); have != "" {
		version = strings.TrimPrefix(have, "v")
	}
	w := newWorkplace(t, map[string]string{
		".terraform-version": version + "\n", "main.tf": redTerraform, "mod/x.tf": redTerraform, "left.tf": redTerraform, "a $(touch pwned).tf": redTerraform, "ok.tf": "",
	})
	p := w.plan(report("terraform fmt -check -recursive . | tee x", "main.tf", "mod/x.tf", "a $(touch pwned).tf"), "terraform-fmt")
	want := "variable \"a\" {\n  type = string\n}\n"
	if diff := cmp.Diff(map[string]string{"main.tf": want, "mod/x.tf": want, "a $(touch pwned).tf": want}, w.prove(p)); diff != "" {
		t.Error(diff)
	}
	w.write("main.tf", "variable {")
	if out, code := w.run(p.Check); code != CannotRun {
		t.Errorf("%d: %s", code, out)
	}
}

func TestTheVersionOfTerraformIsTheRepositorys(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text, have, want, builds string
	}{
		"a file that pins another minor":         {".terraform-version", "1.9.0\n", "1.11.4", ReasonToolVersion, ""},
		"a file that pins the sandbox's":         {".terraform-version", "1.11.0\n", "1.11.4", "", ""},
		"a file that pins one that can be built": {".terraform-version", "1.5.2\n", "1.11.4", "", "terraform@v1.5.2"},
		"a workflow":                             {".github/workflows/a.yml", "      - uses: hashicorp/setup-terraform@v3\n        with:\n          terraform_version: 1.8.1\n", "1.11.4", ReasonToolVersion, ""},
		"asdf":                                   {".tool-versions", "terraform 1.11.2\n", "1.11.4", "", ""},
		"a range that holds the sandbox's":       {"versions.tf", "terraform {\n  required_version = \">= 1.5, < 2.0.0\"\n}\n", "1.11.4", "", ""},
		"a range that does not":                  {"versions.tf", "terraform {\n  required_version = \"~> 1.5.0\"\n}\n", "1.11.4", ReasonToolVersion, ""},
		"a last part that grows":                 {"versions.tf", "terraform {\n  required_version = \"~> 1.5\"\n}\n", "1.11.4", "", ""},
		"a range that nobody understands":        {"versions.tf", "terraform {\n  required_version = \"$(id)\"\n}\n", "1.11.4", ReasonToolVersion, ""},
		"nothing":                                {"x.tf", "", "1.11.4", ReasonToolVersionUnknown, ""},
		"a range and no Terraform":               {"versions.tf", "  required_version = \">= 1.5\"\n", "", ReasonToolMissing, ""},
	} {
		in := inputs("terraform-fmt", "terraform fmt -check", map[string]string{tt.file: tt.text, "z.tf": ""})
		in.Tools["terraform"] = `{"terraform_version":"` + tt.have + `"}`
		p, err := mustLoad(t).Plan(in)
		if reason, _ := fault.Reason(err); reason != tt.want || err == nil && !strings.Contains(p.Prepare.Script, tt.builds) {
			t.Errorf("%s: want %q, got %+v, %v", name, tt.want, p, err)
		}
	}
}

const localHooks = `repos:
  - repo: https://github.com/pre-commit/pre-commit-hooks
    rev: v5.0.0
    hooks:
      - id: end-of-file-fixer
  - repo: local
    hooks:
      - id: tabs
        name: tabs
        entry: sed -i "s/\t/  /g"
        language: system
        files: \.txt$
      - id: other
        name: other
        entry: sh -c "echo x > other.txt"
        language: system
        pass_filenames: false
      - id: env
        name: env
        entry: x
        language: python
`

func TestPreCommitRunsTheHooksThatTheLogNames(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t, map[string]string{preCommitConfig: localHooks, "a.txt": "\ta\n", "b.txt": "b\n", "other.txt": "\tkeep\n"})
	w.commit()
	p := w.plan(report("pre-commit run --all-files", "tabs.....Failed", "- hook id: tabs", "- files were modified by this hook", "a.txt"), "pre-commit")
	if diff := cmp.Diff(map[string]string{"a.txt": "  a\n"}, w.prove(p)); diff != "" {
		t.Error(diff)
	}
}

func TestPreCommitHooksFromElsewhereAreDeclined(t *testing.T) {
	for name, tt := range map[string]struct{ hook, config, want string }{
		"a hook of another repository":       {"end-of-file-fixer", localHooks, ReasonNeedsPlugins},
		"a hook with an environment":         {"env", localHooks, ReasonNeedsPlugins},
		"a hook that is not there":           {"nope", localHooks, ReasonBadManifest},
		"a configuration that is no such":    {"tabs", "repos: [", ReasonBadManifest},
		"a newer pre-commit":                 {"tabs", "minimum_pre_commit_version: 9.0.0\n" + localHooks, ReasonToolVersion},
		"a log that names no hook of a name": {"$(id)", localHooks, ReasonNoCheck},
	} {
		in := inputs("pre-commit", "", map[string]string{preCommitConfig: tt.config})
		in.Report = report("pre-commit run --all-files", "- hook id: "+tt.hook)
		in.Tools["pre-commit"], in.Tools["git"] = "pre-commit 3.0.4", ""
		p, err := mustLoad(t).Plan(in)
		if reason, _ := fault.Reason(err); reason != tt.want {
			t.Errorf("%s: want %q, got %+v, %v", name, tt.want, p, err)
		}
	}
}
