package fix

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// cache is the host's folder of a cache. What a tool was built to is kept from one test run to the next: the real
// step that prepares finds it whole, and is quick.
func (w *workplace) cache(c Cache) string {
	w.t.Helper()
	dir := filepath.Join(w.caches, c.Name)
	if strings.HasPrefix(c.Name, "go-tool-") {
		base, err := os.UserCacheDir()
		if err != nil {
			w.t.Fatal(err)
		}
		dir = filepath.Join(base, "sre-agent-tests", c.Name)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if c.Writable {
		unlock, err := gitrepo.Lock(w.t.Context(), dir+".lock", true)
		if err != nil {
			w.t.Fatal(err)
		}
		w.locks = append(w.locks, unlock)
	}
	return dir
}

var goInstall = regexp.MustCompile(`go install -ldflags='-s -w' '([^']+)'`)

// seed builds a large tool with the machine's own build cache, in which much of it may be already. The step that
// follows finds it whole. Small ones are built by the step itself.
func (w *workplace) seed(s Step) {
	w.t.Helper()
	m := goInstall.FindStringSubmatch(s.Script)
	if m == nil || strings.Contains(m[1], "gofumpt") || strings.Contains(m[1], "shfmt") {
		return
	}
	for _, c := range s.Caches {
		if !strings.HasPrefix(c.Name, "go-tool-") {
			continue
		}
		dir := w.cache(c)
		defer w.unlock()
		if _, err := os.Stat(filepath.Join(dir, ".complete")); err == nil {
			return
		}
		cmd := exec.CommandContext(w.t.Context(), "go", "install", "-ldflags=-s -w", m[1])
		cmd.Dir = w.t.TempDir()
		cmd.Env = append(os.Environ(), "GOBIN="+filepath.Join(dir, "bin"), "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("go install %s: %v: %s", m[1], err, out)
		}
		if err := os.WriteFile(filepath.Join(dir, ".complete"), nil, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

// temp is a step's folder for what is thrown away, but for Go's build cache, which holds nothing of a test's own.
func (w *workplace) temp() string {
	w.t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		w.t.Fatal(err)
	}
	shared, dir := filepath.Join(base, "sre-agent-tests", "go-build"), w.t.TempDir()
	if err := errors.Join(os.MkdirAll(shared, 0o755), os.Symlink(shared, filepath.Join(dir, "sre-go-build"))); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// unlock gives back what a step's caches locked.
func (w *workplace) unlock() {
	for _, u := range w.locks {
		u()
	}
	w.locks = nil
}

// commit gives the tree a .git of its own, in which it is as it was committed.
func (w *workplace) commit() {
	w.t.Helper()
	w.committed = true
	if err := os.RemoveAll(filepath.Join(w.tree, ".git")); err != nil {
		w.t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A", "-f"},
		{"-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "--allow-empty", "-m", "x"},
	} {
		cmd := exec.CommandContext(w.t.Context(), "git", args...)
		cmd.Dir = w.tree
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.t.TempDir(), "GIT_CONFIG_NOSYSTEM=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
}

// versions asks each program for what it says of itself, as the runner does in its sandbox.
var versions = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for program, script := range Probes() {
		if text, err := exec.Command("sh", "-c", script).Output(); err == nil {
			out[program] = strings.TrimSpace(string(text))
		}
	}
	return out
})

func installedTools(t *testing.T) map[string]string {
	t.Helper()
	return versions()
}
