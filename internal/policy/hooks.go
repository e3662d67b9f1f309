package policy

import (
	"fmt"
	"regexp"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// hooks are the lines by which a package's installation, a build or a checkout runs something, by ecosystem.
var hooks = []struct {
	what  string
	files []string
	lines *regexp.Regexp
}{
	{"npm", []string{"package.json"}, anyOf(
		`"(?:(?:pre|post)?(?:install|prepare|prepublish)|prepublishOnly|(?:pre|post)(?:pack|publish|uninstall|version|shrinkwrap))"\s*:`,
		`"gypfile"\s*:`, `"(?:trustedDependencies|onlyBuiltDependencies|neverBuiltDependencies|allowScripts|allowedScripts|simple-git-hooks|husky)"\s*:`,
		`"(?:built|unplugged|dangerouslyAllowAllBuilds)"\s*:\s*true`,
	)},
	{"npm lock file", []string{"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml"}, anyOf(`"hasInstallScript"\s*:\s*true`, `\brequiresBuild:\s*true`)},
	{"pnpm", []string{"pnpm-workspace.yaml"}, anyOf(`^\s*(?:onlyBuiltDependencies|dangerouslyAllowAllBuilds|allowBuilds|pnpmfile)\s*:`)},
	{"Python", []string{"setup.py"}, anyOf(
		`\bcmdclass\b`, `\bext_modules\b`, `\bsetup_requires\b`, `\b(?:os\.(?:system|popen|exec\w*|spawn\w*)|subprocess|urllib|requests|socket|ctypes|pty)\b`,
		`\b(?:exec|eval|compile|__import__)\s*\(`, `\bclass\s+\w+\(.*(?:install|develop|build\w*|egg_info|sdist|Command)\b.*\)`, `\bimport\s+(?:os|base64|marshal)\b`,
	)},
	{"Python", []string{"pyproject.toml", "setup.cfg"}, anyOf(
		`^\s*(?:build-backend|backend-path|cmdclass|setup_hooks)\b`, `\[tool\.hatch\.(?:build|metadata)\.hooks`, `\[tool\.(?:poetry\.build|setuptools\.cmdclass|pdm\.build|pdm\.scripts)`, `\[(?:\w+\.)*hooks?(?:\.\w+)*\]`,
	)},
	{"Cargo", []string{"Cargo.toml"}, anyOf(`^\s*build\s*=`, `\[(?:\w+\.)*build-dependencies`, `^\s*(?:links|proc-macro)\s*=`)},
	{"Cargo build script", []string{"build.rs"}, anyOf(`\S`)},
	{"Maven", []string{"pom.xml"}, anyOf(
		`\b(?:exec|antrun|groovy|gmaven(?:plus)?|gmavenplus|frontend|invoker|scripting|truezip|download|wagon)-maven-plugin\b`, `\bmaven-(?:antrun|invoker|scripting)-plugin\b`, `\bgmavenplus-plugin\b`,
		`<extensions>\s*true`, `<extension>`, `<executable>`, `<(?:exec|java|script|source)\b[^>]*>`, `<annotationProcessor`,
	)},
	{"Gradle", []string{"*.gradle", "*.gradle.kts"}, anyOf(
		`\bexec\s*\{`, `\bjavaexec\s*\{`, `\bcommandLine\b`, `\bexecutable\b`, `\btype\s*:\s*(?:Exec|JavaExec)\b`, `<(?:Exec|JavaExec)>`, `\((?:Exec|JavaExec)(?:::class|\.class)?\b`,
		`\.execute\s*\(`, `ProcessBuilder`, `Runtime\.getRuntime`, `\bapply\s*\(?\s*from\b`, `\bbuildscript\s*\{`, `\b(?:initscript|evaluate\s*\()`, `\bURL\s*\(`, `\.toURL\(`, `\bClass\.forName`, `\.exec\s*\(`, `GroovyShell`,
	)},
	{"composer", []string{"composer.json"}, anyOf(
		`"(?:pre|post)-[a-z-]+"\s*:`, `"allow-plugins"\s*:`, `"type"\s*:\s*"composer-(?:plugin|installer)"`, `"plugin-(?:modifies|optional)[^"]*"\s*:`, `"@php |"@composer `,
	)},
	{"Ruby", []string{"*.gemspec", "Gemfile", "gems.rb", "Rakefile"}, anyOf(
		`\bextensions\b`, `\bsystem\s*\(?\s*["']`, "`[^`]+`", `%x[({\[]`, `\bexec\s*\(?\s*["']`, `\b(?:eval_gemfile|instance_eval|eval|IO\.popen|Open3|Kernel\.)\b`, `\bplugin\s+["']`, `\bpost_install_message\b`,
	)},
	{"Ruby extension", []string{"extconf.rb"}, anyOf(`\S`)},
	{"node-gyp", []string{"binding.gyp"}, anyOf(`\S`)},
	{".NET", []string{"*.csproj", "*.fsproj", "*.vbproj", "*.props", "*.targets", "*.proj", "*.nuspec"}, anyOf(
		`<Exec\b`, `<UsingTask\b`, `<Target\b`, `<Import\b`, `<(?:Pre|Post)BuildEvent\b`, `<(?:InlineTask|Code)\b`, `RoslynCodeTaskFactory|CodeTaskFactory`,
	)},
	{"NuGet", []string{"install.ps1", "init.ps1", "uninstall.ps1"}, anyOf(`\S`)},
	{"CocoaPods", []string{"Podfile", "*.podspec"}, anyOf(`\bprepare_command\b`, `\bscript_phases?\b`, `\b(?:pre|post)_(?:install|integrate)\b`, `\bsystem\s*\(`, "`[^`]+`", `\bplugin\s+["']`)},
	{"Swift", []string{"Package.swift"}, anyOf(`\.plugin\(`, `\bunsafeFlags\b`, `\bProcess\(`)},
	{"Elixir", []string{"mix.exs"}, anyOf(`\bcompilers\s*:`, `\bSystem\.(?:cmd|shell)\b`, `:os\.cmd`, `\baliases\s*:`, `Code\.eval`)},
	{"Dart", []string{"hook/build.dart", "**/hook/build.dart"}, anyOf(`\S`)},
	{"Go", []string{"*.go"}, anyOf(`^\s*//go:(?:generate|linkname)\b`, `^\s*(?://)?\s*#cgo\b`)},
	{"pre-commit", []string{".pre-commit-config.yaml", ".pre-commit-hooks.yaml"}, anyOf(`^\s*-?\s*entry\s*:`, `^\s*-?\s*(?:additional_dependencies|language)\s*:`, `^\s*-?\s*repo\s*:\s*local\b`)},
	{"git attributes", []string{".gitattributes"}, anyOf(`\b(?:filter|diff|merge)\s*=\s*\S`)},
	{"container image", []string{"Dockerfile*", "*.Dockerfile", "Containerfile*"}, anyOf(`^\s*ONBUILD\b`, `--security[= ]insecure`, `--mount=type=secret`)},
}

// fetchAndRun is code from the network that is run as it comes.
var fetchAndRun = anyOf(
	`\b(?:curl|wget|fetch|iwr|irm|Invoke-WebRequest|Invoke-RestMethod)\b[^|;&]*\|\s*(?:sudo\s+)?(?:\S*/)?(?:ba|da|z|k|a)?sh\b`,
	`\b(?:curl|wget|iwr|irm)\b[^|;&]*\|\s*(?:sudo\s+)?(?:python\d?|perl|ruby|node|php|iex|Invoke-Expression)\b`,
	`\b(?:ba|z|da|k)?sh\s+(?:-c\s+)?["']?(?:<\(|\$\()\s*(?:curl|wget)\b`, `\b(?:source|eval|\.)\s+["']?(?:<\(|\$\()\s*(?:curl|wget)\b`,
	`base64\s+(?:-d|-D|--decode)\b[^|;&]*\|\s*(?:ba|da|z)?sh\b`, `core\.hooksPath`,
)

// hooksAbsent: the patch adds or changes nothing that runs by itself when somebody installs, builds or checks out.
func hooksAbsent(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		if isProse(c.Path()) {
			continue
		}
		if c.IsNew && c.is("setup.py") {
			out = append(out, Finding{ReasonHook, c.Path(), "a new setup.py runs at installation"})
			continue
		}
		if c.OldPath != c.NewPath && c.is("build.rs", "binding.gyp", "extconf.rb", "setup.py") && !c.IsDelete && !c.IsNew {
			out = append(out, Finding{ReasonHook, c.Path(), "a file of this name is run by a build or an installation"})
			continue
		}
		for _, hook := range hooks {
			if !c.is(hook.files...) {
				continue
			}
			if found := c.newLines(hook.lines); len(found) > 0 {
				out = append(out, Finding{ReasonHook, c.Path(), fmt.Sprintf("%s: %q may run something", hook.what, clip(found[0]))})
				break
			}
		}
		if found := c.newLines(fetchAndRun); len(found) > 0 {
			out = append(out, Finding{ReasonHook, c.Path(), fmt.Sprintf("%q runs what the network gives it", clip(found[0]))})
		}
	}
	return out
}
