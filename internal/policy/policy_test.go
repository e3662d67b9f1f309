package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
)

func change(path string, added, removed int) patch.File {
	return patch.File{OldPath: path, NewPath: path, Added: added, Removed: removed, OldMode: patch.ModeRegular}
}

func of(files ...patch.File) *patch.Patch { return &patch.Patch{Files: files, Bytes: 500} }

func TestASmallChangeToOrdinaryFilesIsSafe(t *testing.T) {
	v := policy.Check(of(change("main.go", 3, 3), change("internal/a/b.go", 1, 1)), policy.Default())
	want := policy.Verdict{
		Allowed: true, Reason: policy.ReasonWithin, Class: policy.ClassSafe,
		Danger: policy.Danger{Score: 10, Parts: []policy.Part{{Name: "files", Points: 10}}},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestForbiddenPathsAreForbiddenAtTheRootAndAtAnyDepth(t *testing.T) {
	anyDepth := []string{
		".env", ".env.local", "prod.env", "server.pem", "tls.key", "cert.crt", "id_rsa", "keystore.jks", "CODEOWNERS",
		".vscode/tasks.json", ".claude/settings.json", ".cursor/rules/a.mdc", ".devcontainer/devcontainer.json",
		".sre-agent.yaml", "Jenkinsfile", "Jenkinsfile.release", ".gitlab-ci.yml", ".gitmodules", ".npmrc", ".envrc", ".husky/pre-commit",
	}
	root := []string{
		".github/workflows/ci.yml", ".github/workflows/deep/er.yml", ".github/actions/x/action.yml", ".github/CODEOWNERS",
		".circleci/config.yml", "azure-pipelines.yml", "azure-pipelines-release.yml", ".buildkite/pipeline.yml", "bitbucket-pipelines.yml",
		".travis.yml", ".drone.yml", ".woodpecker.yml", ".woodpecker/build.yaml", ".gitea/workflows/a.yaml", ".forgejo/workflows/a.yaml", ".ci/run",
	}
	paths := append([]string(nil), root...)
	for _, p := range anyDepth {
		paths = append(paths, p, "a/"+p, "a/b/c/"+p, strings.ToUpper(p))
	}
	for _, p := range root {
		paths = append(paths, strings.ToUpper(p))
	}
	for _, path := range paths {
		v := policy.Check(of(change(path, 1, 1)), policy.Default())
		if v.Allowed || v.Reason != policy.ReasonForbidden || v.Details[0].File != path {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestPathsThatOnlyLookForbiddenAreAllowed(t *testing.T) {
	for _, path := range []string{
		"env.go", "environment/main.go", "keys.go", "monkey.go", "docs/codeowners.md", "workflows/ci.go", "a/.github/readme.md",
		"git/main.go", "envelope.env.go", "jenkins/main.go", ".github/dependabot.md", "circleci/a.go", "pemfile.go",
	} {
		if v := policy.Check(of(change(path, 1, 1)), policy.Default()); !v.Allowed {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestARepositoryAddsForbiddenPaths(t *testing.T) {
	base := policy.Default()
	rules := base.Forbidding("generated/**", "*.lock")
	for path, allowed := range map[string]bool{"generated/a/b.go": false, "Generated/x": false, "a/generated/b.go": true, "deep/a.lock": false, "x.go": true} {
		if v := policy.Check(of(change(path, 1, 1)), rules); v.Allowed != allowed {
			t.Errorf("%s: %+v", path, v)
		}
	}
	if v := policy.Check(of(change("generated/x", 1, 1)), base); !v.Allowed {
		t.Error("the defaults were changed by a repository's rules")
	}
	if err := (&policy.Settings{Forbid: base.Forbid}).Validate(); err != nil {
		t.Errorf("the defaults are malformed: %v", err)
	}
}

func TestWhatAPatchMayNotDo(t *testing.T) {
	file := func(edit func(*patch.File)) *patch.Patch {
		f := change("a.go", 1, 1)
		edit(&f)
		return of(f)
	}
	many := of()
	for i := range 6 {
		many.Files = append(many.Files, change(fmt.Sprintf("f%d.go", i), 1, 0))
	}
	big := of(change("a.go", 1, 1))
	big.Bytes = 200_001
	tests := map[string]struct {
		p    *patch.Patch
		want string
	}{
		"change nothing":                 {of(), policy.ReasonEmpty},
		"touch six files":                {many, policy.ReasonFiles},
		"add 201 lines":                  {of(change("a.go", 201, 0)), policy.ReasonAdded},
		"remove 201 lines":               {of(change("a.go", 0, 201)), policy.ReasonRemoved},
		"be larger than 200,000 bytes":   {big, policy.ReasonBytes},
		"add a symbolic link":            {file(func(f *patch.File) { f.IsNew, f.NewMode = true, patch.ModeSymlink }), policy.ReasonSymlink},
		"turn a file into a link":        {file(func(f *patch.File) { f.NewMode = patch.ModeSymlink }), policy.ReasonSymlink},
		"add a submodule":                {file(func(f *patch.File) { f.IsNew, f.NewMode = true, patch.ModeGitlink }), policy.ReasonGitlink},
		"move a submodule":               {file(func(f *patch.File) { f.OldMode = patch.ModeGitlink }), policy.ReasonGitlink},
		"make a file executable":         {file(func(f *patch.File) { f.NewMode = patch.ModeExecutable }), policy.ReasonMode},
		"add an executable":              {file(func(f *patch.File) { f.IsNew, f.NewMode = true, patch.ModeExecutable }), policy.ReasonMode},
		"change a binary":                {file(func(f *patch.File) { f.IsBinary = true }), policy.ReasonBinary},
		"rename onto a forbidden path":   {file(func(f *patch.File) { f.IsRename, f.NewPath = true, ".env" }), policy.ReasonForbidden},
		"rename a forbidden path away":   {file(func(f *patch.File) { f.IsRename, f.OldPath = true, ".env" }), policy.ReasonForbidden},
		"delete a test":                  {file(func(f *patch.File) { f.IsDelete, f.OldPath, f.NewPath = true, "a_test.go", "" }), policy.ReasonTestGone},
		"rename a test out of the tests": {file(func(f *patch.File) { f.IsRename, f.OldPath, f.NewPath = true, "a_test.go", "a.go.bak" }), policy.ReasonTestGone},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := policy.Check(tt.p, policy.Default())
			if v.Allowed || v.Reason != tt.want || v.Class != policy.ClassNeedsReview {
				t.Errorf("want %s, got %+v", tt.want, v)
			}
		})
	}
}

func TestTheLimitsThemselvesAreAllowed(t *testing.T) {
	p := of(change("a", 40, 40), change("b", 40, 40), change("c", 40, 40), change("d", 40, 40), change("e", 40, 40))
	p.Bytes = 200_000
	if v := policy.Check(p, policy.Default()); !v.Allowed {
		t.Errorf("%+v", v)
	}
}

func TestSkippingATestIsRefusedAndMovingASkipIsNot(t *testing.T) {
	for name, line := range map[string]string{
		"a_test.go": "\tt.Skip(\"later\")", "b_test.go": "t.SkipNow()", "a.spec.ts": "it.skip('x', () => {})", "b.test.js": "xit('x')",
		"c.test.js": "describe.only('x')", "test_a.py": "@pytest.mark.skip", "test_b.py": "    @unittest.skipIf(True, 'x')",
		"lib.rs": "    #[ignore]", "ATest.java": "@Disabled", "A.cs": "[Fact(Skip = \"x\")]", "d_test.go": "s.T().Skipf(\"x\")",
	} {
		p := of(change(name, 1, 1))
		p.Added = []patch.Line{{File: name, Number: 1, Text: line}}
		if v := policy.Check(p, policy.Default()); v.Reason != policy.ReasonTestSkip {
			t.Errorf("%s: %q: %+v", name, line, v)
		}
		p.Removed = []patch.Line{{File: name, Number: 1, Text: "  " + line}}
		if v := policy.Check(p, policy.Default()); !v.Allowed {
			t.Errorf("%s: moving %q: %+v", name, line, v)
		}
	}
	for _, line := range []string{"process.exit(1)", "s.Skip(3)", "await(x)", "bufio.Skip(", "unit.skipper", "model.fit(x)"} {
		p := of(change("a.js", 1, 0))
		p.Added = []patch.Line{{File: "a.js", Number: 1, Text: line}}
		if v := policy.Check(p, policy.Default()); !v.Allowed {
			t.Errorf("%q: %+v", line, v)
		}
	}
}

func TestRemovingATestCaseIsRefused(t *testing.T) {
	p := of(change("a_test.go", 0, 3))
	p.Removed = []patch.Line{{File: "a_test.go", Number: 5, Text: "func TestX(t *testing.T) {"}}
	if v := policy.Check(p, policy.Default()); v.Reason != policy.ReasonTestGone {
		t.Errorf("%+v", v)
	}
}

func TestDangerSaysWhatItIsMadeOf(t *testing.T) {
	p := of(change("Makefile", 60, 0), change("scripts/a.sh", 30, 20), change("web/package.json", 1, 0))
	p.Bytes = 20_000
	want := policy.Danger{Score: 86, Parts: []policy.Part{
		{Name: "files", Points: 15},
		{Name: "lines", Points: 10},
		{Name: "bytes", Points: 6},
		{Name: "risky path: install hooks", Points: 30},
		{Name: "risky path: build scripts", Points: 25},
	}}
	v := policy.Check(p, policy.Default())
	if diff := cmp.Diff(want, v.Danger); diff != "" {
		t.Error(diff)
	}
	if !v.Allowed || v.Class != policy.ClassNeedsReview {
		t.Errorf("%+v", v)
	}
	at := policy.Check(of(change("a", 1, 1), change("b", 1, 1), change("c", 1, 1), change("d", 1, 1)), policy.Default())
	over := policy.Check(of(change("a", 1, 1), change("b", 1, 1), change("c", 1, 1), change("d", 1, 1), change("e", 1, 1)), policy.Default())
	if at.Class != policy.ClassSafe || over.Class != policy.ClassNeedsReview {
		t.Errorf("20 is %s and 25 is %s", at.Class, over.Class)
	}
}
