package policy

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// pathsAllowed: every path that the patch touches, before and after, is allowed and not forbidden.
func pathsAllowed(p *patch.Patch, rules Rules) []Finding {
	var out []Finding
	for _, f := range p.Files {
		for _, path := range f.Paths() {
			if glob, ok := matchAny(rules.Forbid, path); ok {
				out = append(out, Finding{ReasonForbidden, path, fmt.Sprintf("the path is forbidden by %q", glob)})
			} else if _, ok := matchAny(rules.Allow, path); !ok {
				out = append(out, Finding{ReasonNotAllowed, path, "no rule allows the path"})
			}
		}
	}
	return out
}

func matchAny(globs []string, path string) (string, bool) {
	for _, glob := range globs {
		if match(glob, path) {
			return glob, true
		}
	}
	return "", false
}

// match is git's own reading of a pattern: without a slash it is a name at any depth.
func match(glob, path string) bool {
	glob, path = strings.ToLower(glob), strings.ToLower(path)
	anchored := strings.HasPrefix(glob, "/")
	glob = strings.TrimPrefix(glob, "/")
	if strings.HasSuffix(glob, "/") {
		glob += "**"
	}
	if !anchored && !strings.Contains(glob, "/") {
		glob = "**/" + glob
	}
	// A malformed glob was refused by Validate; here it fails closed.
	ok, err := doublestar.Match(glob, path)
	return ok || err != nil
}

// forbidden are the paths that no fix ever touches.
func forbidden() []string {
	var out []string
	for _, group := range [][]string{gitOwn, ciDefinitions, secrets, owners, executed, ours} {
		out = append(out, group...)
	}
	return out
}

var (
	gitOwn = []string{"**/.git/**", ".gitmodules"}

	ciDefinitions = []string{
		".github/workflows/**", ".github/actions/**", // GitHub
		".gitea/workflows/**", ".forgejo/workflows/**", ".gitea/actions/**", ".forgejo/actions/**",
		"**/.gitlab-ci.yml", "**/.gitlab-ci.yaml", "**/*.gitlab-ci.yml", ".gitlab/ci/**", ".gitlab-ci/**",
		".circleci/**",
		"**/Jenkinsfile*", "**/*.jenkinsfile",
		"azure-pipelines*.yml", "azure-pipelines*.yaml", "**/.azure-pipelines/**", "**/.azuredevops/**", ".vsts-ci.yml",
		".buildkite/**", "buildkite.yml", "buildkite.yaml",
		"bitbucket-pipelines.yml", "bitbucket-pipelines.yaml",
		".travis.yml", ".travis.yaml",
		".drone.yml", ".drone.yaml", ".drone.star", ".drone.jsonnet",
		".woodpecker*", ".woodpecker/**",
		"appveyor.yml", ".appveyor.yml", ".cirrus.yml", ".cirrus.star", ".semaphore/**", ".teamcity/**",
		"cloudbuild*.yml", "cloudbuild*.yaml", "**/.tekton/**", "buildspec*.yml", "buildspec*.yaml",
		"codemagic.yaml", "wercker.yml", ".build.yml", ".builds/**", "bamboo-specs/**", "codefresh.yml", ".harness/**",
		".ci/**",
	}

	secrets = []string{
		".env*", "*.env",
		"*.pem", "*.key", "*.crt", "*.cer", "*.der", "*.p12", "*.pfx", "*.p7b", "*.p8", "*.jks", "*.keystore",
		"*.kdbx", "*.asc", "*.gpg", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
		".netrc", "_netrc", ".pypirc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".dockercfg", ".htpasswd", ".pgpass",
		"**/.docker/config.json", "**/.aws/**", "**/.ssh/**", "**/.gnupg/**", "**/.kube/**", "credentials.json",
	}

	// Forges read these from the root, docs and their own folder; an editor or a copy may read them anywhere.
	owners = []string{"CODEOWNERS"}

	// What an editor, an agent or git runs on a developer's machine when the folder is opened.
	executed = []string{
		"**/.vscode/**", "**/.idea/**", "**/.fleet/**", "**/.zed/**", "*.code-workspace", ".vimrc", ".exrc", ".nvimrc", ".nvim.lua",
		".dir-locals.el", ".envrc", "mise.toml", ".mise.toml", "**/.mise/**",
		"**/.devcontainer/**", ".devcontainer.json", ".gitpod.yml", "**/.gitpod/**",
		"**/.claude/**", ".mcp.json", "**/.codex/**", "**/.gemini/**",
		"**/.cursor/**", ".cursorrules", "**/.windsurf/**", ".windsurfrules", "**/.continue/**", "**/.aider*", "**/.clinerules/**", ".clinerules",
		"**/.roo/**", "**/.amazonq/**", "**/.kiro/**", "**/.opencode/**", "opencode.json",
		"**/.husky/**", "**/.githooks/**", "lefthook*.yml", "lefthook*.yaml", ".lefthook*", ".pnpmfile.cjs",
	}

	ours = []string{"**/.sre-agent.yaml", "**/.sre-agent.yml", "**/.sre-agent/**"}
)
