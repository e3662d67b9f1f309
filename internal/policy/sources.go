package policy

import (
	"fmt"
	"regexp"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// sources are the lines that say where dependencies come from, by ecosystem. A line that only moves is none.
var sources = []struct {
	what  string
	files []string
	lines *regexp.Regexp
}{
	{"npm", []string{"package.json"}, anyOf(
		`"(?:registry|publishConfig|[^"]*:registry)"\s*:`,
		`:\s*"(?:git(?:\+\w+)?:|git@|github:|gitlab:|bitbucket:|gist:|file:|link:|portal:|npm:|exec:|https?://[^"]*(?:\.tgz|\.tar\.gz|\.git\b|/tarball/|/archive/|codeload\.))`,
	)},
	{"npm settings", []string{"pnpm-workspace.yaml", ".npmrc*", "*.npmrc", ".yarnrc*", "bunfig.toml", "lerna.json", "rush.json"}, anyOf(`(?i)registry\b`, `^\s*(?:npmRegistryServer|npmScopes|unsafeHttpWhitelist|yarnPath)\b`, `https?://`)},
	{"pip", []string{"*requirements*.txt", "*requirements*.in", "*constraints*.txt", "**/requirements/*.txt", "**/requirements/*.in"}, anyOf(
		`^\s*(?:--(?:extra-)?index-url|-i\b|--find-links|-f\b|--trusted-host|--no-index|-e\b|--editable|--pre\b|--no-binary|--process-dependency-links)`, `\b(?:git|hg|svn|bzr)\+`, `@\s*(?:https?|file|git|ssh)\b`,
		`^\s*(?:https?|file|ftp)://`, `^\s*(?:\.{0,2}/|\.\./)`, `^\s*-[rc]\s*(?:https?:|/|\.\.)`,
	)},
	{"Python", []string{"pyproject.toml", "Pipfile", "uv.toml", "pip.conf", "pip.ini", "poetry.toml", "pdm.toml", "setup.cfg", "setup.py", "tox.ini", "environment*.y*ml", ".pypirc"}, anyOf(
		`\[\[\s*(?:source|tool\.(?:poetry\.source|uv\.index|pdm\.source)|index)\s*\]\]`, `\[tool\.uv\.sources`, `\[tool\.uv\.pip\]`, `\b(?:git|hg)\s*=\s*["']`, `[{,]\s*(?:path|url|file|index|source|editable|develop)\s*=`,
		`^\s*(?:index|extra-index|default-index)(?:_|-)?(?:url|urls)?\s*[:=]`, `^\s*(?:find[-_]links|dependency_links|trusted[-_]host|keyring-provider|index-strategy|index_servers|channels?|source)\s*[:=]`,
		`\bdependency_links\b`, `@\s*(?:git\+|https?://|file:)`, `\bgit\+(?:https?|ssh|file)`, `--(?:extra-)?index-url|--find-links|--trusted-host`,
	)},
	{"Python index", []string{"pyproject.toml", "Pipfile", "uv.toml", "pip.conf", "poetry.toml"}, anyOf(`^\s*url\s*=\s*["']`)},
	{"Go", []string{"go.mod", "go.work"}, anyOf(`=>`, `^\s*replace\b`, `^\s*use\b`, `^\s*toolchain\s+[^g\s]`)},
	{"Cargo", []string{"Cargo.toml", "**/.cargo/config*"}, anyOf(
		`^\s*\[+\s*"?(?:source|registries|registry|patch|replace)\b`, `\b(?:git|registry|registry-index|replace-with|local-registry|directory|index)\s*=\s*["']`, `\bpath\s*=\s*["'](?:[^"']*[^s"']|[^"']*[^r"']s|[^"']*[^."']rs)["']`,
	)},
	{"Maven", []string{"pom.xml", "settings.xml", "**/.mvn/**"}, anyOf(`<(?:repository|pluginRepository|repositories|pluginRepositories|distributionManagement|systemPath|mirror|mirrors|relocation)\b`, `<url>`, `<scope>\s*system`, `distributionUrl|wrapperUrl`)},
	{"Gradle", []string{"*.gradle", "*.gradle.kts", "*.versions.toml"}, anyOf(
		`\b(?:maven|ivy|flatDir|exclusiveContent|pluginManagement|repositories)\s*[({]`, `\b(?:mavenLocal|jcenter|mavenCentral|google|gradlePluginPortal)\s*\(\s*\)`, `\burl\s*[=(]?\s*(?:uri\s*\(?\s*)?["']`, `\bsetUrl\b`, `\buri\s*\(`,
		`\b(?:files|fileTree)\s*\(`, `\b(?:isA|a)llowInsecureProtocol\b`, `\bincludeBuild\b`, `\bdirs?\s+["']`,
	)},
	{"sbt", []string{"*.sbt", "build.sc", "deps.edn", "project.clj"}, anyOf(`\bresolvers?\b`, `:(?:mvn/repos|git/url|local/root|repositories)\b`, `\bat\s+"https?:`, `\bProjectRef\b|\bRootProject\b`)},
	{"Ruby", []string{"Gemfile", "gems.rb", "*.gemspec"}, anyOf(`^\s*source\b`, `\b(?:git|github|gist|bitbucket|path|gitlab|source)\s*:\s`, `:(?:git|github|gist|bitbucket|path|source)\s*=>`, `\bgit_source\b`, `^\s*(?:path|git|github)\s+["']`)},
	{"composer", []string{"composer.json"}, anyOf(`"(?:repositories|url|secure-http|packagist(?:\.org)?|disable-tls|github-protocols|cafile)"\s*:`, `"type"\s*:\s*"(?:vcs|path|git|github|gitlab|composer|package|artifact|svn|hg)"`)},
	{"NuGet", []string{"nuget.config"}, anyOf(`<(?:add|packageSources|packageSource|clear)\b`)},
	{".NET", []string{"*.csproj", "*.fsproj", "*.vbproj", "*.props", "*.targets"}, anyOf(`Restore(?:Additional)?(?:Project)?Sources|RestoreConfigFile|RestoreFallbackFolders|PackageSource|<HintPath>`)},
	{"Terraform", []string{"*.tf", "*.tofu", "terragrunt.hcl"}, anyOf(`^\s*source\s*=`)},
	{"Helm", []string{"Chart.yaml", "requirements.yaml", "helmfile*.y*ml", "kustomization.y*ml"}, anyOf(`^\s*-?\s*(?:repository|url|repo)\s*:`, `https?://`)},
	{"Bazel", []string{"WORKSPACE*", "MODULE.bazel", "*.bzl", ".bazelrc"}, anyOf(`\b(?:http_archive|http_file|http_jar|git_repository|local_repository|(?:archive|git|local_path|single_version)_override)\b`, `\burls?\s*=`, `--(?:registry|repository_cache|remote_cache|remote_executor|override_module|override_repository)\b`, `https?://`)},
	{"Swift", []string{"Package.swift"}, anyOf(`\.package\s*\(\s*(?:name:[^,]*,\s*)?(?:url|path)`, `\.binaryTarget\b`, `^\s*url\s*:`)},
	{"CocoaPods", []string{"Podfile", "*.podspec", "Cartfile*"}, anyOf(`^\s*source\b`, `:(?:git|path|podspec|http|source)\s*=>`, `\b(?:git|path|podspec|http)\s*:\s`, `^\s*(?:binary|git)\s+["']`)},
	{"Dart", []string{"pubspec.yaml", "pubspec_overrides.yaml"}, anyOf(`^\s*(?:git|hosted|path|url|publish_to|dependency_overrides)\s*:`)},
	{"Elixir", []string{"mix.exs", "rebar.config"}, anyOf(`\b(?:git|github|path|repo|organization)\s*:\s`, `\{git\s*,`)},
	{"Deno", []string{"deno.json*", "import_map.json"}, anyOf(`https?://`)},
	{"pre-commit", []string{".pre-commit-config.yaml"}, anyOf(`^\s*-?\s*repo\s*:`)},
	{"CMake", []string{"CMakeLists.txt", "*.cmake", "conanfile.*", "vcpkg*.json"}, anyOf(`\b(?:FetchContent_Declare|ExternalProject_Add|GIT_REPOSITORY|CPMAddPackage)\b`, `^\s*URL\s`, `\bfile\s*\(\s*DOWNLOAD\b`, `"(?:registries|default-registry|baseline-registry|repository)"\s*:`)},
	{"Nix", []string{"*.nix"}, anyOf(`\burl\s*=`, `\bfetch(?:url|git|Git|FromGitHub|Tarball|zip)\b`)},
	{"container image", []string{"Dockerfile*", "*.Dockerfile", "Containerfile*"}, anyOf(
		`^\s*ADD\s+(?:--\S+\s+)*(?:https?|git)(?:://|@)`, `(?:COPY|ADD)\s+--from=\S*[/:.]`, `--mount=\S*from=\S*[/:.]`, `\b(?:add-apt-repository|apt-key)\b`, `/etc/apt/(?:sources|trusted|keyrings)`, `\bdeb\s+(?:\[|https?:)`,
		`--allow-unauthenticated|trusted=yes|--no-check-certificate|--allow-untrusted|--nogpgcheck`, `/etc/apk/repositories|/etc/yum\.repos\.d`, `\bapk\b.*(?:-X|--repository)\b`, `# *syntax\s*=`,
	)},
}

// redirects name another source wherever they stand: options and variables of package managers.
var redirects = anyOf(
	`--(?:extra-)?index-url\b`, `--default-index\b`, `--find-links\b`, `--trusted-host\b`, `\b(?:PIP|UV)_(?:EXTRA_)?(?:DEFAULT_)?INDEX(?:_URL)?\b`, `\bPIP_(?:FIND_LINKS|TRUSTED_HOST)\b`,
	`(?i)\bnpm_config_registry\b`, `\bYARN_(?:NPM_)?REGISTRY\w*`, `\b(?:npm|pnpm|yarn|bun)\b.*--registry\b`, `\b(?:npm|pnpm|yarn)\s+config\s+set\b`, `\bpip3?\s+config\s+set\b`, `\b(?:npm|yarn)\b.*--strict-ssl[= ]false`,
	`\bGO(?:PROXY|NOSUMDB|NOSUMCHECK|INSECURE|PRIVATE|NOPROXY|SUMDB|FLAGS)\s*[:=]`, `\bgo\s+env\s+-w\b`, `\bCARGO_(?:REGISTRIES|REGISTRY|SOURCE)_\w+`, `\bBUNDLE_MIRROR\w*`, `\bgem\s+sources?\s+(?:-a|--add)\b`,
	`\bcomposer\s+config\s+.*repositories\b`, `\bdotnet\s+nuget\s+add\s+source\b`, `\bhelm\s+repo\s+add\b`, `url\.[^ ]*\.insteadOf`,
)

// sourcesKept: dependencies come from where they came from.
func sourcesKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		if isProse(c.Path()) {
			continue
		}
		var found []string
		what := "package manager"
		for _, source := range sources {
			if len(found) > 0 || !c.is(source.files...) {
				continue
			}
			what, found = source.what, c.newLines(source.lines)
		}
		if len(found) == 0 {
			what, found = "package manager", c.newLines(redirects)
		}
		if len(found) > 0 {
			out = append(out, Finding{ReasonSource, c.Path(), fmt.Sprintf("%s: %q names another source of dependencies", what, clip(found[0]))})
		}
	}
	return out
}
