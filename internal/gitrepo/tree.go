package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Mount is a host directory that sandboxed code should see, read-only, at a path inside.
type Mount struct{ Host, Inside string }

// Where the two object directories appear inside a sandbox.
const (
	insideMirror = "/git/mirror"
	insideTree   = "/git/tree"
)

// Tree is a throwaway work tree of one commit.
//
// It has two git directories. The one that host code uses lies outside of the tree, where sandboxed code can't touch
// it. The one in the tree, .git, is a copy for the checks that call git; host code writes it anew and never reads it.
type Tree struct {
	git    *Git
	mirror *Mirror
	commit string
	dir    string
	gitDir string
	head   string // commit, or what Apply made of it
}

// Checkout writes the files of a fetched commit to dir, which must be empty or not there, byte for byte as they are
// in the commit. The host's git directory is made beside it, as dir + ".git".
func (m *Mirror) Checkout(ctx context.Context, commit, dir string) (_ *Tree, err error) {
	if err := CheckCommit(commit); err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("gitrepo: %w", err)
	}
	if err := makeEmpty(dir); err != nil {
		return nil, fmt.Errorf("gitrepo: checkout: %w", err)
	}
	unlock, err := m.lock(ctx, false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t := m.tree(commit, dir)
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if err := removeAll(t.gitDir); err != nil {
		return nil, fmt.Errorf("gitrepo: checkout: %w", err)
	}
	if t.take() {
		if err = t.write(ctx); err == nil {
			return t, t.writeInside(commit)
		}
		m.git.log.WarnContext(ctx, "the spare tree is of no use", "mirror", m.dir, "error", err)
		if err := errors.Join(t.Close(), makeEmpty(dir)); err != nil {
			return nil, fmt.Errorf("gitrepo: checkout: %w", err)
		}
	}
	if err := t.write(ctx); err != nil {
		if localTrouble(err) {
			// Fetch looks again next time.
			_ = os.Remove(m.marker(commit))
		}
		return nil, err
	}
	if err := t.writeInside(commit); err != nil {
		return nil, err
	}
	return t, nil
}

func (m *Mirror) tree(commit, dir string) *Tree {
	return &Tree{git: m.git, mirror: m, commit: commit, head: commit, dir: dir, gitDir: dir + ".git"}
}

// write brings the tree to its commit: all files of an empty one, else those that its index has otherwise.
func (t *Tree) write(ctx context.Context) error {
	err := makeRepository(t.gitDir, t.commit+"\n", map[string]string{
		"config":  "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
		"shallow": t.commit + "\n", // its parents are not here
	})
	if err != nil {
		return fmt.Errorf("gitrepo: checkout: %w", err)
	}
	if _, err := t.run(ctx, "", nil, "read-tree", "--reset", "-u", t.commit); err != nil {
		return fmt.Errorf("checkout %s: %w", t.commit, err)
	}
	return nil
}

func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || len(entries) > 0 {
		return fmt.Errorf("%s is not an empty directory", dir)
	}
	return nil
}

// Dir is the directory with the files.
func (t *Tree) Dir() string { return t.dir }

// Commit is the commit that the tree was made from.
func (t *Tree) Commit() string { return t.commit }

// Mounts are what a sandbox must show read-only for the tree's own .git to work inside.
func (t *Tree) Mounts() []Mount {
	return []Mount{
		{Host: filepath.Join(t.mirror.dir, "objects"), Inside: insideMirror},
		{Host: filepath.Join(t.gitDir, "objects"), Inside: insideTree},
	}
}

func (t *Tree) run(ctx context.Context, index string, stdin []byte, args ...string) ([]byte, error) {
	return t.git.Run(ctx, Cmd{
		Args: args, GitDir: t.gitDir, WorkTree: t.dir, IndexFile: index,
		Objects: filepath.Join(t.mirror.dir, "objects"), Stdin: stdin, MaxOutput: MaxDiff,
	})
}

// Apply applies a diff to the files and the index, exactly or not at all ("patch_does_not_apply"). Inside a sandbox
// the result is then the commit that is checked out, so that checks which ask git for changes find none.
func (t *Tree) Apply(ctx context.Context, diff []byte) error {
	if err := t.disarm(); err != nil {
		return fmt.Errorf("gitrepo: apply: %w", err)
	}
	// Whoever changed the files' owner has outdated the index. Differences are for apply to judge.
	if _, err := t.run(ctx, "", nil, "update-index", "-q", "--really-refresh"); err != nil && !failedCommand(err) {
		return fmt.Errorf("apply: %w", err)
	}
	if _, err := t.run(ctx, "", diff, "apply", "--index", "--whitespace=nowarn", "-"); err != nil {
		if failedCommand(err) {
			return fault.Perm("patch_does_not_apply", err)
		}
		return fmt.Errorf("apply: %w", err)
	}
	tree, err := t.run(ctx, "", nil, "write-tree")
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	commit, err := t.git.Run(ctx, Cmd{
		GitDir: t.gitDir, Objects: filepath.Join(t.mirror.dir, "objects"),
		Args:  []string{"commit-tree", "-p", t.commit, strings.TrimSpace(string(tree))},
		Stdin: []byte("proposed fix\n"), Env: identity("sre-agent", "sre-agent@localhost", "@0 +0000"),
	})
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	t.head = strings.TrimSpace(string(commit))
	return t.writeInside(t.head)
}

func identity(name, email, when string) map[string]string {
	return map[string]string{
		"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": when,
		"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email, "GIT_COMMITTER_DATE": when,
	}
}

// failedCommand says whether git ran and refused, rather than having been stopped.
func failedCommand(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.ExitCode > 0
}

// insideConfig makes git inside a sandbox see past the change of owner. Whatever it says is only ever read in there.
const insideConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = false
	logallrefupdates = false
	trustctime = false
	checkStat = minimal
[gc]
	auto = 0
`

// writeInside writes the .git folder that sandboxed code sees, with head checked out. A former one may have been
// turned into anything: it is removed, and os.Root keeps every write inside of the tree.
func (t *Tree) writeInside(head string) error {
	index, err := os.ReadFile(filepath.Join(t.gitDir, "index"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("gitrepo: %w", err)
	}
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return fmt.Errorf("gitrepo: %w", err)
	}
	defer func() { _ = root.Close() }()
	if err := root.RemoveAll(".git"); err != nil {
		return fmt.Errorf("gitrepo: %w", err)
	}
	for _, dir := range []string{".git/objects/info", ".git/objects/pack", ".git/refs/heads", ".git/info"} {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("gitrepo: %w", err)
		}
	}
	files := map[string]string{
		"HEAD":                    head + "\n",
		"config":                  insideConfig,
		"shallow":                 t.commit + "\n",
		"index":                   string(index),
		"info/attributes":         neutralAttributes,
		"objects/info/alternates": insideMirror + "\n" + insideTree + "\n",
	}
	for name, content := range files {
		if err := root.WriteFile(".git/"+name, []byte(content), 0o644); err != nil {
			return fmt.Errorf("gitrepo: %w", err)
		}
	}
	return nil
}

// Close removes the files and the host's git directory.
func (t *Tree) Close() error {
	if err := errors.Join(removeAll(t.dir), removeAll(t.gitDir)); err != nil {
		return fmt.Errorf("gitrepo: remove the tree: %w", err)
	}
	return nil
}

// removeAll removes also what was made unreadable, as Go's module cache is and as sandboxed code may do.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return os.RemoveAll(dir)
	}
	_ = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			_ = root.Chmod(name, 0o700)
		}
		return nil
	})
	_ = root.Close()
	return os.RemoveAll(dir)
}
