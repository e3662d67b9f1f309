package gitrepo_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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
