package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/agentcmd"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/egress"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// registries are the only hosts that a step with a network reaches here.
var registries = []string{"proxy.golang.org", "sum.golang.org", "registry.npmjs.org"}

// proposed is a pipeline in the real sandbox for a repository with these files, whose failure only an agent mends: by
// this command. The check is the settings'.
func proposed(t *testing.T, files map[string]string, command string, settings repoconfig.Config) (*FixPipeline, *work) {
	t.Helper()
	var names []string
	for name := range files {
		names = append(names, name)
	}
	p, w := classified(t, actions("make build", "main: something is wrong", "make: *** [Makefile:2: build] Error 1"), "", names...)
	repo := gittest.New(t).Repo(t, "public.git", files)
	git, err := gitrepo.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.mirror, err = git.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "mirror"), gitrepo.Remote{URL: repo.URL}); err != nil {
		t.Fatal(err)
	}
	commit := repo.Push("main")
	if err := w.mirror.Fetch(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	if p.Scanner, err = scan.New(modelKey); err != nil {
		t.Fatal(err)
	}
	proxy, err := egress.New(egress.Config{Private: registries})
	if err != nil {
		t.Fatal(err)
	}
	if p.Sandbox, err = sandbox.New(t.Context(), sandbox.Options{Toolchains: sandbox.Find(t.Context(), "go", "node", "npm"), Egress: proxy}); err != nil {
		t.Fatal(err)
	}
	p.Git, p.Rules, p.Dir, p.Redact, p.PromptBytes, p.GoProxy = git, policy.Default(), t.TempDir(), redact.New([]string{modelKey}), 32<<10, "https://proxy.golang.org"
	w.dir = filepath.Join(p.Dir, "work", "1-1")
	if err := makeWorkDir(w.dir); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{p.Dir, filepath.Dir(p.Dir)} { // the sandbox's user is another one
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if p.Tools, err = tools(t.Context(), p.Sandbox, p.Dir); err != nil {
		t.Fatal(err)
	}
	p.Agent = agentcmd.New(agentcmd.Options{Command: command, Timeout: sandbox.DefaultLimits().Time, Sandbox: p.Sandbox, Redact: p.Redact.String})
	w.run = store.Run{Run: db.Run{ID: 1, RepositoryID: 1}, Failure: ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: "1"}, Commit: commit, Branch: "main", BaseBranch: "main", WorkflowName: "CI",
	}}
	settings.Version, settings.Mode = 1, repoconfig.ModePR
	w.settings = &settings
	return p, w
}

func checkedBy(run string, prepare ...string) repoconfig.Config {
	c := repoconfig.Config{Checks: []repoconfig.Check{{Run: run}}}
	if len(prepare) > 0 {
		c.Prepare = &prepare
	}
	return c
}

// usesGo and usesNode need a package of a registry for their check.
var (
	usesGo = map[string]string{
		"go.mod":  "module example.com/app\n\ngo 1.21\n\nrequire rsc.io/quote/v3 v3.1.0\n\nrequire (\n\tgolang.org/x/text v0.0.0-20170915032832-14c0d48ead0c // indirect\n\trsc.io/sampler v1.3.0 // indirect\n)\n",
		"go.sum":  "golang.org/x/text v0.0.0-20170915032832-14c0d48ead0c h1:qgOY6WgZOaTkIIMiVjBQcw93ERBE4m30iBm00nkL0i8=\ngolang.org/x/text v0.0.0-20170915032832-14c0d48ead0c/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=\nrsc.io/quote/v3 v3.1.0 h1:9JKUTTIUgS6kzR9mK1YuGKv6Nl+DijDNIc0ghT58FaY=\nrsc.io/quote/v3 v3.1.0/go.mod h1:yEA65RcK8LyAZtP9Kv3t0HmxON59tX3rD+tICJqUlj0=\nrsc.io/sampler v1.3.0 h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4=\nrsc.io/sampler v1.3.0/go.mod h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=\n",
		"main.go": "package main\n\nimport \"rsc.io/quote/v3\"\n\nfunc main() { println(quote.HelloV3(), greting) }\n\nvar greeting = \"hello\"\n",
	}
	usesNode = map[string]string{
		"package.json":      `{"name":"app","version":"1.0.0","scripts":{"test":"node check.js"},"dependencies":{"left-pad":"1.3.0"}}` + "\n",
		"package-lock.json": `{"name":"app","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"app","version":"1.0.0","dependencies":{"left-pad":"1.3.0"}},"node_modules/left-pad":{"version":"1.3.0","resolved":"https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz","integrity":"sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA=="}}}` + "\n",
		"check.js":          "if (require('left-pad')(require('./answer'), 3) !== ' 42') process.exit(1)\n",
		"answer.js":         "module.exports = 41\n",
	}
)

const answers = `sed -i 's/41/42/' answer.js`

func TestACheckThatNeedsPackagesFindsWhatItsManifestsName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files          map[string]string
		mend           string
		settings       repoconfig.Config
		want, prepared string
	}{
		"modules of Go":                 {usesGo, `sed -i 's/greting/greeting/' main.go`, checkedBy("go vet ./..."), "fixed", "go"},
		"packages of npm":               {usesNode, answers, checkedBy("npm test"), "fixed", "node"},
		"commands of the repository":    {usesNode, answers, checkedBy("node check.js", "npm ci"), "fixed", "repository"},
		"what go fetches by commands":   {usesGo, `sed -i 's/greting/greeting/' main.go`, checkedBy("go vet ./...", "go mod download"), "fixed", "repository"},
		"nothing, as the settings want": {usesNode, answers, repoconfig.Config{Checks: checkedBy("node check.js").Checks, Prepare: &[]string{}}, "declined still_red", ""},
		"a check that needs none":       {usesNode, answers, checkedBy("grep -q 42 answer.js"), "fixed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w := proposed(t, tc.files, tc.mend, tc.settings)
			if got := through(t, p, w); got != tc.want {
				t.Fatalf("%s, want %s: %s", got, tc.want, w.report.JSON())
			}
			if tc.prepared == "" && len(w.report.Prepared) > 0 || tc.prepared != "" && (len(w.report.Prepared) != 1 || w.report.Prepared[0].Name != tc.prepared) {
				t.Errorf("prepared %+v", w.report.Prepared)
			}
			if tc.want == "fixed" && (w.report.Check.Before.ExitCode == 0 || len(w.report.Files) != 1 || strings.Contains(string(w.diff), "node_modules")) {
				t.Errorf("check %+v, files %v\n%s", w.report.Check, w.report.Files, w.diff)
			}
		})
	}
}

// prepares runs the commands of a hostile preparation and returns its error and what is known of it.
func prepares(t *testing.T, commands ...string) (*FixPipeline, *work, evidence.Prepared, error) {
	t.Helper()
	p, w := proposed(t, map[string]string{"a.txt": "a\n", "sub/b.txt": "b\n"}, "true", checkedBy("grep -q b a.txt", commands...))
	plan := fix.Plan{}
	err := p.prepareCheck(t.Context(), w, &plan)
	w.fixPlan = plan
	if len(w.report.Prepared) != 1 {
		t.Fatalf("prepared %+v, %v", w.report.Prepared, err)
	}
	return p, w, w.report.Prepared[0], err
}

func TestAHostilePreparationReachesNothing(t *testing.T) {
	t.Setenv("GITHUB_READ_TOKEN", modelKey)
	for name, tc := range map[string]struct{ command, shows string }{
		"a host that is not listed":      {"curl -sS --max-time 20 https://example.com/ || exit 7", "response 403"},
		"a tunnel to the metadata host":  {"curl -sS --max-time 20 https://169.254.169.254/ || exit 7", "response 403"},
		"a socket of its own":            {"bash -c 'exec 3<>/dev/tcp/1.1.1.1/443'", "etwork is unreachable"},
		"the shared caches":              {"ls /cache/go-* /cache/deps-*", "No such file"},
		"a folder beside its cache":      {"mkdir /cache/other", "ead-only file system"},
		"a program of the machine":       {"echo x >/usr/local/bin/x", "ead-only file system"},
		"git's objects of the mirror":    {"echo x >/git/mirror/x", "ead-only file system"},
		"more disk than it may have":     {"head -c 300M /dev/zero >big", ""},
		"more time than there is":        {"while :; do :; done", ""},
		"it fails after it left nothing": {"exit 3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, w := proposed(t, map[string]string{"a.txt": "a\n"}, "true", checkedBy("grep -q b a.txt", tc.command))
			p.Limits.Disk, p.Limits.Time = 100<<20, sandbox.DefaultLimits().Time
			if strings.HasPrefix(tc.command, "while") {
				p.Limits.Time = 1e9
			}
			err := p.prepareCheck(t.Context(), w, &fix.Plan{})
			reason, _ := fault.Reason(err)
			if reason != fix.ReasonPrepareFailed || !strings.Contains(err.Error(), "prepare: in .sre-agent.yaml") || len(w.report.Prepared) != 1 {
				t.Fatalf("%v, evidence %+v", err, w.report.Prepared)
			}
			got := w.report.Prepared[0]
			if got.ExitCode == 0 || !strings.Contains(got.Output, tc.shows) || strings.Contains(string(w.report.JSON()), modelKey) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAPreparationSeesNoSecretAndLeavesNoProcess(t *testing.T) {
	t.Setenv("GITHUB_WRITE_TOKEN", modelKey)
	const survivor = "survivor-of-a-preparation"
	_, w, got, err := prepares(t, `env; cat /proc/*/environ /proc/*/cmdline | tr '\0' '\n'`,
		`setsid sh -c ': >"$SRE_PREPARED/alive"; while :; do : `+survivor+`; done' >/dev/null 2>&1 &
until [ -e "$SRE_PREPARED/alive" ]; do :; done`)
	if err != nil || got.ExitCode != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	if strings.Contains(string(w.report.JSON()), modelKey) || !strings.Contains(got.Output, "SRE_PREPARED") {
		t.Errorf("its output: %s", got.Output)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatal(err, lines)
	}
	for _, name := range lines {
		if line, err := os.ReadFile(name); err == nil && strings.Contains(string(line), survivor) {
			t.Errorf("%s: %q", name, line)
		}
	}
}

func TestWhatAPreparationLeavesIsReadOnlyAndCoversNoFileOfTheCommit(t *testing.T) {
	t.Parallel()
	p, w, got, err := prepares(t,
		`echo changed >a.txt; rm sub/b.txt; mkdir -p deps/x sub/more .git/hooks; echo dep >deps/x/y; chmod 700 deps; echo more >sub/more/z; ln -s /etc/passwd out; echo evil >.git/hooks/evil`,
		`mkdir "$SRE_PREPARED/left"; echo stored >"$SRE_PREPARED/file"`)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.Left, " ") != "deps out sub/more" {
		t.Errorf("left %v", got.Left)
	}
	w.fixPlan.Check.Script += `cat a.txt sub/b.txt deps/x/y sub/more/z "$SRE_PREPARED/file"; readlink out; ls .git/hooks/evil 2>&1 || true; (echo x >"$SRE_PREPARED/file") 2>&1 || (echo x >"$SRE_LEFT/new") 2>&1 || echo both are closed`
	res, err := p.check(t.Context(), w, "before", w.run.Failure.Commit, nil)
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%v %+v", err, res)
	}
	for _, want := range []string{"a\nb\ndep\nmore\nstored\n/etc/passwd\n", "No such file", "both are closed"} {
		if !strings.Contains(res.Output, want) {
			t.Errorf("%q is not in %s", want, res.Output)
		}
	}
}

func TestAFolderOfTheCommitThatBecameALinkIsNotLookedInto(t *testing.T) {
	t.Parallel()
	_, w, got, err := prepares(t, `rm -rf sub; ln -s / sub; ln -s ../.. a.lnk`)
	if err != nil || strings.Join(got.Left, " ") != "a.lnk" {
		t.Errorf("%v, left %v", err, got.Left)
	}
	if entries, err := os.ReadDir(w.private(fix.LeftCache)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestAFloodOfLeftFilesIsRefused(t *testing.T) {
	t.Parallel()
	p, w := proposed(t, map[string]string{"a.txt": "a\n"}, "true", checkedBy("grep -q b a.txt", `i=0; while [ $i -lt 5000 ]; do : >f$i; i=$((i+1)); done`))
	err := p.prepareCheck(t.Context(), w, &fix.Plan{})
	if reason, _ := fault.Reason(err); reason != fix.ReasonPrepareFailed || !strings.Contains(err.Error(), "use one folder") {
		t.Error(err)
	}
}

func TestInstallScriptsRunOnlyIfTheSettingsAskForThem(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"package.json":      `{"name":"app","version":"1.0.0","scripts":{"postinstall":"touch ran"},"dependencies":{"left-pad":"1.3.0"}}`,
		"package-lock.json": usesNode["package-lock.json"],
		"a.txt":             "a\n",
	}
	for scripts, want := range map[bool]string{false: "node_modules", true: "node_modules ran"} {
		settings := checkedBy("grep -q b a.txt", "npm ci")
		settings.InstallScripts = scripts
		p, w := proposed(t, files, "true", settings)
		if err := p.prepareCheck(t.Context(), w, &fix.Plan{}); err != nil {
			t.Fatalf("%v, %+v", err, w.report.Prepared)
		}
		if got := strings.Join(w.report.Prepared[0].Left, " "); got != want {
			t.Errorf("install_scripts: %v leaves %q, want %q", scripts, got, want)
		}
	}
}

func TestAToolsOwnRunGoesOnWithoutManifestsThatCanNotBeFetched(t *testing.T) {
	t.Parallel()
	p, w := proposed(t, map[string]string{"go.mod": "module example.com/app\n\ngo 1.21\n\nrequire example.invalid/private v1.0.0\n", "a.txt": "a\n"}, "true", checkedBy("make lint"))
	w.fixPlan = fix.Plan{Fixer: "gofmt", CheckFrom: fix.CheckFromRepository, CheckCommand: "make lint", Check: fix.Step{Script: "true", Tree: fix.AccessWrite}}
	if err := p.prepareTool(t.Context(), w); err != nil || w.fixPlan.Check.Script != "true" || len(w.report.Prepared) != 1 {
		t.Errorf("%v, %+v, %+v", err, w.fixPlan.Check, w.report.Prepared)
	}
	w.dir = filepath.Join(p.Dir, "work", "1-2")
	if err := makeWorkDir(w.dir); err != nil {
		t.Fatal(err)
	}
	if err := p.prepareCheck(t.Context(), w, &w.fixPlan); err == nil || !strings.Contains(err.Error(), "prepare: []") {
		t.Errorf("for a proposal: %v", err)
	}
	w.report.Prepared, w.fixPlan.CheckFrom = nil, fix.CheckFromFixer
	if err := p.prepareTool(t.Context(), w); err != nil || len(w.report.Prepared) > 0 {
		t.Errorf("the fixer's own check: %v, %+v", err, w.report.Prepared)
	}
}
