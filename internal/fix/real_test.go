package fix

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// workplace runs plans with the real tools, as a runner would but without a sandbox: it keeps the promises that a
// script depends on (what a step sees, which caches, no network) by other means.
type workplace struct {
	t      *testing.T
	tree   string
	caches string
	// committed says that the tree has a .git, as a runner's has.
	committed bool
	// checkCommand is the check that the repository's settings name.
	checkCommand string
	locks        []func()
}

func newWorkplace(t *testing.T, files map[string]string) *workplace {
	t.Helper()
	w := &workplace{t: t, tree: t.TempDir(), caches: t.TempDir()}
	for name, text := range files {
		w.write(name, text)
	}
	return w
}

func (w *workplace) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.tree, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workplace) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.tree, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	return string(data)
}

func (w *workplace) snapshot() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(w.tree, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(w.tree, path)
		if err != nil {
			return err
		}
		out[name] = w.read(name)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// run returns the output and the exit status of a step.
func (w *workplace) run(s Step) (string, int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	w.seed(s)
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", s.Script)
	cmd.WaitDelay = time.Second
	cmd.Dir = w.tree
	if s.Tree == AccessNone {
		cmd.Dir = w.t.TempDir()
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + w.temp()}
	if s.Network {
		for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "HTTPS_PROXY", "https_proxy", "GOPROXY", "npm_config_registry"} {
			if v, ok := os.LookupEnv(name); ok {
				cmd.Env = append(cmd.Env, name+"="+v)
			}
		}
	} else {
		// Nothing listens there, so whatever asks the network fails at once.
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
			cmd.Env = append(cmd.Env, name+"=http://127.0.0.1:1")
		}
	}
	for name, data := range s.Files {
		path := filepath.Join(cmd.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, c := range s.Caches {
		dir := w.cache(c)
		cmd.Env = append(cmd.Env, c.Env+"="+dir)
	}
	out, err := cmd.CombinedOutput()
	w.unlock()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (w *workplace) plan(rep failure.Report, fixer string) Plan {
	w.t.Helper()
	p, err := w.tryPlan(rep, fixer)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *workplace) tryPlan(rep failure.Report, fixer string) (Plan, error) {
	w.t.Helper()
	c := mustLoad(w.t)
	var files []string
	for name := range w.snapshot() {
		files = append(files, name)
	}
	goVersion, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	in := Inputs{Report: rep, RepositoryID: "42", RepoFiles: files, Files: map[string][]byte{}, Tools: tools(), Check: w.checkCommand}
	in.Tools["go"] = strings.TrimSpace(string(goVersion))
	maps.Copy(in.Tools, installedTools(w.t))
	for _, m := range c.Match(rep, files) {
		if m.Fixer == fixer {
			in.Match = m
		}
	}
	if in.Match.Fixer == "" {
		w.t.Fatalf("%s does not match %+v", fixer, rep)
	}
	for _, name := range c.Wants(in.Match, files) {
		in.Files[name] = []byte(w.read(name))
	}
	return c.Plan(in)
}

// prove runs a plan the way it is meant: the check is red on the tree as it was, the fix touches only what it may,
// and the check is green after. It returns the files that changed.
func (w *workplace) prove(p Plan) map[string]string {
	w.t.Helper()
	if p.Prepare != nil {
		if out, code := w.run(*p.Prepare); code != 0 {
			w.t.Fatalf("prepare ended with %d: %s", code, out)
		}
	}
	before := w.snapshot()
	if out, code := w.run(p.Fix); code != 0 {
		w.t.Fatalf("the fix ended with %d: %s", code, out)
	}
	after := w.snapshot()
	changed := map[string]string{}
	for name, text := range after {
		if before[name] != text {
			changed[name] = text
			if !p.MayTouch(name) {
				w.t.Errorf("the fix touched %s", name)
			}
		}
	}
	// The red check runs after the fix has filled the cache, on the tree as it was.
	red := &workplace{t: w.t, tree: w.t.TempDir(), caches: w.caches}
	for name, text := range before {
		red.write(name, text)
	}
	if w.committed {
		red.commit()
		w.commit()
	}
	if out, code := red.run(p.Check); code <= 0 || code == CannotRun {
		w.t.Errorf("the check on the tree as it was ended with %d: %s", code, out)
	}
	if out, code := w.run(p.Check); code != 0 {
		w.t.Errorf("the check after the fix ended with %d: %s", code, out)
	}
	if !w.t.Failed() {
		proved.Store(p.Fixer, true)
	}
	return changed
}

const redGo = "package m\n\nfunc  F( ) {\n}\n"

func TestGofmtTurnsAModuleGreen(t *testing.T) {
	w := newWorkplace(t, map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.22\n", "a.go": redGo, "sub/ok.go": "package sub\n", "vendor/x/v.go": redGo, "testdata/t.go": redGo,
		"-x.go": redGo, "a;touch pwned;b.go": redGo, "new\nline.go": redGo, "it's $(touch pwned).go": redGo, "readme.md": "x",
	})
	p := w.plan(report(`test -z "$(find . -name '*.go' | xargs gofmt -l)"`), "gofmt")
	if p.CheckFrom != CheckFromFixer || len(p.Files) != 0 {
		t.Fatalf("%+v", p)
	}
	changed := w.prove(p)
	if len(changed) != 5 || changed["a.go"] != "package m\n\nfunc F() {\n}\n" {
		t.Errorf("%q", changed)
	}
}

func TestGofmtTouchesOnlyTheFilesThatTheFailureNames(t *testing.T) {
	hostile := []string{"-x.go", "a;touch pwned;b.go", "it's $(touch pwned).go", "new\nline.go"}
	files := map[string]string{"go.mod": "module example.com/m\n\ngo 1.22\n", "left.go": redGo}
	for _, name := range hostile {
		files[name] = redGo
	}
	w := newWorkplace(t, files)
	rep := report(`test -z "$(gofmt -s -l .)"`)
	rep.Files = hostile
	p := w.plan(rep, "gofmt")
	if out, code := w.run(p.Fix); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	after := w.snapshot()
	for _, name := range hostile {
		if after[name] == redGo {
			t.Errorf("%q was not formatted", name)
		}
	}
	if after["left.go"] != redGo || len(after) != len(files) {
		t.Errorf("another file was touched: %q", after)
	}
	// The known check looks at the whole tree, so what the failure didn't name keeps it red.
	if out, code := w.run(p.Check); code != 1 || p.CheckFrom != CheckFromLog {
		t.Errorf("%d: %s", code, out)
	}
}

func TestGofmtOnAFileThatDoesNotParseCannotTell(t *testing.T) {
	w := newWorkplace(t, map[string]string{"go.mod": "module m\n\ngo 1.22\n", "a.go": "package m\nfunc {"})
	if out, code := w.run(w.plan(report("gofmt -l . | grep ."), "gofmt").Check); code != CannotRun {
		t.Errorf("%d: %s", code, out)
	}
}

const usesUUID = "package m\n\nimport \"github.com/google/uuid\"\n\nvar _ = uuid.New\n"

func TestGoModTidyTurnsAModuleGreenWithoutANetworkAtTheCheck(t *testing.T) {
	const want = "module example.com/m\n\ngo 1.22\n\nrequire github.com/google/uuid v1.6.0\n"
	for name, gomod := range map[string]string{
		"a requirement that nothing uses": "module example.com/m\n\ngo 1.22\n\nrequire (\n\tgithub.com/google/uuid v1.6.0\n\tgithub.com/pkg/errors v0.9.1\n)\n",
		"no sums":                         want,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkplace(t, map[string]string{"sub/go.mod": gomod, "sub/m.go": usesUUID, "readme.md": "x"})
			p := w.plan(report("cd sub && go mod tidy -diff"), "go-mod-tidy")
			changed := w.prove(p)
			if w.read("sub/go.mod") != want || !strings.Contains(changed["sub/go.sum"], "github.com/google/uuid v1.6.0 h1:") {
				t.Errorf("%q", changed)
			}
			if p.CheckFrom != CheckFromLog {
				t.Errorf("%+v", p)
			}
		})
	}
	t.Run("an import that go.mod lacks, by the fixer's own check", func(t *testing.T) {
		t.Parallel()
		w := newWorkplace(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.22\n", "m.go": usesUUID})
		p := w.plan(report("make tidy-check", "go.mod is not tidy"), "go-mod-tidy")
		if changed := w.prove(p); !strings.Contains(changed["go.mod"], "github.com/google/uuid v1.") || p.CheckFrom != CheckFromFixer {
			t.Errorf("%q", changed)
		}
	})
}

func TestGoModTidyWithoutItsModulesCannotTell(t *testing.T) {
	w := newWorkplace(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.22\n", "m.go": usesUUID})
	p := w.plan(report("make", "run go mod tidy"), "go-mod-tidy")
	if out, code := w.run(p.Check); code != CannotRun {
		t.Errorf("on an empty cache the check ended with %d: %s", code, out)
	}
}

const hostileConfig = "require('fs').writeFileSync(process.env.CANARY || 'canary', 'x');\nmodule.exports = { semi: false };\n"

func TestPrettierTurnsARepositoryGreenAtItsOwnVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.3.3", "2.8.8"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorkplace(t, map[string]string{
				"package.json":      `{ "devDependencies": { "prettier": "^` + version[:1] + `.0.0" } }` + "\n",
				"package-lock.json": `{"lockfileVersion":3,"packages":{"node_modules/prettier":{"version":"` + version + `"}}}`,
				".prettierrc.json":  "{ \"semi\": false }\n", ".prettierignore": "package-lock.json\n",
				".npmrc":   "registry=http://127.0.0.1:1/\nignore-scripts=false\nnode-options=--require ./evil.js\n",
				"evil.js":  "require('fs').writeFileSync('/dev/stderr', 'evil');\n",
				"src/a.ts": "const  a = 1;\n", "src/-b.ts": "const  b = 1;\n", "src/c d $(touch pwned).ts": "const  c = 1;\n", "src/[id].ts": "const  d = 1;\n", "-top.ts": "let  x\n", "other.ts": "let  y\n",
			})
			p := w.plan(report("npx prettier --check src ./-top.ts", "[warn] src/-b.ts", "[warn] src/a.ts", "[warn] src/c d $(touch pwned).ts", "[warn] src/[id].ts", "[warn] -top.ts",
				"[warn] Code style issues found in 5 files. Run Prettier with --write to fix."), "prettier")
			if p.CheckFrom != CheckFromFixer && p.CheckFrom != CheckFromLog {
				t.Fatalf("%+v", p)
			}
			changed := w.prove(p)
			want := map[string]string{
				"src/a.ts": "const a = 1\n", "src/-b.ts": "const b = 1\n", "src/c d $(touch pwned).ts": "const c = 1\n", "src/[id].ts": "const d = 1\n", "-top.ts": "let x\n",
			}
			if diff := cmp.Diff(want, changed); diff != "" {
				t.Error(diff)
			}
			if out, _ := w.run(Step{Script: strings.Replace(p.Check.Script, "-e -c", "-e -c 'npx prettier --version' #", 1), Tree: AccessRead, Caches: p.Check.Caches}); !strings.Contains(out, version) && p.CheckFrom == CheckFromLog {
				t.Errorf("npx runs %s", out)
			}
		})
	}
}

func TestAConfigurationProgramRunsOnlyWhereThereIsNoNetwork(t *testing.T) {
	t.Parallel()
	program := strings.Replace(hostileConfig, "require('fs')", "process.binding && globalThis.process.mainModule.constructor._load('fs')", 1)
	w := newWorkplace(t, map[string]string{
		"package.json": "{ \"devDependencies\": { \"prettier\": \"3.3.3\" } }\n", ".prettierrc.js": program, "a.ts": "const  a = 1;\n",
	})
	p := w.plan(report("npx prettier --check a.ts", "[warn] a.ts"), "prettier")
	if p.Fix.Network || p.Check.Network || p.Prepare.Tree != AccessNone {
		t.Fatalf("%+v", p)
	}
	if out, code := w.run(*p.Prepare); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	if w.read("canary") != "" {
		t.Error("the step with network ran the repository's configuration")
	}
	// The same step in the tree itself, had it been given one, would not have run it either.
	atTree := *p.Prepare
	atTree.Tree = AccessRead
	if out, code := w.run(atTree); code != 0 || w.read("canary") != "" {
		t.Errorf("%d: %s", code, out)
	}
	if out, code := w.run(p.Fix); code != 0 || w.read("a.ts") != "const a = 1\n" {
		t.Errorf("%d: %s", code, out)
	}
	if w.read("canary") == "" {
		t.Error("the configuration never ran, so this test proves nothing")
	}
}

func TestPrettierUsesTheArgumentsOfTheFailingCommand(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t, map[string]string{
		"web/package.json": `{ "devDependencies": { "prettier": "3.3.3" }, "scripts": { "format-check": "prettier --check **/*.ts" } }` + "\n",
		"web/src/a.ts":     "const  a = 1\n", "web/src/b.js": "const  b = 1\n",
	})
	p := w.plan(report("npm run format-check"), "prettier")
	changed := w.prove(p)
	if diff := cmp.Diff(map[string]string{"web/src/a.ts": "const a = 1;\n"}, changed); diff != "" {
		t.Error(diff)
	}
	if p.CheckCommand != "prettier --check **/*.ts" || p.CheckFrom != CheckFromLog {
		t.Errorf("%+v", p)
	}
}
