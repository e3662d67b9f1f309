package sandbox

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/egress"
)

const (
	canary      = "CANARY_ENV"
	canaryValue = "canary-value/from+the host\"\u00fc"
)

// TestMain also is the program that some tests start: as a user who is not root, or to be killed.
func TestMain(m *testing.M) {
	Inside()
	if what := os.Getenv("SANDBOX_ATTACK"); what != "" {
		attack(what)
		os.Exit(0)
	}
	if script := os.Getenv("SANDBOX_TEST_SCRIPT"); script != "" {
		os.Exit(helper(script, os.Getenv("SANDBOX_TEST_DIR")))
	}
	// A file that is open and goes on to children, as a supervisor may leave one.
	if _, err := syscall.Dup(int(os.Stdin.Fd())); err != nil {
		panic(err)
	}
	_ = os.Setenv(canary, canaryValue)
	code := m.Run()
	removeTestImage()
	os.Exit(code)
}

func helper(script, dir string) int {
	ctx := context.Background()
	host := os.Getenv("SANDBOX_TEST_HOST")
	proxy, err := egress.New(egress.Config{Private: strings.Fields(host)})
	if err != nil {
		fmt.Println(err)
		return 99
	}
	s, err := New(ctx, Options{Egress: proxy, Backend: os.Getenv("SANDBOX_TEST_BACKEND"), Image: os.Getenv("SANDBOX_TEST_IMAGE")})
	if err != nil {
		fmt.Println(err)
		return 99
	}
	limits := Limits{Time: 60 * time.Second, Processes: 40}
	if silence, err := time.ParseDuration(os.Getenv("SANDBOX_TEST_SILENCE")); err == nil {
		limits.Silence = silence
	}
	res, err := s.Run(ctx, Spec{Script: script, Dir: dir, Network: host != "", Limits: limits})
	fmt.Printf("%s\nexit=%d killed=%q err=%v\n", res.Output, res.ExitCode, res.Killed, err)
	return 0
}

func newSandbox(t *testing.T) *Sandbox {
	t.Helper()
	s, err := New(t.Context(), Options{Toolchains: Find(t.Context(), "go", "node")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, s *Sandbox, spec Spec) Result {
	t.Helper()
	if spec.Dir == "" {
		spec.Dir = t.TempDir()
	}
	if spec.Limits.Time == 0 {
		spec.Limits.Time = 60 * time.Second
	}
	res, err := s.Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// want runs a script that checks something itself and must say ok at its end.
func want(t *testing.T, s *Sandbox, spec Spec) {
	t.Helper()
	spec.Script = "set -e\nnot() { ! \"$@\"; }\n" + spec.Script + "\necho all-ok"
	res := run(t, s, spec)
	if res.ExitCode != 0 || !strings.HasSuffix(res.Output, "all-ok\n") {
		t.Errorf("exit %d, killed %q, output:\n%s", res.ExitCode, res.Killed, res.Output)
	}
}

func TestWhatTheScriptSees(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	tests := map[string]Spec{
		"the exit code passes through a success":  {Script: `true`},
		"the working directory is the source":     {Script: `test "$PWD" = /src; touch /src/x; test -e x`},
		"it is an ordinary user":                  {Script: `test "$(id -u)" -ge 1000; test "$(id -g):$(id -G)" = "$(id -u):$(id -u)"; test "$(id -un)" = sandbox`},
		"it has no capabilities":                  {Script: `for f in CapInh CapPrm CapEff CapAmb; do grep -q "^$f:.*0000000000000000$" /proc/self/status; done`},
		"it can't gain privileges":                {Script: `grep -q "^NoNewPrivs:.*1$" /proc/self/status`},
		"it can't make user namespaces":           {Script: `not unshare --user true 2>/dev/null`},
		"it can't mount":                          {Script: `not mount -t tmpfs none /tmp 2>/dev/null`},
		"/etc/shadow is not there":                {Script: `test ! -e /etc/shadow`},
		"homes, var and the host's tmp are empty": {Script: `test ! -e /root; test ! -e /home; test ! -e /var; test "$(ls -A /tmp)" = home`},
		"private keys are not there":              {Script: `test ! -e /etc/ssl/private; test ! -e /etc/ssh`},
		"certificates are there":                  {Script: `ls /etc/ssl/certs >/dev/null`},
		"outside of the source nothing can be written": {
			Script: `for d in / /usr /usr/local /etc /dev /proc/sys/kernel /bin /opt; do not touch $d/x 2>/dev/null; done`,
		},
		"devices are few and work":    {Script: `echo x >/dev/null; test "$(head -c 3 /dev/zero | wc -c)" = 3; test ! -e /dev/sda; test ! -e /dev/kvm; test ! -e /dev/vda`},
		"only its own processes show": {Script: `test "$(ls -d /proc/[0-9]* | wc -l)" -lt 8`},
		"no files are inherited":      {Script: `ls -l /proc/self/fd; test "$(ls /proc/self/fd | wc -l)" = 4`},
		"home and tmp can be written": {Script: `echo x >"$HOME/x"; echo x >"$TMPDIR/x"; echo x >/dev/shm/x`},
		"there is no network":         {Script: `test "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo; not grep -q . /etc/resolv.conf 2>/dev/null`},
		"Go runs":                     {Script: `go version | grep -q "go version go"`},
		"Node runs":                   {Script: `node --version | grep -q "^v"; node -e "process.exit(0)"`},
		"the environment that the spec asks for is there": {
			Script: `test "$GOFLAGS" = "-mod=mod -x"; test "$CI" = true; test "$LANG" = C.UTF-8`,
			Env:    map[string]string{"GOFLAGS": "-mod=mod -x"},
		},
	}
	for name, spec := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, s, spec)
		})
	}
	c := withContainers(t)
	if c == nil {
		return
	}
	// All in one container: it is slow to start. Its image has neither Go nor certificates.
	var b strings.Builder
	env := map[string]string{}
	for name, spec := range tests {
		if name != "Go runs" && name != "certificates are there" {
			fmt.Fprintf(&b, "sh -ec %s || echo %s; rm -f /tmp/x\n", quote("not() { ! \"$@\"; }\n"+spec.Script), quote("failed: "+name))
			maps.Copy(env, spec.Env)
		}
	}
	if res := run(t, c, Spec{Script: b.String(), Env: env}); res.ExitCode != 0 || strings.Contains(res.Output, "failed: ") {
		t.Errorf("in a container: %+v", res)
	}
}

func TestTheHostsEnvironmentIsNowhere(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		res := run(t, s, Spec{Script: `env | sort; for p in /proc/[0-9]*; do tr '\0' '\n' <$p/environ; tr '\0' '\n' <$p/cmdline; done 2>/dev/null`})
		for _, secret := range []string{"canary-value", canary, t.TempDir()[:len(os.TempDir())+5]} {
			if strings.Contains(res.Output, secret) {
				t.Errorf("%q is visible inside:\n%s", secret, res.Output)
			}
		}
		env, _, _ := strings.Cut(res.Output, "\nTMPDIR=/tmp\n")
		var names []string
		for _, line := range strings.Split(env, "\n") {
			name, _, _ := strings.Cut(line, "=")
			names = append(names, name)
		}
		if diff := cmp.Diff([]string{"CI", "HOME", "LANG", "PATH", "PWD"}, names); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExitCodesPassThrough(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		for _, code := range []int{0, 1, 7, 126, 255} {
			if got := run(t, s, Spec{Script: fmt.Sprintf("echo out; echo err >&2; exit %d", code)}); got.ExitCode != code || got.Output != "out\nerr\n" || got.Killed != "" {
				t.Errorf("exit %d: got %+v", code, got)
			}
		}
	})
}

func TestTheOutputCanBeOpenedByName(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		if got := run(t, s, Spec{Script: "echo a | tee /dev/stderr; echo b >/dev/stdout"}); got.Output != "a\na\nb\n" {
			t.Errorf("%q", got.Output)
		}
	})
}

func TestMounts(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		ro, rw := t.TempDir(), t.TempDir()
		write(t, filepath.Join(ro, "f"), "hello")
		want(t, s, Spec{
			Script: `test "$(cat /git/ro/f)" = hello; not touch /git/ro/x 2>/dev/null; echo new >/cache/f`,
			Mounts: []Mount{{Host: ro, Inside: "/git/ro"}, {Host: rw, Inside: "/cache", Writable: true}},
		})
		if got, err := os.ReadFile(filepath.Join(rw, "f")); err != nil || string(got) != "new\n" {
			t.Errorf("cache has %q, %v", got, err)
		}
	})
}

func TestAFolderThatOnlyItsOwnerCanReachWorks(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		private := filepath.Join(t.TempDir(), "private")
		dir := filepath.Join(private, "src")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "f"), "hello")
		want(t, s, Spec{Dir: dir, Script: `test "$(cat f)" = hello; echo x >f`})
	})
}

func TestRefusedSpecs(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		dir := t.TempDir()
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink("/etc", link); err != nil {
			t.Fatal(err)
		}
		tests := map[string]Spec{
			"no script":                         {Dir: dir},
			"a script with a zero byte":         {Dir: dir, Script: "a\x00b"},
			"a directory that is a link":        {Dir: link, Script: "true"},
			"a relative directory":              {Dir: ".", Script: "true"},
			"a directory that is not there":     {Dir: dir + "/none", Script: "true"},
			"a mount of a link":                 {Dir: dir, Script: "true", Mounts: []Mount{{Host: link, Inside: "/x"}}},
			"a mount over the system":           {Dir: dir, Script: "true", Mounts: []Mount{{Host: dir, Inside: "/usr"}}},
			"a mount over the root":             {Dir: dir, Script: "true", Mounts: []Mount{{Host: dir, Inside: "/"}}},
			"a mount with dots":                 {Dir: dir, Script: "true", Mounts: []Mount{{Host: dir, Inside: "/x/../etc"}}},
			"a mount inside of the source":      {Dir: dir, Script: "true", Mounts: []Mount{{Host: t.TempDir(), Inside: "/src/x"}}},
			"a mount of a part of the source":   {Dir: dir, Script: "true", Mounts: []Mount{{Host: dir, Inside: "/x"}}},
			"a mount below a writable mount":    {Dir: dir, Script: "true", Mounts: []Mount{{Host: t.TempDir(), Inside: "/a", Writable: true}, {Host: t.TempDir(), Inside: "/a/b"}}},
			"a malformed environment variable":  {Dir: dir, Script: "true", Env: map[string]string{"A B": "c"}},
			"an environment value with a zero":  {Dir: dir, Script: "true", Env: map[string]string{"A": "b\x00--bind\x00/\x00/h"}},
			"a script beyond the largest size":  {Dir: dir, Script: strings.Repeat("#", 100_001)},
			"an environment name like a option": {Dir: dir, Script: "true", Env: map[string]string{"--bind": "/"}},
		}
		for name, spec := range tests {
			if _, err := s.Run(t.Context(), spec); err == nil {
				t.Errorf("%s: not refused", name)
			}
		}
	})
}

func TestAMissingLauncherIsExplained(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Options{Bin: "/nowhere/bwrap"})
	if err == nil || !strings.Contains(err.Error(), "apt-get install bubblewrap") {
		t.Errorf("got %v", err)
	}
	broken := filepath.Join(t.TempDir(), "bwrap")
	write(t, broken, "#!/bin/sh\n[ \"$1\" = --version ] && echo bubblewrap 0.8.0 && exit\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
	if err := os.Chmod(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), Options{Bin: broken})
	if err == nil || !strings.Contains(err.Error(), "No permissions to create new namespace") || !strings.Contains(err.Error(), "unprivileged_userns_clone") {
		t.Errorf("got %v", err)
	}
}

func TestAFailureOfTheLauncherIsNoResult(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.toolchains = []string{"/nowhere/at/all"}
	if res, err := s.Run(t.Context(), Spec{Dir: t.TempDir(), Script: "true"}); err == nil {
		t.Errorf("got %+v", res)
	}
}

// helperCommand starts this test binary again, as the given user.
func helperCommand(t *testing.T, script string, uid int) *exec.Cmd {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "src")
	bin := filepath.Join(top, "helper")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// By a program of its own: what this one has open to write, a child of another test may hold for a moment.
	if out, err := exec.CommandContext(t.Context(), "cp", self, bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SANDBOX_TEST_SCRIPT=" + script, "SANDBOX_TEST_DIR=" + dir, "TMPDIR=/tmp"}
	if uid != os.Getuid() {
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

func unprivileged() int {
	if uid := os.Getuid(); uid != 0 {
		return uid
	}
	return 54321
}

func TestItWorksWithoutRoot(t *testing.T) {
	t.Parallel()
	script := `for d in / /dev /etc /usr /proc; do touch $d/x 2>/dev/null && echo "$d can be written"; done; id -u; touch x && ls -n x | cut -d' ' -f3; unshare --user true 2>/dev/null || echo no-userns
grep -h Cap[EP] /proc/self/status | tr -d '\t'; tr '\0' '\n' </proc/1/environ
i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; echo not-bounded`
	out, err := helperCommand(t, script, unprivileged()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.HasPrefix(string(out), "1000\n1000\nno-userns\nCapPrm:0000000000000000\nCapEff:0000000000000000\n") {
		t.Errorf("got %s", out)
	}
	if strings.Contains(string(out), "not-bounded") || !strings.Contains(string(out), "annot fork") || strings.Contains(string(out), "SANDBOX_TEST") {
		t.Errorf("got %s", out)
	}
}

func TestAKilledRunnerLeavesNothing(t *testing.T) {
	t.Parallel()
	killed := func(t *testing.T, uid int, env ...string) {
		mark := marker()
		cmd := helperCommand(t, `setsid sh -c ': `+mark+`; sleep 1000; :' & touch /src/up; sleep 1000`, uid)
		cmd.Env = append(cmd.Env, env...)
		dir := filepath.Join(filepath.Dir(cmd.Path), "src")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "the script runs", func() bool { _, err := os.Stat(filepath.Join(dir, "up")); return err == nil })
		until(t, "the survivor runs", func() bool { return len(withMark(mark)) > 1 })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		until(t, "everything is gone", func() bool { return len(withMark(mark)) == 0 })
	}
	for name, uid := range map[string]int{"as this user": os.Getuid(), "as an ordinary user": unprivileged()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killed(t, uid)
		})
	}
	t.Run("in a container", func(t *testing.T) {
		t.Parallel()
		c := withContainers(t)
		if c == nil {
			return
		}
		killed(t, os.Getuid(), "SANDBOX_TEST_BACKEND="+c.Backend(), "SANDBOX_TEST_IMAGE="+testImage, "HOME="+os.Getenv("HOME"), "DOCKER_HOST="+os.Getenv("DOCKER_HOST"))
		owned := func() bool {
			for _, name := range ours(t, c, "label="+label) {
				text, err := c.engine.do(t.Context(), "inspect", "--format", `{{index .Config.Labels "`+label+`"}}`, name)
				if o, ok := parseOwner(text); err == nil && ok && strings.HasPrefix(name, "sre-agent-sandbox-run-") && processStart(o.pid) != o.born {
					return true
				}
			}
			return false
		}
		until(t, "the container is removed", func() bool { return !owned() })
	})
}

func TestPickRange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in          string
		base, count int
	}{
		"the whole range":        {"         0          0 4294967295\n", wantedBase, wantedCount},
		"a container's share":    {"0 100000 65536\n", 65536 - 8192, 4096},
		"a single user":          {"0 1000 1\n", 0, 0},
		"rootless, with its own": {"0 1000 1\n1 100000 65536\n", 65537 - 8192, 4096},
		"nonsense":               {"x\n", 0, 0},
	} {
		if base, count := pickRange(test.in); base != test.base || count != test.count {
			t.Errorf("%s: got %d, %d", name, base, count)
		}
	}
}

func TestToolchainDir(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/opt/node/bin/node":            "/opt/node",
		"/home/me/.local/go/bin/go":     "/home/me/.local/go",
		"/home/me/.local/bin/ruff":      "/home/me/.local/bin",
		"/home/me/bin/tool":             "/home/me/bin",
		"/home/bin/tool":                "/home/bin",
		"/bin/sh":                       "/bin",
		"/opt/thing/tool":               "/opt/thing",
		"/usr/local/lib/x/bin/prettier": "/usr/local/lib/x",
	} {
		if got := toolchainDir(path, "/home/me"); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	stat := "42 (a) b (c) S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 100 1000000 321 18446744073709551615"
	if p, ok := parseStat([]byte(stat)); !ok || p != (process{7, 321}) {
		t.Errorf("got %+v, %v", p, ok)
	}
	if _, ok := parseStat([]byte("42 (x) S 7")); ok {
		t.Error("a short line was taken")
	}
}

func TestTape(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in, want  string
		limit     int
		truncated bool
	}{
		"what fits is kept":               {"hello", "hello", 5, false},
		"the middle is left out":          {"abcdefghijklmnop", "ab\n[... 8 bytes left out ...]\nklmnop", 8, true},
		"bytes that are no text are kept": {"a\x00\xff\xfeb", "a\uFFFD\uFFFDb", 100, false},
	} {
		tp := newTape(test.limit)
		for i := range len(test.in) {
			_, _ = tp.Write([]byte{test.in[i]})
		}
		got, truncated := tp.result()
		if got != test.want || truncated != test.truncated {
			t.Errorf("%s: got %q, %v", name, got, truncated)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func marker() string { return "mark-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-x" }

// withMark lists the live processes whose command line has the mark.
func withMark(mark string) []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if cmdline, err := os.ReadFile(dir + "/cmdline"); err == nil && strings.Contains(string(cmdline), mark) {
			found = append(found, dir)
		}
	}
	return found
}

// noneLeft looks once: Run has promised.
func noneLeft(t *testing.T, mark string) {
	t.Helper()
	if left := withMark(mark); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("waited in vain: %s", what)
			return
		}
	}
}
