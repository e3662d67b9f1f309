package gitrepo_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

// tree makes a repository with the files and checks it out.
func tree(t *testing.T, content map[string]string) (*gitrepo.Tree, *gitrepo.Mirror) {
	t.Helper()
	repo := gittest.New(t).Repo(t, "a.git", content)
	m := open(t, newGit(t), remote(repo.URL))
	commit := repo.Push("main")
	fetch(t, m, commit)
	return checkout(t, m, commit), m
}

func write(t *testing.T, tree *gitrepo.Tree, name, content string) {
	t.Helper()
	path := filepath.Join(tree.Dir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func diff(t *testing.T, tree *gitrepo.Tree) string {
	t.Helper()
	// A pipe that git opens would block for ever.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := tree.Diff(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func changed(t *testing.T, tree *gitrepo.Tree) []string {
	t.Helper()
	names, err := tree.Changed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestADiffOfEveryKindOfChangeAppliesElsewhere(t *testing.T) {
	t.Parallel()
	files0 := map[string]string{
		"changed": "1\n2\n3\n", "deleted": "x\n", "becomes-folder": "x\n", "folder/a": "x\n", "link@": "changed", "binary": "a\x00b", "mode": "#!/bin/sh\n",
		"same-size": "aaaa\n", "crlf": "a\r\nb\r\n", "no-end": "x", ".gitignore": "ignored\n", "name with blank": "x\n", "ü": "x\n", "quote\"tab\t": "x\n",
	}
	tr, m := tree(t, files0)
	if d := diff(t, tr); d != "" || changed(t, tr) != nil {
		t.Fatalf("a fresh tree differs: %s", d)
	}
	write(t, tr, "changed", "1\nTWO\n3\n")
	write(t, tr, "same-size", "bbbb\n")
	write(t, tr, "binary", "a\x00c\xff")
	write(t, tr, "crlf", "a\nb\r\n")
	write(t, tr, "no-end", "y")
	write(t, tr, "new/file", "new\n")
	write(t, tr, "new/empty", "")
	write(t, tr, "ignored", "x\n")
	write(t, tr, "name with blank", "y\n")
	write(t, tr, "ü", "y\n")
	write(t, tr, "quote\"tab\t", "y\n")
	write(t, tr, "-option", "y\n")
	write(t, tr, ":(top)magic", "y\n")
	for _, err := range []error{
		os.Remove(tr.Dir() + "/deleted"),
		os.Remove(tr.Dir() + "/becomes-folder"),
		os.RemoveAll(tr.Dir() + "/folder"),
		os.Symlink("changed", tr.Dir()+"/folder"),
		os.Remove(tr.Dir() + "/link"),
		os.Symlink("elsewhere", tr.Dir()+"/link"),
		os.Chmod(tr.Dir()+"/mode", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, tr, "becomes-folder/x", "x\n")

	d := diff(t, tr)
	want := []string{
		"-option", ":(top)magic", "becomes-folder", "becomes-folder/x", "binary", "changed", "crlf", "deleted", "folder", "folder/a",
		"link", "mode", "name with blank", "new/empty", "new/file", "no-end", "quote\"tab\t", "same-size", "ü",
	}
	if diff := cmp.Diff(want, changed(t, tr)); diff != "" {
		t.Error(diff)
	}
	if again := diff(t, tr); again != d {
		t.Error("the second diff is another one")
	}
	other := checkout(t, m, tr.Commit())
	if err := other.Apply(t.Context(), []byte(d)); err != nil {
		t.Fatal(err)
	}
	got, exp := files(t, other.Dir()), files(t, tr.Dir())
	delete(exp, "ignored")
	if diff := cmp.Diff(exp, got); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(other.Dir() + "/mode"); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("mode: %v, %v", info, err)
	}
	if diff(t, other) != d {
		t.Error("the diff of the applied diff is another one")
	}
}

func TestApplyIsStrict(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n2\n3\n4\n5\n", "b": "x\n", "dir@": "/tmp"})
	good := "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n"
	create := func(path string) string {
		return "diff --git a/" + path + " b/" + path + "\nnew file mode 100644\n--- /dev/null\n+++ b/" + path + "\n@@ -0,0 +1 @@\n+x\n"
	}
	for name, patch := range map[string]string{
		"another context":          strings.Replace(good, " 1\n", " one\n", 1),
		"one good and one bad":     good + "diff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-y\n+z\n",
		"a file that is there":     create("b"),
		"a path out of the tree":   create("../escape"),
		"an absolute path":         create("/tmp/escape"),
		"a path through a link":    create("dir/escape"),
		"the .git folder":          create(".git/hooks/post-checkout"),
		"the .git folder, in caps": create("sub/.GIT/config"),
		"no patch":                 "hello\n",
		"nothing":                  "",
	} {
		wantReason(t, name, tr.Apply(t.Context(), []byte(patch)), "patch_does_not_apply")
		if d := diff(t, tr); d != "" {
			t.Errorf("%s: left %s", name, d)
		}
	}
	if err := tr.Apply(t.Context(), []byte(good)); err != nil {
		t.Fatal(err)
	}
	if got := files(t, tr.Dir())["a"]; got != "1\ntwo\n3\n4\n5\n" {
		t.Errorf("got %q", got)
	}
}

func TestApplyWorksAfterTheOwnerHasChanged(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n"})
	// As a change of owner does, this moves the file's change time.
	if err := os.Chmod(tr.Dir()+"/a", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tr.Apply(t.Context(), []byte("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n")); err != nil {
		t.Error(err)
	}
}

func TestAChangeCanNotHideBehindItsTimes(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1234\n"})
	path := tr.Dir() + "/a"
	// Long ago, so that git's own care for changes within one tick of the clock has no part in it.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := tr.Apply(t.Context(), []byte("diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n")); err != nil {
		t.Fatal(err)
	}
	write(t, tr, "a", "5678\n")
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if got := changed(t, tr); !slices.Equal(got, []string{"a", "n"}) {
		t.Errorf("got %v", got)
	}
}

func TestAttributesOfTheTreeHaveNoEffect(t *testing.T) {
	t.Parallel()
	attributes := strings.Join([]string{
		"*.ident ident", "*.crlf text eol=crlf", "*.auto text=auto", "*.enc working-tree-encoding=UTF-16", "*.filter filter=evil",
		"*.lfs filter=lfs diff=lfs merge=lfs -text", "*.diff diff=evil", "*.bin -diff", "*.sub export-subst", "[attr]m text eol=crlf", "*.macro m", "*.old crlf",
	}, "\n") + "\n"
	content := map[string]string{".gitattributes": attributes, "d/.gitattributes": "* text eol=crlf ident\n"}
	for _, name := range []string{"a.ident", "a.crlf", "a.auto", "a.enc", "a.filter", "a.lfs", "a.diff", "a.bin", "a.sub", "a.macro", "a.old", "d/x"} {
		content[name] = "$Id$ $Format:%H$\nline\r\nüline\n"
	}
	repo := gittest.New(t).Repo(t, "a.git", nil)
	// So that the objects hold what the test says and not what the attributes make of it.
	if err := os.WriteFile(repo.Work+"/.git/info/attributes", []byte("* -text !eol -ident -filter !working-tree-encoding\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	commit := repo.Commit(content)
	m := open(t, newGit(t), remote(repo.URL))
	fetch(t, m, commit)
	tr := checkout(t, m, commit)
	if diff := cmp.Diff(content, files(t, tr.Dir())); diff != "" {
		t.Errorf("checkout is not byte-exact: %s", diff)
	}
	if d := diff(t, tr); d != "" {
		t.Errorf("a fresh tree differs: %s", d)
	}
	for name := range content {
		if strings.HasPrefix(name, "a.") || name == "d/x" {
			write(t, tr, name, content[name]+"more $Id$\r\n")
		}
	}
	d := diff(t, tr)
	if n := strings.Count(d, "+more $Id$\r\n"); n != 12 || strings.Contains(d, "Binary") || strings.Contains(d, "GIT binary") {
		t.Errorf("%d of 12 changes are in the diff:\n%s", n, d)
	}
}

func TestHostileFoldersDoNotRunAnythingOnTheHost(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n", ".gitattributes": "* filter=evil diff=evil\n", "was-file": "x\n", "d/f": "y\n"})
	canary := filepath.Join(t.TempDir(), "canary")
	config := fmt.Sprintf(`[core]
	repositoryformatversion = 0
	fsmonitor = "touch %[1]s; false"
	hooksPath = %[2]s
	sshCommand = touch %[1]s
	pager = touch %[1]s
	worktree = /
[filter "evil"]
	clean = touch %[1]s
	smudge = touch %[1]s
	process = touch %[1]s
	required = true
[diff "evil"]
	command = touch %[1]s
	textconv = touch %[1]s
[diff]
	external = touch %[1]s
`, canary, tr.Dir()+"/.git/hooks")
	plant := func(dir string) {
		write(t, tr, dir+"/HEAD", "ref: refs/heads/main\n")
		write(t, tr, dir+"/config", config)
		write(t, tr, dir+"/refs/heads/main", tr.Commit()+"\n")
		write(t, tr, dir+"/objects/x", "")
		for _, hook := range []string{"pre-commit", "post-checkout", "post-index-change", "fsmonitor-watchman"} {
			write(t, tr, dir+"/hooks/"+hook, "#!/bin/sh\ntouch "+canary+"\n")
			if err := os.Chmod(filepath.Join(tr.Dir(), dir, "hooks", hook), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	plant(".git")
	plant("nested/.git")
	write(t, tr, "nested/file", "x\n")
	if err := os.Remove(tr.Dir() + "/was-file"); err != nil {
		t.Fatal(err)
	}
	plant("was-file/.git")
	write(t, tr, "a", "2\n")
	// The planted configuration works, where it is asked.
	gittest.Output(t, "", "sh", "-c", "cd "+tr.Dir()+" && git status >/dev/null 2>&1; rm "+canary)

	if got := changed(t, tr); !slices.Equal(got, []string{"a", "was-file"}) {
		t.Errorf("got %v", got)
	}
	if d := diff(t, tr); !strings.Contains(d, "-1\n+2\n") || strings.Contains(d, canary) {
		t.Errorf("got %s", d)
	}
	if err := tr.Apply(t.Context(), []byte("diff --git a/d/f b/d/f\n--- a/d/f\n+++ b/d/f\n@@ -1 +1 @@\n-y\n+z\n")); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(tr.Dir() + "/.git/config"); err != nil || strings.Contains(string(content), canary) {
		t.Errorf("the tree's .git was not made anew: %v", err)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a planted command was run on the host")
	}
}

func TestAPlantedSubmoduleDoesNotRunAnythingOnTheHost(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n", ".gitmodules": "[submodule \"s\"]\n\tpath = s\n\turl = https://example.com/s\n"})
	repo.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("12", 20)+",s")
	repo.Git("commit", "-q", "-m", "submodule")
	commit := repo.Push("main")
	m := open(t, newGit(t), remote(repo.URL))
	fetch(t, m, commit)
	tr := checkout(t, m, commit)
	if entries, err := os.ReadDir(tr.Dir() + "/s"); err != nil || len(entries) > 0 {
		t.Errorf("the submodule was initialised: %v, %v", entries, err)
	}
	canary := filepath.Join(t.TempDir(), "canary")
	gittest.Output(t, "", "git", "init", "-q", tr.Dir()+"/s")
	gittest.Output(t, "", "git", "-C", tr.Dir()+"/s", "commit", "-q", "--allow-empty", "-m", "x")
	gittest.Output(t, "", "git", "-C", tr.Dir()+"/s", "config", "core.fsmonitor", "touch "+canary+"; false")
	write(t, tr, "s/file", "x\n")
	write(t, tr, "a", "2\n")
	if got := changed(t, tr); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
	if d := diff(t, tr); strings.Contains(d, "Subproject") || !strings.Contains(d, "+2") {
		t.Errorf("got %s", d)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a planted command was run on the host")
	}
}

func TestHostileLinksAreHarmless(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("the host's secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, m := tree(t, map[string]string{"passwd@": "/etc/passwd", "up@": "../../../../etc", "out@": outside, "loop@": "loop", "f": "x\n", "d/f": "x\n"})
	got := files(t, tr.Dir())
	if got["passwd"] != "-> /etc/passwd" || got["out"] != "-> "+outside || got["up"] != "-> ../../../../etc" {
		t.Errorf("got %v", got)
	}
	// What sandboxed code may do: turn files, folders and .git into links, and change "through" them.
	for _, err := range []error{
		os.Remove(tr.Dir() + "/f"), os.Symlink(secret, tr.Dir()+"/f"),
		os.RemoveAll(tr.Dir() + "/d"), os.Symlink(outside, tr.Dir()+"/d"),
		os.WriteFile(outside+"/f", []byte("y\n"), 0o600),
		os.Symlink(secret, tr.Dir()+"/new-link"),
		os.Symlink(secret, tr.Dir()+"/.gitignore"),
		os.RemoveAll(tr.Dir() + "/.git"), os.Symlink(outside, tr.Dir()+"/.git"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := diff(t, tr)
	if strings.Contains(d, "the host's secret") || strings.Contains(d, "+y") || strings.Contains(d, "root:") {
		t.Errorf("the diff reads through links:\n%s", d)
	}
	if diff := cmp.Diff([]string{".gitignore", "d", "d/f", "f", "new-link"}, changed(t, tr)); diff != "" {
		t.Error(diff)
	}
	if err := tr.Apply(t.Context(), []byte("diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n")); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 2 {
		t.Errorf("something was written outside: %v, %v", entries, err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(secret); err != nil || string(content) != "the host's secret\n" {
		t.Errorf("closing followed a link: %v", err)
	}

	into := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(outside, into); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Checkout(t.Context(), tr.Commit(), into); err == nil {
		t.Error("checked out into a link")
	}
}

func TestATreeThatWritesThroughItsOwnLinkIsRefused(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	blob := func(content string) string {
		return strings.TrimSpace(gittest.Output(t, content, "git", "-C", repo.Bare, "hash-object", "-w", "--stdin"))
	}
	mktree := func(lines ...string) string {
		return strings.TrimSpace(gittest.Output(t, strings.Join(lines, "\n")+"\n", "git", "-C", repo.Bare, "mktree"))
	}
	sub := mktree("100644 blob " + blob("evil") + "\tpwned")
	trees := map[string]string{
		// git mktree sorts, so the same name twice: a link and a folder.
		"a link and a folder of one name": mktree("120000 blob "+blob(outside)+"\tx", "040000 tree "+sub+"\tx"),
		"a folder named .git":             mktree("040000 tree " + sub + "\t.git"),
		"a folder named .GIT":             mktree("040000 tree " + sub + "\t.GIT"),
		"a folder named ..":               mktree("040000 tree " + sub + "\t.."),
	}
	g := newGit(t)
	for name, id := range trees {
		commit := strings.TrimSpace(gittest.Output(t, "x", "git", "-C", repo.Bare, "commit-tree", id))
		gittest.Output(t, "", "git", "-C", repo.Bare, "update-ref", "refs/heads/evil", commit)
		m := open(t, g, remote(repo.URL))
		wantReason(t, name, m.Fetch(t.Context(), commit), "repository_corrupt")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("written outside: %v", entries)
	}
}

func TestSpecialFilesDoNotHangADiff(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n", "b": "1\n"})
	nested := tr.Dir() + "/nested/.git"
	if err := os.MkdirAll(nested+"/objects", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(nested+"/refs", 0o755); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	for _, path := range []string{pipe, tr.Dir() + "/.gitignore", tr.Dir() + "/.gitattributes", nested + "/HEAD", tr.Dir() + "/pipe"} {
		if err := syscall.Mkfifo(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.Remove(tr.Dir() + "/b"), syscall.Mkfifo(tr.Dir()+"/b", 0o666), os.Symlink(pipe, nested+"/commondir")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", tr.Dir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	write(t, tr, "a", "2\n")
	diff(t, tr)
	if got := changed(t, tr); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
}

func TestTooMuchOfADiffIsRefused(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n"})
	f, err := os.Create(tr.Dir() + "/huge")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	_, err = tr.Diff(t.Context())
	wantReason(t, "a sparse file of a terabyte", err, "diff_too_large")
	if err := os.Truncate(tr.Dir()+"/huge", 0); err != nil {
		t.Fatal(err)
	}
	write(t, tr, "huge", strings.Repeat("a line of text\n", 2<<20))
	_, err = tr.Diff(t.Context())
	wantReason(t, "30 MB of text", err, "diff_too_large")
}

func TestCloseRemovesWhatIsUnreadable(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n"})
	write(t, tr, "cache/mod/f", "x\n")
	for _, dir := range []string{"cache/mod", "cache"} {
		if err := os.Chmod(filepath.Join(tr.Dir(), dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheckoutWantsAnEmptyFolder(t *testing.T) {
	t.Parallel()
	tr, m := tree(t, map[string]string{"a": "1\n"})
	if _, err := m.Checkout(t.Context(), tr.Commit(), tr.Dir()); err == nil {
		t.Error("checked out over a tree")
	}
	if got := files(t, tr.Dir()); got["a"] != "1\n" {
		t.Errorf("the tree was touched: %v", got)
	}
	// What a crash left beside it is no hindrance.
	dir := filepath.Join(t.TempDir(), "src")
	if err := os.MkdirAll(dir+".git/objects", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Checkout(t.Context(), tr.Commit(), dir); err != nil {
		t.Error(err)
	}
}
