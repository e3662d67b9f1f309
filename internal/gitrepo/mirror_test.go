package gitrepo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

func newGit(t *testing.T) *gitrepo.Git {
	t.Helper()
	g, err := gitrepo.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func remote(url string) gitrepo.Remote {
	return gitrepo.Remote{URL: url, Username: gittest.User, Token: gittest.Token}
}

func open(t *testing.T, g *gitrepo.Git, r gitrepo.Remote) *gitrepo.Mirror {
	t.Helper()
	m, err := g.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "mirror"), r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fetch(t *testing.T, m *gitrepo.Mirror, commit string) {
	t.Helper()
	if err := m.Fetch(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
}

func checkout(t *testing.T, m *gitrepo.Mirror, commit string) *gitrepo.Tree {
	t.Helper()
	tree, err := m.Checkout(t.Context(), commit, filepath.Join(t.TempDir(), "src"))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// files reads a tree without its .git: regular files by content, links as "-> target".
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case name == ".git":
			return fs.SkipDir
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			got[name] = "-> " + target
			return err
		case entry.Type().IsRegular():
			content, err := os.ReadFile(path)
			got[name] = string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantReason(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got, ok := fault.Reason(err); !ok || got != want {
		t.Errorf("%s: got %v, want the reason %s", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), gittest.Token) {
		t.Errorf("%s: the token is in the error: %v", what, err)
	}
}

func TestAMirrorFetchesCommitsAndChecksThemOut(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n", "d/b": "2\n", "same": strings.Repeat("x\n", 1000), ".gitmodules": "[submodule \"s\"]\n\tpath = s\n\turl = https://example.com/s\n"})
	first := repo.Git("rev-parse", "HEAD")[:40]
	m := open(t, newGit(t), remote(repo.URL))
	fetch(t, m, first)
	tree := checkout(t, m, first)
	if got := files(t, tree.Dir()); got["a"] != "1\n" || got["d/b"] != "2\n" || len(got) != 4 {
		t.Errorf("got %v", got)
	}

	second := repo.Commit(map[string]string{"a": "new\n", "e/f/g": "3\n"})
	head, err := m.DefaultHead(t.Context())
	if main, berr := m.BranchHead(t.Context(), "main"); err != nil || berr != nil || head != main {
		t.Errorf("default branch at %s, %v; main at %s, %v", head, err, main, berr)
	}
	head, err = m.BranchHead(t.Context(), "main")
	if err != nil || head != second {
		t.Fatalf("head %s, %v", head, err)
	}
	fetch(t, m, second)
	tree2 := checkout(t, m, second)
	if got := files(t, tree2.Dir()); got["a"] != "new\n" || got["e/f/g"] != "3\n" || len(got) != 5 {
		t.Errorf("got %v", got)
	}
	if history := gittest.Output(t, "", "git", "-C", m.Dir(), "rev-list", "--count", second); history != "1\n" {
		t.Errorf("history came along: %s", history)
	}

	s.Requests()
	fetch(t, m, first)
	fetch(t, m, second)
	if r := s.Requests(); len(r) > 0 {
		t.Errorf("a warm fetch asked %v", r)
	}
	for _, tree := range []*gitrepo.Tree{tree, tree2} {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
		for _, dir := range []string{tree.Dir(), tree.Dir() + ".git"} {
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", dir, err)
			}
		}
	}
}

func TestALaterFetchBringsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n", "b": "2\n"})
	m := open(t, newGit(t), remote(repo.URL))
	fetch(t, m, repo.Push("main"))
	before := gittest.Output(t, "", "git", "-C", m.Dir(), "cat-file", "--batch-all-objects", "--batch-check")
	fetch(t, m, repo.Commit(map[string]string{"a": "changed\n"}))
	after := gittest.Output(t, "", "git", "-C", m.Dir(), "cat-file", "--batch-all-objects", "--batch-check")
	if got := strings.Count(after, "\n") - strings.Count(before, "\n"); got != 3 {
		t.Errorf("%d new objects, want a commit, a tree and a file", got)
	}
}

func TestAServerWithoutFiltersOrFilesByIDWorksToo(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	for _, setting := range []string{"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"} {
		gittest.Output(t, "", "git", "-C", repo.Bare, "config", setting, "false")
	}
	m := open(t, newGit(t), remote(repo.URL))
	fetch(t, m, repo.Push("main"))
	second := repo.Commit(map[string]string{"a": "2\n"})
	fetch(t, m, second)
	if got := files(t, checkout(t, m, second).Dir()); got["a"] != "2\n" {
		t.Errorf("got %v", got)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n"})
	commit := repo.Push("main")
	g := newGit(t)
	none := strings.Repeat("12", 20)
	wrong := gitrepo.Remote{URL: repo.URL, Username: gittest.User, Token: "wrong-" + gittest.Token}

	wantReason(t, "no such repository", open(t, g, remote(s.URL+"/none.git")).Fetch(t.Context(), commit), "repository_not_found")
	wantReason(t, "a wrong token", open(t, g, wrong).Fetch(t.Context(), commit), "unauthorized")
	wantReason(t, "no token", open(t, g, gitrepo.Remote{URL: repo.URL}).Fetch(t.Context(), commit), "unauthorized")
	m := open(t, g, remote(repo.URL))
	wantReason(t, "no such commit, cold", m.Fetch(t.Context(), none), "commit_not_found")
	fetch(t, m, commit)
	wantReason(t, "no such commit, warm", m.Fetch(t.Context(), none), "commit_not_found")
	_, err := m.BranchHead(t.Context(), "none")
	wantReason(t, "no such branch", err, "branch_not_found")
	_, err = m.BranchHead(t.Context(), "ain")
	wantReason(t, "the end of a branch's name", err, "branch_not_found")

	other := repo.Commit(map[string]string{"a": "2\n"})
	for status, want := range map[int]string{403: "forbidden", 301: "repository_moved", 500: "", 503: "", 429: ""} {
		s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			if status == 301 {
				w.Header().Set("Location", "/elsewhere.git")
			}
			http.Error(w, "remote: "+gittest.Token, status)
			return true
		})
		err := m.Fetch(t.Context(), other)
		if got, _ := fault.Reason(err); err == nil || got != want {
			t.Errorf("status %d: got %v, want the reason %q", status, err, want)
		}
	}
	s.Intercept(nil)
	fetch(t, m, other)

	down := open(t, g, remote("http://127.0.0.1:1/a.git"))
	err = down.Fetch(t.Context(), commit)
	if _, permanent := fault.Reason(err); err == nil || permanent {
		t.Errorf("a server that is down: %v", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n"})
	var mu sync.Mutex
	var leaked []string
	thief := gittest.New(t)
	thief.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		leaked = append(leaked, r.URL.Path)
		return false
	})
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, thief.URL+r.URL.RequestURI(), http.StatusMovedPermanently)
		return true
	})
	wantReason(t, "a redirect", open(t, newGit(t), remote(repo.URL)).Fetch(t.Context(), repo.Push("main")), "repository_moved")
	mu.Lock()
	defer mu.Unlock()
	if len(leaked) > 0 {
		t.Errorf("followed to %v", leaked)
	}
}

func TestHostileRemotesAreRefusedBeforeGitRuns(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	canary := filepath.Join(t.TempDir(), "canary")
	for _, url := range []string{
		"", "ext::sh -c touch% " + canary, "file:///etc", "/etc", "../x", "ssh://host/x", "git@host:x", "git://host/x",
		"-oProxyCommand=touch " + canary, "--upload-pack=touch " + canary, "https://host/x\nextraHeader: y", "https://host/x y",
		"https://user:pass@host/x", "https://user@host/x", "http://", "https:///x", "https://-oProxyCommand=x/y", "https://host/x?y=z",
		"https://host/x#y", "https://host/a/../b", "https://host/\x00", "https://host/\u202e", "http::https://host/x", "https://host/" + strings.Repeat("x", 3000),
	} {
		_, err := g.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "m"), gitrepo.Remote{URL: url})
		wantReason(t, fmt.Sprintf("%.60q", url), err, "bad_repository_url")
	}
	_, err := g.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "m"), gitrepo.Remote{URL: "https://host/x", Token: "a\nHost: b"})
	wantReason(t, "a token with a line end", err, "bad_credentials")
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command of the URL was run")
	}
}

func TestGitItselfSpeaksNothingButHTTP(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	canary := filepath.Join(t.TempDir(), "canary")
	for _, url := range []string{repo.Bare, "file://" + repo.Bare, "ext::touch " + canary} {
		// Past the check of the URL, as an argument.
		out, err := newGit(t).Run(t.Context(), gitrepo.Cmd{Args: []string{"ls-remote", "--", url}})
		if err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %s, %v", url, out, err)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command was run")
	}
}

func TestOnlyKnownCommandsRun(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	for _, args := range [][]string{nil, {"push"}, {"format-patch"}, {"send-pack"}, {"receive-pack"}, {"-c", "alias.x=!touch y", "x"}, {"http-push"}, {"remote-https"}, {"clone"}, {"config"}} {
		if _, err := g.Run(t.Context(), gitrepo.Cmd{Args: args}); err == nil || !strings.Contains(err.Error(), "allowed") && args != nil {
			t.Errorf("git %v: %v", args, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"main": true, "feature/x": true, "sre-agent/ci-abc": true, "ü": true, "a.b": true, "a@b": true,
		"": false, "-x": false, "a..b": false, "a b": false, "a\nb": false, "a~1": false, "a^": false, "a:b": false, "a?": false, "a*": false,
		"a[b": false, "a\\b": false, "/a": false, "a/": false, "a//b": false, ".a": false, "a/.b": false, "a.lock": false, "a.lock/b": false,
		"a.": false, "@": false, "a@{1}": false, "HEAD": false, "a\x7f": false,
	} {
		if got := gitrepo.CheckBranch(name) == nil; got != good {
			t.Errorf("branch %q: %v", name, got)
		}
	}
	for id, good := range map[string]bool{
		strings.Repeat("a1", 20): true, strings.Repeat("a1", 32): true, "": false, "HEAD": false, strings.Repeat("A1", 20): false,
		strings.Repeat("a1", 19): false, "--upload-pack=x": false, strings.Repeat("a1", 20) + "\n": false,
	} {
		if got := gitrepo.CheckCommit(id) == nil; got != good {
			t.Errorf("commit %q: %v", id, got)
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{
		".sre-agent.yaml": "x: 1\n", "d/f": "in d", "link@": "d/f", "dirlink@": "d", "out@": "/etc/passwd", "*": "star", "big": strings.Repeat("x", 1001),
	})
	m := open(t, newGit(t), remote(repo.URL))
	commit := repo.Push("main")
	fetch(t, m, commit)
	for name, test := range map[string]struct{ path, want, reason string }{
		"a file":                    {".sre-agent.yaml", "x: 1\n", ""},
		"a file in a folder":        {"d/f", "in d", ""},
		"a name that is a pattern":  {"*", "star", ""},
		"nothing":                   {"none", "", ""},
		"nothing in a folder":       {"d/none", "", ""},
		"a file through a link":     {"dirlink/f", "", ""},
		"a link":                    {"link", "", "not_a_file"},
		"a link out of the tree":    {"out", "", "not_a_file"},
		"a folder":                  {"d", "", "not_a_file"},
		"too large a file":          {"big", "", "file_too_large"},
		"an absolute path":          {"/etc/passwd", "", "bad_path"},
		"a path out of the tree":    {"../x", "", "bad_path"},
		"a path with dots":          {"d/../d/f", "", "bad_path"},
		"a path that is an option":  {"--help", "", ""},
		"a path with a line end":    {"a\nb", "", "bad_path"},
		"a path with pattern magic": {":(top)d/f", "", ""},
	} {
		got, exists, err := m.ReadFile(t.Context(), commit, test.path, 1000)
		if test.reason != "" {
			wantReason(t, name, err, test.reason)
			continue
		}
		if err != nil || string(got) != test.want || exists != (test.want != "") {
			t.Errorf("%s: got %q, %v, %v", name, got, exists, err)
		}
	}
	if _, _, err := m.ReadFile(t.Context(), strings.Repeat("12", 20), "d/f", 10); err == nil {
		t.Error("a commit that is not there was read")
	}
}

func TestABrokenMirrorIsMadeAnew(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	other := gittest.New(t).Repo(t, "b.git", map[string]string{"b": "1\n"})
	commit := repo.Push("main")
	g := newGit(t)
	damage := map[string]func(dir string){
		"an empty folder":       func(dir string) { _ = os.RemoveAll(dir); _ = os.Mkdir(dir, 0o755) },
		"no objects":            func(dir string) { _ = os.RemoveAll(dir + "/objects") },
		"a truncated pack":      func(dir string) { truncate(t, dir+"/objects/pack/*.pack") },
		"no HEAD":               func(dir string) { _ = os.Remove(dir + "/HEAD") },
		"a crash in the making": func(dir string) { _ = os.Rename(dir, dir+".new") },
		"nothing":               func(dir string) { _ = os.RemoveAll(dir) },
		"no damage":             func(string) {},
	}
	for name, do := range damage {
		dir := filepath.Join(t.TempDir(), "mirror")
		for _, step := range []string{"before", "after"} {
			m, err := g.OpenMirror(t.Context(), dir, remote(repo.URL))
			if err != nil {
				t.Fatalf("%s, %s: %v", name, step, err)
			}
			if err := m.Fetch(t.Context(), commit); err != nil {
				t.Fatalf("%s, %s: %v", name, step, err)
			}
			if got := files(t, checkout(t, m, commit).Dir()); got["a"] != "1\n" {
				t.Errorf("%s, %s: %v", name, step, got)
			}
			do(dir)
		}
	}
	dir := filepath.Join(t.TempDir(), "mirror")
	for _, r := range []*gittest.Repo{repo, other} {
		m, err := g.OpenMirror(t.Context(), dir, remote(r.URL))
		if err != nil {
			t.Fatal(err)
		}
		fetch(t, m, r.Push("main"))
		if _, err := os.Stat(filepath.Join(dir, "complete", commit)); (err == nil) != (r == repo) {
			t.Errorf("%s: the other repository's commit: %v", r.URL, err)
		}
	}
}

func truncate(t *testing.T, pattern string) {
	t.Helper()
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		t.Fatalf("no %s", pattern)
	}
	for _, path := range found {
		_ = os.Chmod(path, 0o644)
		if err := os.Truncate(path, 20); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyUseOneMirrorAtOnce(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "0\n"})
	dir := filepath.Join(t.TempDir(), "mirror")
	g := newGit(t)
	var commits []string
	for i := range 4 {
		commits = append(commits, repo.Commit(map[string]string{"a": fmt.Sprint(i), fmt.Sprint("f", i): "x"}))
	}
	var all sync.WaitGroup
	for i, commit := range append(commits, commits...) {
		src := filepath.Join(t.TempDir(), "src")
		all.Go(func() {
			m, err := g.OpenMirror(t.Context(), dir, remote(repo.URL))
			if err == nil {
				err = m.Fetch(t.Context(), commit)
			}
			if err == nil {
				_, err = m.Checkout(t.Context(), commit, src)
			}
			if got, _ := os.ReadFile(src + "/a"); err != nil || string(got) != fmt.Sprint(i%4) {
				t.Errorf("%d: %q, %v", i, got, err)
			}
		})
	}
	all.Wait()
}

func TestAMirrorDoesNotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "0\n"})
	m := open(t, newGit(t), remote(repo.URL))
	var last string
	for i := range 70 {
		last = repo.Commit(map[string]string{"a": fmt.Sprint(i)})
		fetch(t, m, last)
	}
	refs, _ := filepath.Glob(m.Dir() + "/refs/mirror/*")
	packs, _ := filepath.Glob(m.Dir() + "/objects/pack/*.pack")
	if len(refs) > 64 || len(packs) > 62 {
		t.Errorf("%d refs, %d packs", len(refs), len(packs))
	}
	if got := files(t, checkout(t, m, last).Dir()); got["a"] != "69" {
		t.Errorf("got %v", got)
	}
}

func TestTheTokenIsNowhereToBeFound(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	top := t.TempDir()
	argv := filepath.Join(top, "argv")
	bin := filepath.Join(top, "git")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+argv+"\nexec git \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	g, err := gitrepo.New(bin, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	r := remote(repo.URL)
	m, err := g.OpenMirror(t.Context(), filepath.Join(top, "mirror"), r)
	if err != nil {
		t.Fatal(err)
	}
	commit := repo.Push("main")
	fetch(t, m, commit)
	fetch(t, m, repo.Commit(map[string]string{"a": "2\n"}))
	missing := m.Fetch(t.Context(), strings.Repeat("12", 20))
	if missing == nil {
		t.Fatal("a missing commit was fetched")
	}
	tree, err := m.Checkout(t.Context(), commit, filepath.Join(top, "src"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Diff(t.Context()); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "remote", r, "error", missing)
	texts := map[string]string{
		"the log": log.String(), "an error": missing.Error(), "%v": fmt.Sprintf("%v %+v %s", r, r, r), "%#v": fmt.Sprintf("%#v", r),
	}
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			content, _ := os.ReadFile(path)
			texts[path] = string(content)
		}
		return nil
	})
	if !strings.Contains(texts[argv], "fetch\n") || len(texts) < 20 {
		t.Fatalf("only %d texts were looked at; argv: %s", len(texts), texts[argv])
	}
	for where, text := range texts {
		// Also as it goes over the wire: base64 of "agent:s3cret...".
		for _, secret := range []string{gittest.Token, "YWdlbnQ6czNjcmV0", "uthorization"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, where)
			}
		}
	}
}

func TestTheHostsConfigurationHasNoSay(t *testing.T) {
	// Not parallel: it changes the environment.
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\r\n"})
	home := t.TempDir()
	canary := filepath.Join(home, "canary")
	config := "[core]\n\tautocrlf = true\n\tfsmonitor = touch " + canary + "\n\thooksPath = " + home + "\n[alias]\n\tfetch = !touch " + canary + "\n[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http\n"
	for _, name := range []string{".gitconfig", "config"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hook := filepath.Join(home, "post-checkout")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+canary+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := open(t, newGit(t), remote(repo.URL))
	commit := repo.Push("main")
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, "config"))
	t.Setenv("GIT_CONFIG_PARAMETERS", "'core.hookspath'='"+home+"'")
	t.Setenv("GIT_DIR", home)
	t.Setenv("GIT_EXEC_PATH", home)
	fetch(t, m, commit)
	tree := checkout(t, m, commit)
	if got := files(t, tree.Dir()); got["a"] != "1\r\n" {
		t.Errorf("got %q", got)
	}
	if diff, err := tree.Diff(t.Context()); err != nil || len(diff) > 0 {
		t.Errorf("diff %s, %v", diff, err)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command of the configuration was run")
	}
}

func TestCancellingStopsAFetch(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n"})
	m := open(t, newGit(t), remote(repo.URL))
	ctx, cancel := context.WithCancel(t.Context())
	s.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done() // the client has gone
		return true
	})
	begin := time.Now()
	err := m.Fetch(ctx, repo.Push("main"))
	if !errors.Is(err, context.Canceled) || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if _, permanent := fault.Reason(err); permanent {
		t.Errorf("cancelling is permanent: %v", err)
	}
}

func TestAnOldGitIsRefused(t *testing.T) {
	t.Parallel()
	for version, good := range map[string]bool{"2.33.9": false, "2.34.1": true, "1.99": false, "3.0.0": true, "2.39.5 (Apple Git)": true, "x": false} {
		bin := filepath.Join(t.TempDir(), "git")
		if err := os.WriteFile(bin, []byte("#!/bin/sh\necho 'git version "+version+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := gitrepo.New(bin, nil); (err == nil) != good {
			t.Errorf("%s: %v", version, err)
		}
	}
	if _, err := gitrepo.New("/nowhere/git", nil); err == nil {
		t.Error("a git that is not there was taken")
	}
}

func TestAWarmCheckoutTransfersAFractionOfAClone(t *testing.T) {
	t.Parallel()
	content := map[string]string{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		text := make([]byte, 10_000) // incompressible
		for j := range text {
			text[j] = byte(random.Uint32())
		}
		content[fmt.Sprintf("d%d/f%d", i%50, i)] = string(text)
	}
	s := gittest.New(t)
	repo := s.Repo(t, "public.git", content)
	m := open(t, newGit(t), gitrepo.Remote{URL: repo.URL})
	fetch(t, m, repo.Push("main"))
	work := t.TempDir()
	commit := repo.Commit(map[string]string{"d1/f1": "changed"})

	s.Sent()
	begin := time.Now()
	gittest.Output(t, "", "git", "clone", "-q", "--depth", "1", repo.URL, filepath.Join(work, "clone"))
	clone, cloned := s.Sent(), time.Since(begin)
	begin = time.Now()
	fetch(t, m, commit)
	if _, err := m.Checkout(t.Context(), commit, filepath.Join(work, "tree")); err != nil {
		t.Fatal(err)
	}
	warm, checkedOut := s.Sent(), time.Since(begin)
	// The times depend on what else the machine does, so they are only told.
	t.Logf("clone --depth 1: %d bytes, %v; warm fetch and checkout: %d bytes, %v", clone, cloned, warm, checkedOut)
	if clone < 3_000_000 || warm > clone/50 {
		t.Errorf("warm %d bytes, clone %d bytes", warm, clone)
	}
}

func TestErrorsOfTheServerAreMadeHarmless(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n"})
	s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "\x1b]0;title\x07 "+gittest.Token+strings.Repeat("y", 100_000)+"\n"+gittest.Token+"\n")
		return true
	})
	err := open(t, newGit(t), remote(repo.URL)).Fetch(t.Context(), repo.Push("main"))
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07") || strings.Contains(err.Error(), gittest.Token) || len(err.Error()) > 3000 {
		t.Errorf("got %.4000v", err)
	}
	if diff := cmp.Diff(true, strings.Contains(err.Error(), "error: 500")); diff != "" {
		t.Error(err)
	}
}
