package policy

import (
	"fmt"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// suppressions tell a checker to look away, in the code itself.
var suppressions = anyOf(
	`//\s*nolint\b[^\s]*`, `//\s*lint:(?:file-)?ignore\b.*`, `#\s*noqa\b[^\s]*`, `#\s*(?:flake8|ruff)\s*:\s*noqa\S*`, `#\s*type:\s*ignore\S*`, `#\s*(?:pylint|pyright|mypy|pyre|pytype|isort|fmt|yapf|bandit|pragma|nosec|codespell|sourcery|skipcq|refurb|pyrefly|ty)\s*:\s*(?:disable\S*|basic|ignore\S*|skip\S*|off|no\s+\w+|strict=\S*|nosec|skip_file)`,
	`#\s*nosec\b`, `#\s*pragma:\s*no\s*(?:cover|branch|mutate)`, `#\s*pyre-(?:ignore|fixme)\S*`,
	`\beslint-disable(?:-next-line|-line)?\b[^*]*`, `@ts-(?:ignore|expect-error|nocheck)\b`, `\btslint:disable\S*`, `\bprettier-ignore\S*`, `\bbiome-ignore\S*`, `\boxlint-disable\S*`, `\bdeno-lint-ignore\S*`, `\bstylelint-disable\S*`, `\bmarkdownlint-disable\S*`, `\bhtmlhint-disable\b`, `\b(?:istanbul|c8|v8)\s+ignore\b`, `\$FlowFixMe\b|\bflow-disable\b|@noflow\b`, `\bjshint\s+ignore\b|\bjslint\b`, `\bas\s+(?:any|never)\b|:\s*any\b`,
	`\bNOSONAR\b`, `\bnosemgrep\b`, `#nosec\b`, `@SuppressWarnings\b.*`, `@Suppress(?:Lint)?\s*\(.*`, `@file:Suppress\b.*`, `\bCHECKSTYLE[.:\s-]*OFF\b`, `\bSPOTBUGS\b|@SuppressFBWarnings\b`, `\bnoinspection\s+\w+`, `@ExcludeFrom\w*|@Generated\b`, `\bktlint-disable\b|@formatter:off|spotless:off`, `\bdetekt:disable\S*`,
	`#!?\[\s*allow\s*\(.*`, `#!?\[\s*expect\s*\(.*`, `#!?\[\s*(?:rustfmt::skip|cfg_attr\([^]]*(?:allow|rustfmt))`, `#pragma\s+warning\s*\(?\s*disable.*`, `\[(?:assembly:\s*)?SuppressMessage\b.*`, `\[ExcludeFromCodeCoverage\b`, `#nullable\s+disable`, `#pragma\s+(?:GCC|clang)\s+diagnostic\s+ignored.*`,
	`\bphpcs:(?:ignore|disable)\S*`, `@phpstan-ignore\S*`, `@psalm-suppress\s+\S+`, `@codeCoverageIgnore\S*`, `\brubocop:(?:disable|todo)\b.*`, `#\s*:nocov:`, `\bsteep:ignore\b|\bsorbet:ignore\b|#\s*typed:\s*(?:false|ignore)`,
	`\bshellcheck\s+disable\S*`, `\bhadolint\s+(?:global\s+)?ignore\S*`, `\b(?:tfsec|trivy|tflint-ignore|checkov|terrascan|kics|kics-scan|snyk|grype)\s*:\s*(?:ignore|skip)\S*`, `\btflint-ignore\b`, `\bgitleaks:allow\b`, `\b(?:pragma:\s*)?allowlist\s+secret\b`, `\bpragma:\s*whitelist\b`,
	`\bNOLINT(?:NEXTLINE|BEGIN)?\b`, `\bcppcheck-suppress\b\S*`, `\bLCOV_EXCL\w*|\bGCOVR?_EXCL\w*`, `\bclang-format\s+off\b`, `\bswiftlint:disable\b.*`, `\bcredo:disable\S*|@dialyzer\b|\bcoveralls-ignore\S*`, `\byamllint\s+disable\b`, `\bzizmor:\s*ignore\b`, `\bcspell:(?:disable|ignore)\b`, `\bspellchecker:\s*disable`, `\bansible-lint:?\s*skip|#\s*noqa\b`, `\bhlint-ignore|HLINT ignore\b`, `\{-#\s*OPTIONS_GHC\s+-w`, `\bignore_for_file\s*:|//\s*ignore:\s*\w+`, `\bbuf:lint:ignore\b`, `\bcoverage:ignore\S*`, `\bCA_?\d{4}\b.*disable`,
)

// surrenders make a command pass whatever happens.
var surrenders = anyOf(
	`\|\|\s*(?:true|:|exit\s+0|/bin/true|echo\b)`, `;\s*(?:true|exit\s+0)\s*["']?\s*,?$`, `^\s*set\s+\+e\b`, `\bcontinue-on-error\s*:\s*(?:true|\$\{\{)`, `\ballow_failure\s*:\s*true`, `\bcontinueOnError\s*:\s*true`, `\bsoft_fail\s*:`, `\bignore_(?:errors|failure)\s*:\s*(?:true|yes)`, `\bfailed_when\s*:\s*(?:false|no)`,
	`--passWithNoTests\b|\bpassWithNoTests\b`, `--no-verify\b`, `-D(?:skipTests|maven\.test\.skip|skipITs|maven\.test\.failure\.ignore|spotbugs\.skip|checkstyle\.skip)\b`, `<(?:skipTests|skip|skipITs|testFailureIgnore|failOnError|failsOnError|failOnViolation|haltOnFailure)>\s*\w+`, `\b-x\s+(?:test|check|lint)\b`, `\bignoreFailures\s*=?\s*true`, `\bisIgnoreFailures\s*=\s*true`, `\babortOnError\s*=?\s*false`, `\b(?:failOnNoDiscoveredTests|failFast)\s*=\s*false`,
	`--exit-zero\b`, `--no-fail\b|--no-error-on-unmatched-pattern\b|--suppress-tests\b|--no-exit-code\b|--exit-code[= ]0\b|--issues-exit-code[= ]0\b`, `\bissues-exit-code\s*:\s*0`, `^\t-[^-\s]`, `^\.IGNORE\b`, `\bmake\s+-[a-z]*[ik]\b`, `\bgo\s+test\b.*(?:-skip|-short)\b`, `\bpytest\b.*(?:--deselect|--ignore|-k\s+["']?not\b|-m\s+["']?not\b)`, `\b(?:jest|vitest|mocha)\b.*(?:--testPathIgnorePatterns|--exclude|--grep\s|--invert|-t\s|--testNamePattern)`, `\bcargo\s+test\b.*(?:--skip|--no-run)\b`, `\btestPathIgnorePatterns\b`, `\bcoveragePathIgnorePatterns\b`, `\bnorecursedirs\b`,
	`--(?:ignore|skip)-(?:errors|failures|tests)\b`, `\brun_tests\s*[:=]\s*(?:false|False)`, `\bdoctest\s*=\s*false`, `^\s*test\s*=\s*false`, `\bxfail_strict\s*=\s*(?:false|False)`, `\b2>\s*&1\s*\|\s*(?:cat|tee)\b`,
)

// scripts are the entries of a manifest that say what a check is.
var scripts = anyOf(
	`"(?:pre|post)?(?:test|tests|lint|check|checks|typecheck|type-check|tsc|verify|validate|ci|coverage|format|fmt|prettier|eslint|audit|e2e|unit|spec|build)(?:[:._-][^"]*)?"\s*:\s*["\[]`,
)

// settings of checkers, and the lines by which they check less.
var (
	checkerFiles = []string{
		".eslintrc*", "eslint.config.*", "biome.json*", ".oxlintrc*", "tslint.json", ".stylelintrc*", "stylelint.config.*", ".golangci.*", ".flake8", ".pylintrc", "pylintrc", "ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini", "pyrightconfig.json",
		"pyproject.toml", "setup.cfg", "tox.ini", ".bandit", ".isort.cfg", ".style.yapf", "tsconfig*.json", "jsconfig.json", ".rubocop*", "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml", "checkstyle*.xml", "pmd*.xml", "spotbugs*.xml", "detekt*.yml", ".editorconfig",
		"phpstan*.neon*", "psalm*.xml", "phpcs*.xml*", ".phpcs.xml*", ".php-cs-fixer*", "phpunit*.xml*", ".swiftlint.yml", ".swiftformat", ".credo.exs", ".formatter.exs", ".hadolint.y*ml", ".shellcheckrc", ".yamllint*", ".markdownlint*", "analysis_options.yaml", ".clang-tidy", ".clang-format", "buf.yaml",
		".pre-commit-config.yaml", "jest.config.*", "vitest.config.*", "karma.conf.*", ".mocharc*", "pytest.ini", ".coveragerc", "codecov.y*ml", ".codecov.y*ml", ".nycrc*", ".c8rc*", "sonar-project.properties", "lint.xml", ".tflint.hcl", ".checkov.y*ml", ".gitleaks.toml", ".semgrep*", ".trivyignore*", ".snyk", "osv-scanner.toml", ".gosec*",
		"deny.toml", "*.ruleset", "Directory.Build.props", "cypress.config.*", "playwright.config.*",
	}
	checkLess = anyOf(
		`["']?[\w@/.-]+["']?\s*[:=]\s*\[?\s*["']?(?:off|disable|disabled|ignore|none|silent)\b["']?`, `["'][\w@/.-]+["']\s*:\s*\[?\s*0\b`, `(?i)^\s*-?\s*["']?(?:disable|disabled|disable-all|disabled_rules|disabled-rules|ignore|ignored|ignores|extend-ignore|per-file-ignores|extend-per-file-ignores|exclude|excludes|excluded|exclude-rules|exclude-dirs|exclude-files|exclude_lines|exclude_also|extend-exclude|force-exclude|ignore_errors|ignore_missing_imports|ignore-paths|ignore-patterns|ignorePatterns|ignorePaths|skip|skips|omit|suppress|suppressions|excludePaths|ignoreErrors|testExclude|skipTests|testpaths|allow|whitelist|skip-files|skip-dirs|only-new-issues|new|new-from-rev)["']?\s*[:=(]`,
		`(?i)\bEnabled\s*:\s*false`, `(?i)["']?(?:enabled|strict\w*|no(?:Implicit|Unused|Unchecked|Fallthrough|Emit)\w*|noImplicitAny|checkJs|recommended|forceConsistentCasingInFileNames|exactOptionalPropertyTypes|alwaysStrict|warn_\w+|disallow_\w+|check_untyped_defs|failOn\w*|fail-on\w*|treat\w*AsErrors|bail|clearMocks)["']?\s*[:=]\s*["']?(?:false|False|no|0)\b`,
		`(?i)["']?(?:skipLibCheck|allowJs|suppressImplicitAnyIndexErrors|noEmitOnError|isolatedModules|ignore_errors|ignore_missing_imports|disable-all|passWithNoTests|default)["']?\s*[:=]\s*["']?(?:true|True|yes|none)\b`, `<(?:suppress|exclude|excludeFolder|Match|NoWarn)\b`, `\bTreatWarningsAsErrors>\s*false`, `^\s*(?:warn|severity)\s*[:=]\s*["']?(?:off|none|hint|info)`, `["']?[\w@/.-]+["']?\s*[:=]\s*\[?\s*["'](?:warn|warning)["']`, `=\s*["']allow["']`, `^\s*dotnet_diagnostic\.\w+\.severity\s*=\s*(?:none|silent|suggestion)`, `^\s*["']?!`,
	)
	// manifests hold a checker's settings among others.
	manifests    = []string{"package.json", "Cargo.toml", "composer.json"}
	manifestLess = anyOf(
		`["'][\w@/.-]+["']\s*:\s*\[?\s*["'](?:off|disabled)["']`, `["'](?:no-|@[\w-]+/|[\w-]+/)[\w@/.-]*["']\s*:\s*\[?\s*(?:0\b|["'](?:warn|off)["'])`, `"(?:ignorePatterns|\w*IgnorePatterns|excludeFiles|overrides)"\s*:\s*[\[{]`, `=\s*["']allow["']`, `level\s*=\s*["']allow["']`, `^\s*(?:overflow-checks|debug-assertions)\s*=\s*false`,
	)
	checkEntry = anyOf(
		`^\s*-\s*["']?[\w-]+["']?\s*(?:#.*)?$`, `^\s*-?\s*id\s*:\s*\S+`, `["'][\w@/.-]+["']\s*:\s*\[?\s*["']?(?:error|warn|2|1)\b`, `(?i)\b(?:strict\w*|no(?:Implicit|Unused|Unchecked)\w*|enabled|checkJs|warn_\w+|disallow_\w+|check_untyped_defs)["']?\s*[:=]\s*["']?(?:true|True|yes)\b`, `(?i)^\s*-?\s*["']?(?:select|extend-select|enable|enable-all|extends|plugins|rules|selected)["']?\s*[:=]`, `["'](?:deny|forbid|error)["']`, `\bTreatWarningsAsErrors>\s*true`, `^\s*-?\s*-W\w+`, `--(?:strict|max-warnings|cov-fail-under)\b`,
	)
	// onlyCheckers hold nothing but a checker's settings: they don't go away.
	onlyCheckers = []string{
		".eslintrc*", "eslint.config.*", "biome.json*", ".oxlintrc*", "tslint.json", ".stylelintrc*", ".golangci.*", ".flake8", ".pylintrc", "pylintrc", "ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini", "pyrightconfig.json", ".bandit", ".rubocop*", "clippy.toml", "checkstyle*.xml", "pmd*.xml",
		"phpstan*.neon*", "psalm*.xml", "phpcs*.xml*", "phpunit*.xml*", ".swiftlint.yml", ".credo.exs", ".hadolint.y*ml", ".yamllint*", ".clang-tidy", ".pre-commit-config.yaml", "jest.config.*", "vitest.config.*", "pytest.ini", ".coveragerc", "codecov.y*ml", ".codecov.y*ml", ".nycrc*", ".gitleaks.toml", "deny.toml", ".prettierrc*", ".editorconfig", ".mocharc*", "karma.conf.*", "cypress.config.*", "playwright.config.*",
	}
	ignoreFiles = []string{".*ignore", ".trivyignore*", ".eslintignore", ".prettierignore", ".snyk", "*baseline*.neon", "*baseline*.xml", "*baseline*.json", ".rubocop_todo.yml", ".secrets.baseline"}
)

// checksKept: no checker is told to look away, in the code, in its settings, or in what runs it.
func checksKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		if isProse(c.Path()) {
			continue
		}
		if why := silenced(c); why != "" {
			out = append(out, Finding{ReasonSilenced, c.Path(), why})
		}
	}
	return out
}

func silenced(c change) string {
	if c.is(onlyCheckers...) && (c.IsDelete || c.IsRename) {
		return "a checker's settings are not removed"
	}
	if c.IsDelete {
		return ""
	}
	if found := c.newWords(suppressions); len(found) > 0 {
		return fmt.Sprintf("a checker is told to look away: %q", clip(found[0]))
	}
	if found := c.newLines(surrenders); len(found) > 0 {
		return fmt.Sprintf("a failure would pass: %q", clip(found[0]))
	}
	if c.is("package.json", "composer.json") {
		if found := append(surplusLines(c.removed, c.added, scripts), surplusLines(c.added, c.removed, scripts)...); len(found) > 0 && !c.reformatted() {
			return fmt.Sprintf("what a check runs is not changed: %q", clip(found[0]))
		}
	}
	if c.is(manifests...) {
		if found := c.newLines(manifestLess); len(found) > 0 {
			return fmt.Sprintf("a checker would check less: %q", clip(found[0]))
		}
	}
	if !c.is(checkerFiles...) {
		if c.is(ignoreFiles...) && !c.is(".gitignore", ".dockerignore", ".npmignore") && len(c.added) > 0 && !c.reformatted() {
			return "a checker's list of exceptions is not extended"
		}
		return ""
	}
	if found := c.newLines(checkLess); len(found) > 0 {
		return fmt.Sprintf("a checker would check less: %q", clip(found[0]))
	}
	if c.reformatted() || !c.is(onlyCheckers...) && !c.is("tsconfig*.json") {
		return ""
	}
	if before, after := surplusLines(c.removed, c.added, checkEntry), surplusLines(c.added, c.removed, checkEntry); len(before) > len(after) {
		return fmt.Sprintf("a check is no longer asked for: %q", clip(before[0]))
	}
	return ""
}
