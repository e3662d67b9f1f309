package policy

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

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
			} else if shortName.MatchString(path) {
				out = append(out, Finding{ReasonForbidden, path, "the path may be another file's short name"})
			} else if !allowed(rules.Allow, path) {
				out = append(out, Finding{ReasonNotAllowed, path, "no rule allows the path"})
			}
		}
	}
	return out
}

// shortName is what NTFS and FAT may call a file besides its name: GITHUB~1 is .github there.
var shortName = regexp.MustCompile(`(?i)(?:^|/)[^/.~]{1,6}~\d{1,6}(?:\.[^/.]{0,3})?(?:/|$)`)

func allowed(lists [][]string, path string) bool {
	for _, globs := range lists {
		if _, ok := matchAny(globs, path); !ok {
			return false
		}
	}
	return true
}

func matchAny(globs []string, path string) (string, bool) {
	path = plainPath(fold(path))
	for _, glob := range globs {
		if match(glob, path) {
			return glob, true
		}
	}
	return "", false
}

// match is git's own reading of a pattern: without a slash it is a name at any depth. The path is folded and plain.
func match(glob, path string) bool {
	glob = fold(glob)
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

// fold makes alike what a file system may take for the same letter: the long s is an s, the Kelvin sign a k.
func fold(s string) string {
	if s = strings.ToLower(s); !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			return unicode.ToLower(r)
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return unicode.ToLower(least)
	}, s)
}

// plainPath is a path as NTFS and HFS+ understand it: without trailing dots and blanks, streams and invisible
// characters.
func plainPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, ":")
		name = strings.TrimRight(strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Cf, r) {
				return -1
			}
			return r
		}, name), ". ")
		if name != "" {
			parts[i] = name
		}
	}
	return strings.Join(parts, "/")
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
	gitOwn = []string{".git", "**/.git/**", ".gitmodules", ".lfsconfig", ".gitconfig"}

	ciDefinitions = []string{
		"**/.github/workflows/**", "**/.github/actions/**", // GitHub
		"**/.gitea/workflows/**", "**/.forgejo/workflows/**", "**/.gitea/actions/**", "**/.forgejo/actions/**",
		".gitlab-ci.yml", ".gitlab-ci.yaml", "*.gitlab-ci.yml", "*.gitlab-ci.yaml", "**/.gitlab/ci/**", "**/.gitlab-ci/**",
		"**/.circleci/**",
		"Jenkinsfile*", "*.jenkinsfile", "**/.jenkins/**",
		"azure-pipelines*.yml", "azure-pipelines*.yaml", "**/.azure-pipelines/**", "**/.azuredevops/**", ".vsts-ci.yml",
		"**/.buildkite/**", "buildkite.yml", "buildkite.yaml",
		"bitbucket-pipelines.yml", "bitbucket-pipelines.yaml",
		".travis.yml", ".travis.yaml",
		".drone.yml", ".drone.yaml", ".drone.star", ".drone.jsonnet",
		".woodpecker*", "**/.woodpecker/**",
		"appveyor.yml", ".appveyor.yml", "appveyor.yaml", ".cirrus.yml", ".cirrus.yaml", ".cirrus.star", "**/.semaphore/**", "**/.teamcity/**",
		"cloudbuild*.yml", "cloudbuild*.yaml", "**/.tekton/**", "buildspec*.yml", "buildspec*.yaml",
		"codemagic.yaml", "wercker.yml", ".build.yml", "**/.builds/**", "**/bamboo-specs/**", "codefresh.yml", "**/.codefresh/**", "**/.harness/**",
		".scrutinizer.yml", "shippable.yml", ".shippable.yml", "screwdriver.yaml", "zuul.yaml", ".zuul.yaml", "**/.zuul.d/**", "**/zuul.d/**", ".prow.yaml",
		"**/.ci/**",
	}

	secrets = []string{
		".env*", "*.env",
		"*.pem", "*.key", "*.crt", "*.cer", "*.der", "*.p12", "*.pfx", "*.p7b", "*.p8", "*.jks", "*.keystore",
		"*.kdbx", "*.asc", "*.gpg", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
		".netrc", "_netrc", ".pypirc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".dockercfg", ".htpasswd", ".pgpass", ".my.cnf", ".git-credentials", ".vault-token", "*.pkcs12", "*.p7c", "*.p7s", "*.csr", "*.truststore", "*.age",
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
		"**/.cargo/config", "**/.cargo/config.toml", "**/.bundle/config", "*.pth", "sitecustomize.py", "usercustomize.py",
		"**/.sublime-project/**", "*.sublime-project", ".vim/**", ".emacs", "*.code-profile", "**/.junie/**", "**/.augment/**", ".goosehints",
		"**/.husky/**", "**/.githooks/**", "lefthook*.yml", "lefthook*.yaml", ".lefthook*", ".pnpmfile.cjs",
	}

	ours = []string{"**/.sre-agent.yaml", "**/.sre-agent.yml", "**/.sre-agent/**"}
)
