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
	c := startCluster(t, nil)
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
