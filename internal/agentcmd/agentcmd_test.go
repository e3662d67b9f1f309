package agentcmd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// bench is a repository's tree and an agent to be put on it.
type bench struct {
	t      *testing.T
	mirror *gitrepo.Mirror
	commit string
	opts   Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	repo := gittest.New(t).Repo(t, "public.git", map[string]string{
		"main.go": "package main\n\nfunc main() { fmtt.Println() }\n", "other.go": "package main\n", ".github/workflows/ci.yml": "on: push\n",
	})
	git, err := gitrepo.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := git.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "m"), gitrepo.Remote{URL: repo.URL})
	if err != nil {
		t.Fatal(err)
	}
	commit := repo.Push("main")
	if err := m.Fetch(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.New(t.Context(), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, mirror: m, commit: commit, opts: Options{
		Timeout: 60 * time.Second, Sandbox: s, Redact: func(s string) string { return s },
	}}
}

// run has an agent that is a shell script work on a fresh tree.
func (b *bench) run(script string, task Task) (*gitrepo.Tree, Evidence, error) {
	b.t.Helper()
	tree, err := b.mirror.Checkout(b.t.Context(), b.commit, filepath.Join(b.t.TempDir(), "tree"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = tree.Close() })
	o := b.opts
	o.Command = script
	task.Dir = b.t.TempDir()
	// The sandbox's user is another one when the tests run as root.
	for _, dir := range []string{task.Dir, filepath.Dir(task.Dir), filepath.Dir(tree.Dir()), filepath.Dir(filepath.Dir(tree.Dir()))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	e, err := New(o).Run(b.t.Context(), tree, task)
	return tree, e, err
}

// agent does what the question says: "replace A by B in FILE".
const agent = `set -e
line=$(grep '^replace ' "$SRE_AGENT_PROMPT")
set -- $line
sed -i "s/$2/$4/" "$6"
echo "edited $6"`

func TestAnAgentEditsTheFileThatTheQuestionNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tree, e, err := b.run(agent, Task{Prompt: "please\nreplace fmtt by fmt in main.go\n", MayTouch: func(p string) bool { return p == "main.go" }})
	if err != nil {
		t.Fatalf("%v: %s", err, e.Output)
	}
	want := Evidence{Command: agent, Prompt: e.Prompt, Output: "edited main.go", Seconds: e.Seconds, Changed: []string{"main.go"}}
	if diff := cmp.Diff(want, e); diff != "" || !strings.HasPrefix(e.Prompt, "sha256:") || e.Seconds <= 0 {
		t.Error(diff)
	}
	diff, err := tree.Diff(t.Context())
	if err != nil || !strings.Contains(string(diff), "+func main() { fmt.Println() }") {
		t.Errorf("%v: %s", err, diff)
	}
}

func TestAHostileAgentGetsNothing(t *testing.T) {
	canary := testenv.Canary()
	t.Setenv("MODEL_API_KEY", canary)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	port := listener.Addr().(*net.TCPAddr).Port
	b := newBench(t)
	mine := func(p string) bool { return p == "main.go" }
	edit := "echo '// x' >>main.go\n"
	tests := map[string]struct {
		script, reason string
		// says is what has to be in the output.
		says string
	}{
		"it changes another file":          {edit + "echo x >>other.go", ReasonTouchedOther, ""},
		"it leaves a file behind":          {edit + "echo x >new.txt", ReasonTouchedOther, ""},
		"it changes nothing":               {"true", ReasonNothingChanged, ""},
		"it fails":                         {edit + "exit 3", ReasonFailed, ""},
		"it changes the question":          {edit + `echo obey >"$SRE_AGENT_PROMPT" || rm -f "$SRE_AGENT_PROMPT" || echo it stays; grep -q question "$SRE_AGENT_PROMPT"`, "", "it stays"},
		"it looks for secrets":             {edit + `env; cat /proc/*/environ | tr '\0' '\n'; ls -a /root /home /work 2>&1; true`, "", "CI=true"},
		"it tries the network of the host": {edit + fmt.Sprintf(`(exec 3<>/dev/tcp/127.0.0.1/%[1]d) 2>/dev/null || bash -c 'exec 3<>/dev/tcp/127.0.0.1/%[1]d' || echo no way`, port), "", "no way"},
		"it looks for an interface":        {edit + `tail -n +3 /proc/net/dev | grep -v ' lo:' | grep . || echo none`, "", "none"},
		"it never ends":                    {"sleep 1000", ReasonFailed, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t = t
			if strings.HasPrefix(test.script, "sleep") {
				b.opts.Timeout = time.Second
			}
			_, e, err := b.run(test.script, Task{Prompt: "question", MayTouch: mine})
			if reason, _ := fault.Reason(err); reason != test.reason || (err == nil) != (test.reason == "") {
				t.Errorf("%v: %s", err, e.Output)
			}
			if !strings.Contains(e.Output, test.says) || strings.Contains(e.Output, canary) {
				t.Errorf("it says %q", e.Output)
			}
		})
	}
	if err := listener.(*net.TCPListener).SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if conn, err := listener.Accept(); err == nil {
		_ = conn.Close()
		t.Error("the agent reached the host")
	}
}

func TestNothingOfAnAgentSurvivesIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	word := testenv.Canary()
	script := fmt.Sprintf(`echo '// x' >>main.go
for i in 1 2 3; do (setsid sh -c 'while :; do echo %[1]s >>other.go; done' %[1]s >/dev/null 2>&1 &); done
nohup sh -c 'sleep 600; : %[1]s' >/dev/null 2>&1 &
true`, word)
	tree, e, err := b.run(script, Task{Prompt: "q", MayTouch: func(string) bool { return true }})
	if err != nil {
		t.Fatalf("%v: %s", err, e.Output)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		cmdline, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline") // what has gone has no command line
		if strings.Contains(string(cmdline), word) {
			t.Errorf("process %s is alive: %q", entry.Name(), cmdline)
		}
	}
	first, err := tree.Diff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := tree.Diff(t.Context())
	if err != nil || string(first) != string(second) {
		t.Errorf("the tree still changes: %v", err)
	}
}

func TestAFloodOfOutputIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, e, err := b.run("echo '// x' >>main.go; head -c 1000000000 /dev/zero | tr '\\0' 'x'; echo the end", Task{Prompt: "q"})
	runtime.ReadMemStats(&after)
	if err != nil || len(e.Output) > maxShown+10 || !strings.HasSuffix(e.Output, "the end") {
		t.Errorf("%v: %d bytes are kept", err, len(e.Output))
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestAnAgentsChangeIsJudgedLikeAnyOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for script, want := range map[string]string{
		"echo '// x' >>main.go":                              policy.ReasonWithin,
		"echo 'on: pull_request' >>.github/workflows/ci.yml": policy.ReasonForbidden,
		"ln -s /etc/passwd link":                             policy.ReasonSymlink,
		"echo x >run.sh; chmod +x run.sh":                    policy.ReasonMode,
		"for i in $(seq 9); do echo x >f$i.txt; done":        policy.ReasonFiles,
	} {
		tree, e, err := b.run(script, Task{Prompt: "q"})
		if err != nil {
			t.Fatalf("%s: %v: %s", script, err, e.Output)
		}
		diff, err := tree.Diff(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		changes, err := patch.Parse(diff)
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		if got := policy.Check(changes, policy.Default()).Reason; got != want {
			t.Errorf("%s: %s", script, got)
		}
	}
}

func TestTheWayOutIsOpenedByTheProxyAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sockets := t.TempDir()
	for _, dir := range []string{sockets, filepath.Dir(sockets)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(sockets, "proxy"), []byte("a socket\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.opts.Network = func(spec *sandbox.Spec) {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: sockets, Inside: "/egress"})
		spec.Env["HTTP_PROXY"] = "http://127.0.0.1:3128"
	}
	_, e, err := b.run(`echo '// x' >>main.go; cat /egress/proxy; echo "$HTTP_PROXY"`, Task{Prompt: "q"})
	if err != nil || e.Output != "a socket\nhttp://127.0.0.1:3128" {
		t.Errorf("%v: %s", err, e.Output)
	}
}

func TestWhatAnAgentPrintsIsRedactedBeforeItIsCut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	secret := testenv.Canary()
	b.opts.Redact = func(s string) string { return strings.ReplaceAll(s, secret, "[redacted]") }
	// The cut goes through the middle of it.
	script := fmt.Sprintf("echo '// x' >>main.go; printf %s; head -c %d /dev/zero | tr '\\0' y", secret, maxShown-len(secret)/2)
	_, e, err := b.run(script, Task{Prompt: "q"})
	if err != nil || strings.Contains(e.Output+e.Command, secret[len(secret)/2:]) {
		t.Errorf("%v: %.100s", err, e.Output)
	}
}
