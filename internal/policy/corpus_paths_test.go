package policy_test

import (
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// The shapes of credentials are made here, so that no scanner of this repository takes them for true ones.
var shape = strings.Repeat("aB3dE6fG9", 4)

func badPaths() []specimen {
	many := ""
	for i := range 6 {
		many += edit(fmt.Sprintf("f%d.go", i), "+x")
	}
	lines := func(mark string, n int, text string) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = mark + text
		}
		return out
	}
	mode := func(path, old, now string) string {
		return fmt.Sprintf("diff --git a/%s b/%s\nold mode %s\nnew mode %s\n", path, path, old, now)
	}
	fresh := func(path, mode string) string { return strings.Replace(create(path, "x"), "100644", mode, 1) }
	in := func(from, to string) string { return strings.ReplaceAll(rename(from, to), "rename", "copy") }
	return []specimen{
		{"a path that climbs out", patch.ReasonOutside, create("../x", "x")},
		{"a hook of git", patch.ReasonGitFolder, create(".git/hooks/pre-commit", "x")},
		{"git's folder below", patch.ReasonGitFolder, create("vendor/x/.git/config", "x")},
		{"git's folder as NTFS names it", patch.ReasonGitFolder, create("GIT~1/config", "x")},
		{"git's folder with a stream", patch.ReasonGitFolder, create(".git::$INDEX_ALLOCATION/config", "x")},
		{"git's folder with an invisible letter", patch.ReasonPath, create(".g\u200cit/config", "x")},
		{"git's folder in octal", patch.ReasonGitFolder, strings.ReplaceAll(strings.ReplaceAll(create("X", "x"), "a/X", `"a/\056git/config"`), "b/X", `"b/\056git/config"`)},
		{"a file changed twice", patch.ReasonTwice, edit("a.go", "+x") + edit("a.go", "+y")},
		{"headers with carriage returns", patch.ReasonBad, strings.ReplaceAll(create("a.go", "x"), "\n", "\r\n")},
		{"a rename that climbs out", patch.ReasonOutside, rename("a", "../a")},
		{"a new symbolic link", policy.ReasonSymlink, fresh("docs/link", "120000")},
		{"a file that becomes a link", policy.ReasonSymlink, mode("run.txt", "100644", "120000")},
		{"a new submodule", policy.ReasonGitlink, fresh("lib/dep", "160000")},
		{"a mode change", policy.ReasonMode, mode("tool.txt", "100644", "100755")},
		{"a new executable", policy.ReasonMode, fresh("tool", "100755")},
		{"a binary", policy.ReasonBinary, "diff --git a/logo.png b/logo.png\nindex 1111111..2222222 100644\nBinary files a/logo.png and b/logo.png differ\n"},
		{"a GitHub workflow", policy.ReasonForbidden, edit(".github/workflows/ci.yml", "+x")},
		{"a GitHub workflow in capitals", policy.ReasonForbidden, edit(".GitHub/Workflows/ci.yml", "+x")},
		{"a GitHub workflow with a trailing dot", policy.ReasonForbidden, edit(".github./workflows./ci.yml.", "+x")},
		{"a GitHub workflow with a trailing blank", policy.ReasonForbidden, edit(".github /workflows/ci.yml", "+x")},
		{"a GitHub workflow by its short name", policy.ReasonForbidden, edit("GITHUB~1/WORKFL~1/ci.yml", "+x")},
		{"a GitHub workflow spelt with a Kelvin sign", policy.ReasonForbidden, edit(".github/wor\u212aflows/ci.yml", "+x")},
		{"a composite action", policy.ReasonForbidden, edit(".github/actions/x/action.yml", "+x")},
		{"a GitLab pipeline", policy.ReasonForbidden, edit(".gitlab-ci.yml", "+x")},
		{"a CircleCI config", policy.ReasonForbidden, edit(".circleci/config.yml", "+x")},
		{"a Jenkinsfile", policy.ReasonForbidden, edit("build/Jenkinsfile", "+x")},
		{"an Azure pipeline", policy.ReasonForbidden, edit("azure-pipelines.yml", "+x")},
		{"a Buildkite pipeline", policy.ReasonForbidden, edit(".buildkite/pipeline.yml", "+x")},
		{"a Bitbucket pipeline", policy.ReasonForbidden, edit("bitbucket-pipelines.yml", "+x")},
		{"a Gitea workflow", policy.ReasonForbidden, edit(".gitea/workflows/x.yaml", "+x")},
		{"a Travis config", policy.ReasonForbidden, edit(".travis.yml", "+x")},
		{"a Drone config", policy.ReasonForbidden, edit(".drone.yml", "+x")},
		{"a Woodpecker config", policy.ReasonForbidden, edit(".woodpecker.yml", "+x")},
		{"an environment file", policy.ReasonForbidden, edit("a/b/.env.local", "+x")},
		{"an environment file as a stream", policy.ReasonForbidden, edit(".env:x", "+x")},
		{"a certificate", policy.ReasonForbidden, create("tls/server.crt", "x")},
		{"a key", policy.ReasonForbidden, create("deep/id_ed25519", "x")},
		{"the code owners", policy.ReasonForbidden, edit("docs/CODEOWNERS", "+x")},
		{"an editor's tasks", policy.ReasonForbidden, create(".vscode/tasks.json", "x")},
		{"an agent's settings", policy.ReasonForbidden, create(".claude/settings.json", "x")},
		{"a developer container", policy.ReasonForbidden, create(".devcontainer/devcontainer.json", "x")},
		{"npm's settings", policy.ReasonForbidden, edit(".npmrc", "+registry=https://evil.example/")},
		{"Cargo's settings", policy.ReasonForbidden, create(".cargo/config.toml", "[build]", `rustc-wrapper = "x"`)},
		{"submodules", policy.ReasonForbidden, edit(".gitmodules", "+x")},
		{"our own settings", policy.ReasonForbidden, edit(".sre-agent.yaml", "+mode: pr")},
		{"a file that Python runs at its start", policy.ReasonForbidden, create("src/x.pth", "import os")},
		{"a rename onto a workflow", policy.ReasonForbidden, rename("docs/a.yml", ".github/workflows/a.yml")},
		{"a copy onto a workflow", policy.ReasonForbidden, in("docs/a.yml", ".github/workflows/a.yml")},
		{"a rename of a workflow away", policy.ReasonForbidden, rename(".github/workflows/a.yml", "docs/a.yml")},
		{"six files", policy.ReasonFiles, many},
		{"201 added lines", policy.ReasonAdded, edit("a.txt", lines("+", 201, "x")...)},
		{"201 removed lines", policy.ReasonRemoved, edit("a.txt", lines("-", 201, "x")...)},
		{"too many bytes", policy.ReasonBytes, edit("a.txt", "+"+strings.Repeat("word ", 40_100))},
		{"nothing at all", policy.ReasonEmpty, ""},
		{"a token", policy.ReasonSecret, edit("a.go", `+const t = "ghp_`+shape+`"`)},
		{"a private key", policy.ReasonSecret, edit("a.go", "+-----BEGIN RSA "+"PRIVATE KEY-----")},
		{"a cloud key", policy.ReasonSecret, edit("a.py", "+key = 'AKIA"+"QYLPMN5HHH"+"FPABCD'")},
		{"another token in the place of one", policy.ReasonSecret, edit("a.go", `-const t = "ghp_`+shape+`"`, `+const t = "ghp_`+strings.ToUpper(shape)+`"`)},
	}
}
