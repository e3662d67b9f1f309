package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// locks are the files that say from which address a dependency was taken. The first group of the expression is the
// address.
var locks = []struct {
	files    []string
	address  *regexp.Regexp
	defaults []string
}{
	{
		[]string{"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock"},
		regexp.MustCompile(`(?:"?resolved"?:?\s+|\btarball:\s*|\bresolution:.*?@|@)"?((?:https?|git(?:\+\w+)?|ssh|file|link|portal|exec|patch):[^\s"',})]+|\.\.?/[^\s"',})]+)`),
		[]string{"https://registry.npmjs.org", "https://registry.yarnpkg.com"},
	},
	{
		[]string{"poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pylock*.toml"},
		regexp.MustCompile(`(?:\b(?:url|registry|git|path|directory|editable|virtual|index)"?\s*[:=]\s*|\bsdist\s*=\s*\{\s*url\s*=\s*)"([^"]+)"`),
		[]string{"https://files.pythonhosted.org", "https://pypi.org"},
	},
	{
		[]string{"Cargo.lock"},
		regexp.MustCompile(`^\s*source\s*=\s*"([^"]+)"`),
		[]string{"registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io"},
	},
	{
		[]string{"Gemfile.lock", "gems.locked"},
		regexp.MustCompile(`^\s*remote:\s*(\S+)`),
		[]string{"https://rubygems.org"},
	},
	{
		[]string{"composer.lock"},
		regexp.MustCompile(`"(?:url|dist|source)"\s*:\s*"([^"]+(?:\.git|/zipball/[^"]*|\.zip|\.tar(?:\.\w+)?|\.phar))"`),
		[]string{"https://github.com", "https://api.github.com", "https://codeload.github.com"},
	},
	{
		[]string{"pubspec.lock"},
		regexp.MustCompile(`^\s*url:\s*"?([^"\s]+)`),
		[]string{"https://pub.dev", "https://pub.dartlang.org"},
	},
	{
		[]string{"Podfile.lock"},
		regexp.MustCompile(`(?:^\s*|:)(?:git|http|path|podspec)["']?:\s*"?([^"\s]+)|^\s*(https?://[^\s:]+)`),
		nil,
	},
	{
		[]string{"mix.lock"}, regexp.MustCompile(`\{:git,\s*"([^"]+)"`), nil,
	},
	{
		[]string{".terraform.lock.hcl"},
		regexp.MustCompile(`^\s*provider\s+"([^"]+)"`),
		[]string{"registry.terraform.io", "registry.opentofu.org"},
	},
	{
		[]string{"flake.lock", "Chart.lock", "Package.resolved", "deno.lock", "packages.lock.json", "vendor/modules.txt", "gradle.lockfile", "MODULE.bazel.lock"},
		regexp.MustCompile(`((?:git\+\w+|https?|ssh|file|git)://[^\s"',]+|=>.*)`),
		nil,
	},
	{
		[]string{"gradle-wrapper.properties", "maven-wrapper.properties"},
		regexp.MustCompile(`(?i)^\s*\w*Url\s*=\s*(\S+)`),
		[]string{"https://services.gradle.org", "https://repo.maven.apache.org"},
	},
}

// hostsKept: what a lock file resolves comes from a host that the file showed before or, where the patch shows none of
// the file's own, from the ecosystem's public registry.
func hostsKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		for _, lock := range locks {
			if !c.is(lock.files...) {
				continue
			}
			known := origins(lock.address, c.visible())
			if len(known) == 0 || slices.ContainsFunc(known, func(o string) bool { return slices.Contains(lock.defaults, o) }) {
				known = append(known, lock.defaults...)
			}
			for _, origin := range origins(lock.address, c.added) {
				if !slices.Contains(known, origin) {
					out = append(out, Finding{ReasonSource, c.Path(), fmt.Sprintf("a dependency would come from %q, which the file did not use before", clip(origin))})
					break
				}
			}
		}
	}
	return out
}

func origins(address *regexp.Regexp, lines []string) []string {
	var out []string
	for _, line := range lines {
		for _, m := range address.FindAllStringSubmatch(line, -1) {
			for _, text := range m[1:] {
				if text != "" {
					out = append(out, origin(text))
				}
			}
		}
	}
	return out
}

// origin is what of an address has to stay: its scheme and host, and all of the path for a repository.
func origin(address string) string {
	address = strings.ReplaceAll(address, `\`, "")
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		if host, _, isProvider := strings.Cut(address, "/"); isProvider && strings.Contains(host, ".") && !strings.HasPrefix(host, ".") {
			return host
		}
		return address
	}
	if scheme == "https" || scheme == "http" || scheme == "sparse+https" {
		host, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + strings.ToLower(host)
	}
	return address
}
