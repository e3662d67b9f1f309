package gitrepo_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

// prepared is a mirror with a spare tree of the first commit, and the files of the second.
func prepared(t *testing.T) (m *gitrepo.Mirror, second string, want map[string]string) {
	t.Helper()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{
		"same": "1\n", "changed": "1\n", "gone": "1\n", "was-file": "1\n", "was-folder/x": "1\n", "d/deep/er": "1\n", "link@": "same", "run.sh": "#!/bin/sh\n", "same-size": "aaaa\n",
	})
	m = open(t, newGit(t), remote(repo.URL))
	first := repo.Push("main")
	fetch(t, m, first)
	if err := m.Prepare(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	repo.Git("rm", "-q", "gone", "was-file", "was-folder/x", "link")
	repo.Git("update-index", "--chmod=+x", "run.sh")
	repo.Git("commit", "-q", "-m", "changes")
	if err := os.Chmod(filepath.Join(repo.Work, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	second = repo.Commit(map[string]string{"changed": "2\n", "was-file/x": "2\n", "was-folder": "2\n", "link@": "changed", "new": "2\n", "same-size": "bbbb\n"})
	fetch(t, m, second)
	return m, second, map[string]string{
		"same": "1\n", "changed": "2\n", "was-file/x": "2\n", "was-folder": "2\n", "d/deep/er": "1\n", "link": "-> changed", "new": "2\n", "run.sh": "#!/bin/sh\n", "same-size": "bbbb\n",
	}
}

func spare(m *gitrepo.Mirror) string { return filepath.Join(m.Dir(), "spare") }

func TestACheckoutFromASpareTreeIsTheCommitToTheByte(t *testing.T) {
	t.Parallel()
	m, commit, want := prepared(t)
	tr := checkout(t, m, commit)
	if _, err := os.Stat(spare(m)); err == nil {
		t.Error("the spare tree was not used")
	}
	if diff := cmp.Diff(want, files(t, tr.Dir())); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(tr.Dir(), "run.sh")); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if d := diff(t, tr); d != "" || tr.Commit() != commit {
		t.Errorf("it differs from %s: %s", tr.Commit(), d)
	}
	if got := strings.TrimSpace(gittest.Output(t, "", "git", "--git-dir", tr.Dir()+".git", "rev-parse", "HEAD")); got != commit {
		t.Errorf("its head is %s", got)
	}
	if err := tr.Apply(t.Context(), []byte("diff --git a/same b/same\n--- a/same\n+++ b/same\n@@ -1 +1 @@\n-1\n+2\n")); err != nil {
		t.Error(err)
	}
	again := checkout(t, m, commit)
	if diff := cmp.Diff(want, files(t, again.Dir())); diff != "" {
		t.Errorf("the next one, without a spare: %s", diff)
	}
}

func TestASpareTreeThatIsOfNoUseIsNoHindrance(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir string) error{
		"its index is gone bad":     func(dir string) error { return os.WriteFile(dir+"/tree.git/index", []byte("x"), 0o644) },
		"its git directory is gone": func(dir string) error { return os.RemoveAll(dir + "/tree.git") },
		"its tree is gone":          func(dir string) error { return os.RemoveAll(dir + "/tree") },
		"it is of an earlier boot":  func(dir string) error { return os.WriteFile(dir+"/boot", []byte("another"), 0o644) },
		"it is empty":               func(dir string) error { return os.RemoveAll(dir + "/boot") },
		"a file was lost": func(dir string) error {
			return os.Truncate(dir+"/tree/same", 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, commit, want := prepared(t)
			if err := damage(spare(m)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, files(t, checkout(t, m, commit).Dir())); diff != "" {
				t.Error(diff)
			}
			if left, _ := filepath.Glob(m.Dir() + "/spare*"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestOneSpareTreeIsForOne(t *testing.T) {
	t.Parallel()
	m, commit, want := prepared(t)
	var all sync.WaitGroup
	for range 4 {
		dir := filepath.Join(t.TempDir(), "src")
		all.Go(func() {
			tr, err := m.Checkout(t.Context(), commit, dir)
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(want, files(t, tr.Dir())); diff != "" {
				t.Error(diff)
			}
		})
		all.Go(func() {
			if err := m.Prepare(t.Context(), commit); err != nil && !strings.Contains(err.Error(), "file exists") {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestWhatACrashLeftOfASpareTreeIsSwept(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	g := newGit(t)
	dir := filepath.Join(t.TempDir(), "mirror")
	for range 2 {
		m, err := g.OpenMirror(t.Context(), dir, remote(repo.URL))
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(dir + "/spare-*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		fetch(t, m, repo.Push("main"))
		for _, name := range []string{"spare-new-1/tree/x", "spare-taken-1/spare/tree"} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}
