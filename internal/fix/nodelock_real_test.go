package fix

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// outOfStep is a manifest that asks for one package more than its lock file knows. The lock holds is-odd 3.0.0 and
// is-number 6.0.0, though a newer is-odd would fit.
const (
	lockedManifest = `{ "name": "x", "version": "1.0.0", "license": "MIT", "dependencies": { "is-odd": "3.0.0" } }` + "\n"
	outOfStep      = `{ "name": "x", "version": "1.0.0", "license": "MIT", "dependencies": { "is-odd": "^3.0.0", "is-even": "1.0.0" }, "scripts": { ` + hooks + ` } }` + "\n"
	npmCiSays      = "npm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync. Please update your lock file with `npm install` before continuing."
)

// wider makes a lock file say the range that the manifest asks for now, so that only is-even is missing.
func wider(lock string) string {
	return strings.NewReplacer(`"is-odd": "3.0.0"`, `"is-odd": "^3.0.0"`, "is-odd@3.0.0:\n  version", "is-odd@^3.0.0:\n  version", "specifier: 3.0.0", "specifier: ^3.0.0").Replace(lock)
}

func npmVersions(t *testing.T, lock string) map[string]string {
	t.Helper()
	var l struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal([]byte(lock), &l); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, p := range l.Packages {
		out[name] = p.Version
	}
	return out
}

func TestAnNpmLockIsBroughtInStepWithoutRaisingOtherVersions(t *testing.T) {
	t.Parallel()
	lock := wider(npmLockOf(t, map[string]string{"package.json": lockedManifest}))
	w := newWorkplace(t, map[string]string{"web/package.json": outOfStep, "web/package-lock.json": lock, "web/.npmrc": "fund=false\nscript-shell=./evil.sh\nnode-options=--require ./evil.js\n", "other/package-lock.json": "{}", "readme.md": "x"})
	p := w.plan(report("cd web && npm ci", "npm error code EUSAGE", npmCiSays, "npm error Missing: is-even@1.0.0 from lock file"), "npm-lock")
	changed := w.prove(p)
	after := changed["web/package-lock.json"]
	if len(changed) != 1 || after == "" {
		t.Fatalf("%q", changed)
	}
	versions := npmVersions(t, after)
	for name, version := range npmVersions(t, lock) {
		if versions[name] != version {
			t.Errorf("%s went from %s to %q", name, version, versions[name])
		}
	}
	if versions["node_modules/is-even"] != "1.0.0" || strings.Count(after, "https://registry.npmjs.org/") != strings.Count(after, `"resolved"`) {
		t.Error(after)
	}
	w.noHookRan()
}

func TestAnNpmLockOfAWorkspaceIsBroughtInStep(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"package.json":            `{ "name": "x", "private": true, "workspaces": ["packages/*"] }` + "\n",
		"packages/a/package.json": strings.Replace(lockedManifest, `"x"`, `"@acme/a"`, 1),
		"packages/b/package.json": `{ "name": "@acme/b", "version": "1.0.0", "dependencies": { "@acme/a": "1.0.0" } }` + "\n",
	}
	lock := wider(npmLockOf(t, files))
	files["package-lock.json"], files["packages/a/package.json"] = lock, strings.Replace(outOfStep, `"x"`, `"@acme/a"`, 1)
	files["packages/a/index.js"] = "x"
	w := newWorkplace(t, files)
	changed := w.prove(w.plan(report("npm ci", npmCiSays), "npm-lock"))
	versions := npmVersions(t, changed["package-lock.json"])
	if len(changed) != 1 || versions["node_modules/is-even"] != "1.0.0" || versions["node_modules/is-odd"]+versions["packages/a/node_modules/is-odd"] != "3.0.0" && versions["node_modules/is-odd"] != "3.0.0" {
		t.Errorf("%q", versions)
	}
	w.noHookRan()
}

func TestARefreshThatWouldNameAnotherAddressFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lock, text string
		bad        bool
	}{
		"npm's registry":         {npmLock, `      "resolved": "https://registry.npmjs.org/a/-/a-1.0.0.tgz",` + "\n      \"url\": \"https://github.com/sponsors/x\"\n", false},
		"npm's other":            {npmLock, `      "resolved": "https://evil.example/a-1.0.0.tgz",` + "\n", true},
		"npm's look-alike":       {npmLock, `      "resolved": "https://registry.npmjs.org.evil.example/a-1.0.0.tgz",` + "\n", true},
		"npm's git":              {npmLock, `      "resolved": "git+ssh://git@github.com/a/b.git#c",` + "\n", true},
		"yarn's registry":        {yarnLock, "  resolved \"https://registry.yarnpkg.com/a/-/a-1.0.0.tgz#f00\"\n", false},
		"yarn's other":           {yarnLock, "  resolved \"https://evil.example/a-1.0.0.tgz#f00\"\n", true},
		"pnpm without addresses": {pnpmLock, "    resolution: {integrity: sha512-x}\n", false},
		"pnpm's tarball":         {pnpmLock, "    resolution: {tarball: https://evil.example/a.tgz}\n", true},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", refuseAddresses(tt.lock))
		cmd.Dir = t.TempDir()
		if err := os.WriteFile(filepath.Join(cmd.Dir, tt.lock), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.CombinedOutput(); (err != nil) != tt.bad {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// lockOf runs another package manager, at the version that the tests use, on a manifest.
func lockOf(t *testing.T, manifest, spec, command, lock string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", "npm install --global --prefix tool --ignore-scripts --loglevel=error "+spec+"\nPATH=\"$PWD/tool/bin:$PATH\"\n"+command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "npm_config_userconfig=/dev/null", "npm_config_cache="+filepath.Join(dir, "cache"), "CI=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, lock))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAPnpmLockIsBroughtInStepByTheRepositorysOwnPnpm(t *testing.T) {
	t.Parallel()
	lock := wider(lockOf(t, lockedManifest, "pnpm@9.8.0", "pnpm install --lockfile-only", "pnpm-lock.yaml"))
	manifest := strings.Replace(outOfStep, `"version"`, `"packageManager": "pnpm@9.8.0", "version"`, 1)
	w := newWorkplace(t, map[string]string{"package.json": manifest, "pnpm-lock.yaml": lock, "other.txt": "x"})
	p := w.plan(report("pnpm install --frozen-lockfile", ` ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with package.json`), "pnpm-lock")
	changed := w.prove(p)
	after := changed["pnpm-lock.yaml"]
	if len(changed) != 1 || !strings.Contains(after, "is-even@1.0.0:") || !strings.Contains(after, "is-odd@3.0.0:") || strings.Contains(after, "3.0.1") || removed(lock, after) > 0 {
		t.Error(after)
	}
	w.noHookRan()
}

func TestAYarnLockIsBroughtInStep(t *testing.T) {
	t.Parallel()
	lock := wider(lockOf(t, lockedManifest, "yarn@1.22.22", "yarn install --ignore-scripts --non-interactive", "yarn.lock"))
	w := newWorkplace(t, map[string]string{"package.json": outOfStep, "yarn.lock": lock, ".yarnrc": "yarn-path \"./evil.js\"\nregistry \"http://127.0.0.1:1/\"\n", "evil.js": "require('fs').writeFileSync('pwned', '')"})
	p := w.plan(report("yarn install --frozen-lockfile", "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`."), "yarn-lock")
	changed := w.prove(p)
	after := changed["yarn.lock"]
	if len(changed) != 1 || !strings.Contains(after, "is-even@1.0.0:") || strings.Contains(after, `"3.0.1"`) || removed(lock, after) > 0 {
		t.Errorf("%q", changed)
	}
	w.noHookRan()
}

// removed counts the lines of a lock file that are gone.
func removed(before, after string) int {
	have := map[string]int{}
	for _, l := range strings.Split(after, "\n") {
		have[l]++
	}
	n := 0
	for _, l := range strings.Split(before, "\n") {
		if have[l]--; have[l] < 0 {
			n++
		}
	}
	return n
}

func TestLocksAreDeclinedWithTheirReason(t *testing.T) {
	const lock, pnpm = `{"lockfileVersion": 3, "packages": {}}`, "lockfileVersion: '9.0'\n"
	for name, tt := range map[string]struct {
		fixer string
		files map[string]string
		want  string
	}{
		"an .npmrc with another registry":   {"npm-lock", map[string]string{"package.json": "{}", "package-lock.json": lock, ".npmrc": "registry=https://evil.example/\n"}, ReasonForeignSource},
		"an .npmrc with a scope's registry": {"npm-lock", map[string]string{"package.json": "{}", "package-lock.json": lock, ".npmrc": " @acme:registry = https://npm.acme.example\n"}, ReasonForeignSource},
		"an .npmrc with a proxy":            {"npm-lock", map[string]string{"package.json": "{}", "package-lock.json": lock, ".npmrc": "https-proxy=http://evil.example\n"}, ReasonForeignSource},
		"a lock of an old npm":              {"npm-lock", map[string]string{"package.json": "{}", "package-lock.json": `{"lockfileVersion": 1}`}, ReasonToolVersion},
		"a lock with another host":          {"npm-lock", map[string]string{"package.json": "{}", "package-lock.json": `{"lockfileVersion":3,"packages":{"a":{"resolved":"http://registry.npmjs.org/a.tgz"}}}`}, ReasonForeignSource},
		"a git dependency":                  {"npm-lock", map[string]string{"package.json": `{"dependencies":{"a":"git+https://evil.example/a"}}`, "package-lock.json": lock}, ReasonForeignSource},
		"one of two folders":                {"npm-lock", map[string]string{"a/package-lock.json": lock, "b/package-lock.json": lock}, ReasonAmbiguousFolder},
		"a broken manifest":                 {"npm-lock", map[string]string{"package.json": "{", "package-lock.json": lock}, ReasonBadManifest},
		"pnpm of no version":                {"pnpm-lock", map[string]string{"package.json": "{}", "pnpm-lock.yaml": pnpm}, ReasonToolVersionUnknown},
		"pnpm of two versions":              {"pnpm-lock", map[string]string{"package.json": "{}", "pnpm-lock.yaml": pnpm, ".github/workflows/a.yml": "- uses: pnpm/action-setup@v4\n  with:\n    version: 8\n", ".github/workflows/b.yml": "- uses: pnpm/action-setup@v4\n  with:\n    version: 9\n"}, ReasonToolVersionUnknown},
		"pnpm with patches":                 {"pnpm-lock", map[string]string{"package.json": `{"packageManager":"pnpm@9.8.0"}`, "pnpm-lock.yaml": pnpm + "\npatchedDependencies:\n  a: x\n"}, ReasonNeedsInstall},
		"pnpm with a pnpmfile":              {"pnpm-lock", map[string]string{"package.json": `{"packageManager":"pnpm@9.8.0"}`, "pnpm-lock.yaml": pnpm, ".pnpmfile.cjs": "evil()"}, ReasonNeedsInstall},
		"a newer yarn":                      {"yarn-lock", map[string]string{"package.json": "{}", "yarn.lock": "__metadata:\n"}, ReasonToolVersion},
	} {
		t.Run(name, func(t *testing.T) {
			says := map[string]string{"npm-lock": npmCiSays, "pnpm-lock": "ERR_PNPM_OUTDATED_LOCKFILE", "yarn-lock": "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`."}[tt.fixer]
			p, err := newWorkplace(t, tt.files).tryPlan(report("make install", says), tt.fixer)
			if reason, _ := fault.Reason(err); reason != tt.want {
				t.Errorf("want %s, got %+v, %v", tt.want, p, err)
			}
		})
	}
}

func TestOnlyHarmlessSettingsOfAnNpmrcAreTakenOver(t *testing.T) {
	text := "legacy-peer-deps=true\n; comment\nscript-shell=evil\n//registry.npmjs.org/:_authToken=${TOKEN}\nstrict-peer-deps=$(touch pwned)\nregistry=https://registry.npmjs.org\ncafile=x\n"
	got, err := npmSettings(".npmrc", Inputs{RepoFiles: []string{".npmrc"}, Files: map[string][]byte{".npmrc": []byte(text)}})
	if diff := cmp.Diff("export npm_config_legacy_peer_deps=true\n", got); diff != "" || err != nil {
		t.Errorf("%v%s", err, diff)
	}
}
