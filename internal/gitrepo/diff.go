package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const (
	// MaxDiff bounds a diff, and the lists of names that lead to it, in bytes.
	MaxDiff = 16 << 20
	// maxChanged bounds the files that a diff is made of, in bytes.
	maxChanged = 64 << 20
)

// Diff is the difference between the commit and the files as they are: tracked files and new ones that are not
// ignored, binary-safe and with full object ids, the same bytes whatever the configuration. Too much of it is
// "diff_too_large". The tree's .git, nested repositories and submodules are not looked at; special files are removed.
func (t *Tree) Diff(ctx context.Context) ([]byte, error) {
	return t.compare(ctx, "--patch", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
		"--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--inter-hunk-context=0", "--diff-algorithm=myers",
		"--ignore-submodules=all", "--submodule=short", "--no-relative")
}

// Changed lists the paths that Diff is about.
func (t *Tree) Changed(ctx context.Context) ([]string, error) {
	out, err := t.compare(ctx, "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=all", "--no-relative")
	return split(out), err
}

func split(out []byte) []string {
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// compare puts the files into a fresh index and compares that with the commit. Fresh, as it then knows no file's
// times: git reads every file, and none can hide a change by restoring them (git looks at whole seconds only). It does
// not use git add or git diff on the files: both start git inside of nested repositories, with the configuration that
// they find there.
func (t *Tree) compare(ctx context.Context, flags ...string) ([]byte, error) {
	if err := t.disarm(); err != nil {
		return nil, fmt.Errorf("gitrepo: diff: %w", err)
	}
	scratch, err := os.MkdirTemp(t.gitDir, "diff-")
	if err != nil {
		return nil, fmt.Errorf("gitrepo: diff: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	index := filepath.Join(scratch, "index")
	if _, err := t.run(ctx, index, nil, "read-tree", t.head); err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	out, err := t.update(ctx, index)
	if err == nil {
		out, err = t.run(ctx, index, nil, append(append([]string{"diff-index", "--cached"}, flags...), t.commit, "--")...)
	}
	if errors.Is(err, ErrTooLarge) {
		return nil, fault.Perm("diff_too_large", err)
	}
	if err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	return out, nil
}

// update brings the index up to date with the files.
func (t *Tree) update(ctx context.Context, index string) ([]byte, error) {
	tracked, err := t.run(ctx, index, nil, "ls-files", "-z", "--modified", "--deleted")
	if err != nil {
		return nil, err
	}
	others, err := t.run(ctx, index, nil, "ls-files", "-z", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	var add, remove bytes.Buffer
	if err := t.sortOut(split(tracked), split(others), &add, &remove); err != nil {
		return nil, err
	}
	if remove.Len() > 0 {
		if out, err := t.run(ctx, index, remove.Bytes(), "update-index", "-z", "--force-remove", "--stdin"); err != nil {
			return out, err
		}
	}
	if add.Len() > 0 {
		return t.run(ctx, index, add.Bytes(), "update-index", "-z", "--add", "--replace", "--stdin")
	}
	return nil, nil
}

// sortOut looks at each name itself, through os.Root and without following its last part, so that git only gets to
// open regular files and links of a bounded size, never a pipe, a device or a repository.
func (t *Tree) sortOut(tracked, others []string, add, remove *bytes.Buffer) error {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	var size int64
	slices.Sort(tracked)
	tracked = slices.Compact(tracked) // a deleted file is listed twice
	for i, name := range slices.Concat(tracked, others) {
		isTracked := i < len(tracked)
		info, err := lstatBeneath(root, name)
		switch {
		case err == nil && (info.Mode().IsRegular() || info.Mode().Type() == fs.ModeSymlink):
			size += info.Size()
			add.WriteString(name + "\x00")
		case isTracked && (err == nil || gone(err)):
			remove.WriteString(name + "\x00")
		case err != nil && !gone(err):
			return err
		}
		if size > maxChanged {
			return fmt.Errorf("%w: the changed files have more than %d bytes", ErrTooLarge, maxChanged)
		}
	}
	return nil
}

// disarm removes what git would hang on when it looks for .gitignore, .gitattributes and nested repositories: pipes,
// sockets and devices anywhere, and below the top a .git that is not a folder or has links in it. None of these can
// be in a commit.
func (t *Tree) disarm() error {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		kind := fs.ModeDir
		if entry != nil {
			kind = entry.Type()
		}
		switch {
		case err != nil:
			return err
		case name == ".git" && kind.IsDir():
			return fs.SkipDir
		case kind.IsDir():
			return nil
		case name == ".git", kind.IsRegular() && filepath.Base(name) != ".git":
			return nil
		case kind == fs.ModeSymlink && filepath.Base(name) != ".git" && !strings.Contains(name, "/.git/"):
			return nil
		}
		return root.Remove(name)
	})
}

var errBeyondLink = fmt.Errorf("beyond a link: %w", fs.ErrNotExist)

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "not a directory")
}

// lstatBeneath is Lstat that takes a path through a link for one that is not there, as git does.
func lstatBeneath(root *os.Root, name string) (fs.FileInfo, error) {
	name = strings.TrimSuffix(name, "/")
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		info, err := root.Lstat(name[:i])
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, errBeyondLink
		}
	}
	return root.Lstat(name)
}
