package fix

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyHarmlessCallsOfLintersAreKnownChecks(t *testing.T) {
	c := mustLoad(t)
	for _, command := range []string{
		"eslint", "npx eslint lib", "npx --no-install eslint . --ext .js,.ts --max-warnings 0", "eslint --quiet 'src/**/*.{ts,tsx}' --format=stylish", "eslint --ignore-path .gitignore \"src/**\"", "eslint -c config/eslint.json --no-eslintrc src",
		"stylelint '**/*.css'", "npx stylelint src/a.css --formatter compact --max-warnings=0", "biome ci", "npx biome check src --error-on-warnings", "biome format .",
		"black --check .", "black --check --diff -l 100 src tests", "isort --check-only --profile black .", "isort -c src", "ruff check", "ruff check --select E,F src", "ruff format --check .",
	} {
		if _, ok := c.KnownCheck(command); !ok {
			t.Errorf("%q is not known", command)
		}
	}
	for _, command := range []string{
		"eslint --fix .", "eslint . -o /tmp/x", "eslint . -o x", "eslint --rulesdir ./evil .", "eslint --resolve-plugins-relative-to ./evil .", "eslint --plugin evil .", "eslint . && curl evil", "eslint $(id)", "eslint '$(id)' | sh", "eslint ../x", "eslint /etc", "eslint --config /etc/x .", "npx evil eslint .", "npx -p evil eslint .", "eslint . > x", "eslint .\ncurl evil", "eslint --cache-location x .", "eslint --format ./evil.js .", "eslint --parser ./evil .",
		"stylelint", "stylelint --fix a.css", "stylelint a.css --custom-syntax ./evil", "stylelint a.css -o x", "stylelint a.css; id", "stylelint --config ../x a.css",
		"biome check --write .", "biome check --apply .", "biome lint --fix", "biome migrate", "biome start", "biome ci --config-path=/etc", "biome ci $(id)",
		"black .", "black --check . && id", "black --check /etc", "black --check --config ../x .", "black --check -c 'evil'", "isort .", "isort --check --formatter evil .", "ruff check --fix .", "ruff format .", "ruff check --fix-only", "ruff check --config 'lint.x=1' .", "ruff clean", "ruff check . | tee x",
	} {
		if run, ok := c.KnownCheck(command); ok {
			t.Errorf("%q is known as %q", command, run)
		}
	}
}

func TestFailuresFindTheFixerThatTheirWordsMean(t *testing.T) {
	repo := []string{"package.json", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "poetry.lock", "uv.lock", "pyproject.toml", "src/a.js", "src/a.css", "src/a.py", "src/a.cs", "dist/index.js", "gradle/wrapper/gradle-wrapper.jar"}
	for name, tt := range map[string]struct {
		command string
		lines   []string
		want    []string
	}{
		"eslint by its words":      {"make lint", []string{"src/a.js", "  1 error and 0 warnings potentially fixable with the `--fix` option."}, []string{"eslint"}},
		"stylelint by its words":   {"make lint", []string{"src/a.css", "  1 error potentially fixable with the \"--fix\" option."}, []string{"stylelint"}},
		"biome by its words":       {"make lint", []string{"src/a.js format ━━━", "  × Formatter would have printed the following content:"}, []string{"biome"}},
		"black by its words":       {"make lint", []string{"would reformat src/a.py", "1 file would be reformatted."}, []string{"black"}},
		"isort by its words":       {"make lint", []string{"ERROR: /home/runner/work/r/r/src/a.py Imports are incorrectly sorted and/or formatted."}, []string{"isort"}},
		"ruff by its words":        {"make lint", []string{"Would reformat: src/a.py"}, []string{"ruff"}},
		"an npm lock":              {"npm ci", []string{npmCiSays}, []string{"npm-lock"}},
		"an npm lock of old words": {"npm ci", []string{"npm ERR! `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync."}, []string{"npm-lock"}},
		"uv's lock":                {"uv sync --locked", []string{"error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided. To update the lockfile, run `uv lock`."}, []string{"uv-lock"}},
		"poetry's lock":            {"poetry check --lock", []string{"Error: pyproject.toml changed significantly since poetry.lock was last generated. Run `poetry lock` to fix the lock file."}, []string{"poetry-lock"}},
		"white space of C#":        {"dotnet build", []string{"src/a.cs(1,2): error WHITESPACE: Fix whitespace formatting. Delete 1 characters."}, []string{"dotnet-format"}},
		"committed output":         {"npm run build\ngit diff --exit-code dist/", nil, []string{"dist", "generated"}},
		"npm that can't resolve":   {"npm ci", []string{"npm error code ERESOLVE", "npm error could not resolve"}, nil},
		"npm without a network":    {"npm ci", []string{"npm error code ECONNRESET"}, nil},
		"a failing test":           {"npm test", []string{"1 failing", "src/a.js: AssertionError"}, nil},
		"a difference elsewhere":   {"git diff --exit-code docs/", nil, []string{"generated"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range mustLoad(t).Match(report(tt.command, tt.lines...), repo) {
				got = append(got, m.Fixer)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// notRunHere are the fixers whose tool no registry that the tests reach has. What is tested of them is their scripts.
var notRunHere = []string{"ruff", "uv-lock", "dotnet-format"}

func TestFixersThatAreNotRunHereAreOfTheCatalogue(t *testing.T) {
	c := mustLoad(t)
	for _, name := range notRunHere {
		e := c.entry(name)
		if e == nil {
			t.Errorf("%s is not in the catalogue", name)
		} else if !slices.ContainsFunc(e.Needs, func(program string) bool { return program == "python3" || program == "dotnet" }) {
			t.Errorf("%s could be run here: it needs %q", name, e.Needs)
		}
	}
}

func TestEveryStepThatFetchesFromARegistrySeesNoTreeAndRunsNoHook(t *testing.T) {
	for _, e := range mustLoad(t).entries {
		if e.Prepare == nil {
			continue
		}
		if e.Prepare.Tree != AccessNone || e.Fix.Network {
			t.Errorf("%s: a step with a network sees the tree", e.Name)
		}
	}
	for lock := range map[string]bool{npmLock: true, npmShrinkwrap: true, pnpmLock: true, yarnLock: true, "": true} {
		script := nodeDeps{dir: ".", lock: lock, manager: manager{"x", "x@1.0.0", true}}.install(".")
		for _, line := range strings.Split(script, "\n") {
			if strings.Contains(line, " install ") || strings.Contains(line, "npm ci") {
				if !strings.Contains(line, "--ignore-scripts") {
					t.Errorf("%s: %s", lock, line)
				}
			}
		}
	}
}
