package fix

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// npmLockOf asks npm for the lock file of a package.json.
func npmLockOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--userconfig=/dev/null", "--cache="+t.TempDir())
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// hooks are install scripts that would leave a mark wherever they ran.
const hooks = `"preinstall": "touch \"$SRE_DEPS/pwned\" pwned", "postinstall": "touch \"$SRE_DEPS/pwned\" pwned", "prepare": "touch \"$SRE_DEPS/pwned\" pwned"`

func (w *workplace) noHookRan() {
	w.t.Helper()
	if marks, _ := filepath.Glob(filepath.Join(w.caches, "*", "pwned")); len(marks) > 0 || w.read("pwned") != "" {
		w.t.Error("an install script ran")
	}
	if left, _ := filepath.Glob(filepath.Join(w.caches, "*", "tree", "pwned")); len(left) > 0 {
		w.t.Error("an install script ran")
	}
}

const (
	eslintPackage = `{ "name": "x", "devDependencies": { "eslint": "9.39.1", "eslint-plugin-simple-import-sort": "12.1.1" }, "scripts": { "lint": "eslint src --max-warnings 0", ` + hooks + ` } }` + "\n"
	eslintConfig  = "import sort from 'eslint-plugin-simple-import-sort'\nexport default [{ plugins: { sort }, rules: { 'sort/imports': 'error', 'no-extra-boolean-cast': 'error', 'no-undef': 'off' } }]\n"
	redImports    = "import b from 'b'\nimport a from 'a'\na(b)\n"
	greenImports  = "import a from 'a'\nimport b from 'b'\na(b)\n"
)

func TestEslintWithAPluginTurnsARepositoryGreen(t *testing.T) {
	t.Parallel()
	manifest := map[string]string{"package.json": eslintPackage}
	w := newWorkplace(t, map[string]string{
		"package.json": eslintPackage, "package-lock.json": npmLockOf(t, manifest), "eslint.config.mjs": eslintConfig,
		".npmrc":   "registry=http://127.0.0.1:1/\nignore-scripts=false\nscript-shell=./evil.sh\n",
		"src/a.js": redImports, "src/-b $(touch pwned).js": redImports, "src/ok.js": greenImports, "other/left.js": redImports,
	})
	p := w.plan(report("npm ci\nnpm run lint", "/home/runner/work/r/r/src/-b $(touch pwned).js", "  1:1  error  Run autofix to sort these imports!  sort/imports",
		"/home/runner/work/r/r/src/a.js", "  1:1  error  Run autofix to sort these imports!  sort/imports",
		"✖ 2 problems (2 errors, 0 warnings)", "  2 errors and 0 warnings potentially fixable with the `--fix` option."), "eslint")
	if p.CheckFrom != CheckFromLog || p.CheckCommand != "eslint src --max-warnings 0" {
		t.Errorf("%+v", p)
	}
	changed := w.prove(p)
	if diff := cmp.Diff(map[string]string{"src/a.js": greenImports, "src/-b $(touch pwned).js": greenImports}, changed); diff != "" {
		t.Error(diff)
	}
	w.noHookRan()
}

func TestEslintInAWorkspaceUsesTheLockAtTheRoot(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"package.json":                `{ "name": "x", "private": true, "workspaces": ["packages/*"] }` + "\n",
		"packages/a/package.json":     `{ "name": "@acme/a", "version": "1.0.0", "devDependencies": { "eslint": "9.39.1", "@acme/rules": "1.0.0" } }` + "\n",
		"packages/rules/package.json": `{ "name": "@acme/rules", "version": "1.0.0", "type": "module", "main": "index.js", "dependencies": { "eslint-plugin-simple-import-sort": "12.1.1" } }` + "\n",
	}
	lock := npmLockOf(t, files)
	files["package-lock.json"], files["packages/rules/index.js"] = lock, eslintConfig
	files["packages/a/eslint.config.mjs"] = "export { default } from '@acme/rules'\n"
	files["packages/a/src/a.js"], files["packages/b/b.js"] = redImports, redImports
	w := newWorkplace(t, files)
	p := w.plan(report("npx eslint .", "packages/a/src/a.js", "  1 error and 0 warnings potentially fixable with the `--fix` option."), "eslint")
	changed := w.prove(p)
	if diff := cmp.Diff(map[string]string{"packages/a/src/a.js": greenImports}, changed); diff != "" {
		t.Error(diff)
	}
}

func TestEslintWithThePackagesOfOtherManagers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ manager, command, lock string }{
		{"pnpm@9.8.0", "pnpm install --lockfile-only", pnpmLock},
		{"yarn@1.22.22", "yarn install --ignore-scripts --non-interactive", yarnLock},
	} {
		t.Run(tt.lock, func(t *testing.T) {
			t.Parallel()
			pkg := strings.Replace(eslintPackage, `"name"`, `"packageManager": "`+tt.manager+`", "name"`, 1)
			plain := strings.Replace(pkg, hooks, `"x": "x"`, 1)
			w := newWorkplace(t, map[string]string{
				"package.json": pkg, tt.lock: lockOf(t, plain, tt.manager, tt.command, tt.lock), "eslint.config.mjs": eslintConfig, "src/a.js": redImports, "left.js": redImports,
			})
			changed := w.prove(w.plan(report("npx eslint src", "src/a.js", "  1 error and 0 warnings potentially fixable with the `--fix` option."), "eslint"))
			if diff := cmp.Diff(map[string]string{"src/a.js": greenImports}, changed); diff != "" {
				t.Error(diff)
			}
			w.noHookRan()
		})
	}
}

func TestEslintWithoutItsPackagesCannotTell(t *testing.T) {
	w := newWorkplace(t, map[string]string{"package.json": `{ "devDependencies": { "eslint": "9.39.1" } }`, "a.js": redImports})
	p := w.plan(report("npx eslint a.js"), "eslint")
	if out, code := w.run(p.Check); code != CannotRun {
		t.Errorf("%d: %s", code, out)
	}
}

func TestStylelintTurnsARepositoryGreen(t *testing.T) {
	t.Parallel()
	pkg := `{ "devDependencies": { "stylelint": "16.26.0", "stylelint-config-recommended": "17.0.0" }, "scripts": { "css": "stylelint '**/*.css'", ` + hooks + ` } }` + "\n"
	w := newWorkplace(t, map[string]string{
		"package.json": pkg, "package-lock.json": npmLockOf(t, map[string]string{"package.json": pkg}),
		".stylelintrc.json": `{ "extends": "stylelint-config-recommended", "rules": { "color-hex-length": "short" } }`,
		"a.css":             "a { color: #ffffff; }\n", "it's b.css": "a { color: #ffffff; }\n", "c.css": "a { color: #fff; }\n",
	})
	p := w.plan(report("npm run css", "a.css", "  1:12  ✖  Expected \"#ffffff\" to be \"#fff\"  color-hex-length", "it's b.css", "✖ 2 problems (2 errors, 0 warnings)", "  2 errors potentially fixable with the \"--fix\" option."), "stylelint")
	changed := w.prove(p)
	if diff := cmp.Diff(map[string]string{"a.css": "a { color: #fff; }\n", "it's b.css": "a { color: #fff; }\n"}, changed); diff != "" {
		t.Error(diff)
	}
	w.noHookRan()
}

func TestBiomeTurnsARepositoryGreenAtItsOwnVersion(t *testing.T) {
	t.Parallel()
	for version, config := range map[string]string{"2.3.0": `{ "formatter": { "indentStyle": "space" } }`, "1.7.3": `{ "formatter": { "indentStyle": "space" } }`} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorkplace(t, map[string]string{
				"package.json": `{ "devDependencies": { "@biomejs/biome": "` + version + `" } }` + "\n", "biome.json": config + "\n",
				"src/a.js": "const  a = 1;\nexport default a\n", "src/-b $(touch pwned).js": "const  a = 1;\nexport default a\n", "left.js": "const  a = 1;\nexport default a\n",
			})
			p := w.plan(report("npx @biomejs/biome ci src", "src/a.js format ━━━━━", "  × Formatter would have printed the following content:", "src/-b $(touch pwned).js"), "biome")
			changed := w.prove(p)
			want := "const a = 1;\nexport default a;\n"
			if diff := cmp.Diff(map[string]string{"src/a.js": want, "src/-b $(touch pwned).js": want}, changed); diff != "" {
				t.Error(diff)
			}
			if out, _ := w.run(Step{Script: "PATH=\"$SRE_BIOME/bin:$PATH\" biome --version", Tree: AccessRead, Caches: p.Check.Caches}); !strings.Contains(out, version) {
				t.Errorf("biome says %s", out)
			}
		})
	}
}

func TestNodeToolsAreDeclinedWithTheirReason(t *testing.T) {
	const pkg = `{"devDependencies":{"eslint":"9.0.0","@biomejs/biome":"2.0.0"}}`
	fixable := "  1 error and 0 warnings potentially fixable with the `--fix` option."
	for name, tt := range map[string]struct {
		fixer string
		files map[string]string
		want  string
	}{
		"packages in the tree":        {"eslint", map[string]string{"package.json": pkg, "node_modules/eslint/package.json": "{}"}, ReasonVendored},
		"a lock with another host":    {"eslint", map[string]string{"package.json": pkg, "package-lock.json": `{"packages":{"node_modules/eslint":{"version":"9.0.0","resolved":"https://evil.example/eslint.tgz"}}}`}, ReasonForeignSource},
		"a lock with a repository":    {"eslint", map[string]string{"package.json": pkg, "package-lock.json": `{"packages":{"node_modules/x":{"resolved": "git+ssh://git@github.com/a/b.git#abc"}}}`}, ReasonForeignSource},
		"a manifest with an address":  {"eslint", map[string]string{"package.json": `{"devDependencies":{"eslint":"9.0.0","x":"https://evil.example/x.tgz"}}`}, ReasonForeignSource},
		"a manifest with a shorthand": {"eslint", map[string]string{"package.json": `{"devDependencies":{"eslint":"9.0.0","x":"acme/x"}}`}, ReasonForeignSource},
		"a pnpm lock, of which pnpm":  {"eslint", map[string]string{"package.json": pkg, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, ReasonToolVersionUnknown},
		"a pnpmfile":                  {"eslint", map[string]string{"package.json": pkg, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", ".pnpmfile.cjs": "evil()"}, ReasonNeedsInstall},
		"a lock of a newer yarn":      {"eslint", map[string]string{"package.json": pkg, "yarn.lock": "__metadata:\n  version: 8\n"}, ReasonToolVersion},
		"no eslint":                   {"eslint", map[string]string{"package.json": "{}"}, ReasonToolVersionUnknown},
		"a biome plugin":              {"biome", map[string]string{"package.json": pkg, "biome.json": `{"plugins": ["./evil.grit"]}`}, ReasonNeedsPlugins},
		"a biome with shared rules":   {"biome", map[string]string{"package.json": pkg, "biome.json": `{"extends": ["@acme/biome"]}`}, ReasonNeedsPlugins},
		"a biome of the day":          {"biome", map[string]string{"package.json": `{"devDependencies":{"@biomejs/biome":"latest"}}`}, ReasonToolVersionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			tt.files["a.js"] = redImports
			w := newWorkplace(t, tt.files)
			command := map[string]string{"eslint": "npx eslint .", "biome": "npx biome ci ."}[tt.fixer]
			p, err := w.tryPlan(report(command, "a.js", fixable), tt.fixer)
			if reason, _ := fault.Reason(err); reason != tt.want {
				t.Errorf("want %s, got %+v, %v", tt.want, p, err)
			}
		})
	}
}
