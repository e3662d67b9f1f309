package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// stepLog is a failed step's log as GitHub Actions writes it.
func stepLog(command string, output ...string) string {
	const at = "2026-11-23T12:00:00.0000000Z "
	lines := []string{"##[group]Run " + command, "shell: /usr/bin/bash -e {0}", "##[endgroup]"}
	lines = append(append(lines, output...), "##[error]Process completed with exit code 1.")
	return at + strings.Join(lines, "\n"+at) + "\n"
}

// TestFixersThatNeedARegistryWorkInTheSandbox: the fix reaches the package registry, the check runs without a
// network on what it left in the caches.
func TestFixersThatNeedARegistryWorkInTheSandbox(t *testing.T) {
	// A machine may reach the registries by mirrors of its own network.
	c := startCluster(t, map[string]string{"SANDBOX_EGRESS_PRIVATE": "proxy.golang.org,sum.golang.org,registry.npmjs.org"})
	for n, tc := range []struct {
		name, log string
		files     map[string]string
		want      []string
	}{
		{
			name: "go-mod-tidy", log: stepLog("go mod tidy -diff", "diff current/go.mod tidy/go.mod"),
			files: map[string]string{
				"go.mod":  "module example.com/untidy\n\ngo 1.22\n",
				"main.go": "package main\n\nimport \"github.com/google/uuid\"\n\nfunc main() { println(uuid.NewString()) }\n",
			},
			want: []string{"+++ b/go.mod", "+++ b/go.sum", "github.com/google/uuid v1."},
		},
		{
			name: "prettier", log: stepLog("npx prettier --check src", "Checking formatting...", "[warn] src/ugly.js", "[warn] Code style issues found in the above file. Run Prettier with --write to fix."),
			files: map[string]string{
				"package.json": "{\n  \"name\": \"ugly\",\n  \"private\": true,\n  \"devDependencies\": { \"prettier\": \"3.3.3\" }\n}\n",
				"src/ugly.js":  "const  a = {b:1,\n}\n",
			},
			want: []string{"+++ b/src/ugly.js", "+const a = { b: 1 };"},
		},
		{
			name: "npm-lock", log: stepLog("npm ci", "npm error code EUSAGE", "npm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync."),
			files: map[string]string{
				"package.json":      "{\n  \"name\": \"odd\",\n  \"private\": true,\n  \"dependencies\": { \"is-number\": \"6.0.0\" }\n}\n",
				"package-lock.json": "{\n  \"name\": \"odd\",\n  \"lockfileVersion\": 3,\n  \"requires\": true,\n  \"packages\": {\n    \"\": {\n      \"name\": \"odd\"\n    }\n  }\n}\n",
			},
			want: []string{"+++ b/package-lock.json", "+    \"node_modules/is-number\": {"},
		},
		{
			name: "eslint", log: stepLog("npx eslint src", "/home/runner/work/a/a/src/a.js", "  1:1  error  Unexpected var, use let or const instead  no-var", "  1 error and 0 warnings potentially fixable with the `--fix` option."),
			files: map[string]string{
				"package.json":      "{\n  \"private\": true,\n  \"devDependencies\": { \"eslint\": \"9.39.1\" }\n}\n",
				"eslint.config.mjs": "export default [{ rules: { 'no-var': 'error' } }];\n",
				"src/a.js":          "var a = 1;\nexport default a;\n",
			},
			want: []string{"+++ b/src/a.js", "+let a = 1;"},
		},
		{
			name: "dist", log: stepLog("npm run build && git diff --exit-code dist/", "diff --git a/dist/index.js b/dist/index.js"),
			files: map[string]string{
				"package.json":      "{\n  \"private\": true,\n  \"scripts\": { \"build\": \"cp src/index.js dist/index.js\" }\n}\n",
				"package-lock.json": "{\n  \"lockfileVersion\": 3,\n  \"packages\": {}\n}\n",
				"src/index.js":      "run(1);\n", "dist/index.js": "run(0);\n",
			},
			want: []string{"+++ b/dist/index.js", "+run(1);"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := c.repository(tc.name, 100+n, tc.log, func(dir string) {
				for name, text := range tc.files {
					write(t, dir, name, text)
				}
			})
			c.send("workflow_run", "fixer-"+tc.name, githubtest.FailedRun(f.params))
			r := c.ended(f, 2*time.Minute)
			if r.State != "published" || len(c.scene.Forge.PullRequests(demo.Owner, tc.name)) != 1 {
				t.Fatalf("%s(%s) %s", r.State, r.Reason, r.Explanation)
			}
			h, err := c.st.History(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(string(h.Fix.Diff), want) {
					t.Errorf("the diff lacks %q:\n%s", want, h.Fix.Diff)
				}
			}
		})
	}
}
