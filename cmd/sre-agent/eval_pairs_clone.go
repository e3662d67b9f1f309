package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// clones are the git directories of the table's repositories. They are only read: what is made goes to staging.
type clones struct{ dir, staging string }

func findClones(dir, staging string) (clones, error) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return clones{}, &usageError{fmt.Sprintf("--repos: %q is not a folder", dir)}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return clones{}, err
	}
	return clones{dir: dir, staging: staging}, os.MkdirAll(staging, 0o700)
}

// clone is a bare repository that sees a clone's objects and has its own besides.
type clone struct{ gitDir string }

// open finds a repository's git directory (the folder owner+name itself, its .git, or the only folder in it) and
// stages it.
func (c clones) open(ctx context.Context, repo string) (clone, error) {
	name := strings.Replace(repo, "/", "+", 1)
	base := filepath.Join(c.dir, name)
	inside, _ := filepath.Glob(filepath.Join(base, "*"))
	for _, dir := range append([]string{base, filepath.Join(base, ".git")}, inside...) {
		if _, err := (clone{dir}).git(ctx, nil, "", "rev-parse", "--git-dir"); err != nil {
			continue
		}
		cl := clone{filepath.Join(c.staging, name+".git")}
		if _, err := cl.git(ctx, nil, "", "init", "--quiet", "--bare", "--template=", "."); err != nil {
			return clone{}, err
		}
		return cl, os.WriteFile(filepath.Join(cl.gitDir, "objects", "info", "alternates"), []byte(filepath.Join(dir, "objects")+"\n"), 0o600)
	}
	return clone{}, fmt.Errorf("there is no clone of %s at %s", repo, base)
}

// git runs git with nothing of the user's settings, and with an index of the call's own if it is named.
func (c clone) git(ctx context.Context, stdin []byte, index string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_DIR=" + c.gitDir,
		"GIT_AUTHOR_NAME=eval", "GIT_AUTHOR_EMAIL=eval@localhost", "GIT_AUTHOR_DATE=@1700000000 +0000",
		"GIT_COMMITTER_NAME=eval", "GIT_COMMITTER_EMAIL=eval@localhost", "GIT_COMMITTER_DATE=@1700000000 +0000",
	}
	if index != "" {
		// Nothing is ever written to that work tree, but git wants one to be named.
		cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+filepath.Join(c.gitDir, index), "GIT_WORK_TREE="+c.gitDir)
	}
	if err := os.MkdirAll(c.gitDir, 0o700); err != nil {
		return "", err
	}
	cmd.Dir, cmd.Stdin = c.gitDir, bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// commit makes a commit of its own of another one's files, without a history. Files whose contents the clone lacks, as
// one without large files does, are left out.
func (c clone) commit(ctx context.Context, id string) (string, error) {
	tree, err := c.tree(ctx, id, "base")
	if err != nil {
		return "", err
	}
	made, err := c.git(ctx, nil, "", "commit-tree", "-m", "the files of "+id, tree)
	return strings.TrimSpace(made), err
}

// tree reads a commit's files into an index, less those that the clone lacks, and returns the tree.
func (c clone) tree(ctx context.Context, id, index string) (string, error) {
	if _, err := c.git(ctx, nil, index, "read-tree", id+"^{tree}"); err != nil {
		return "", err
	}
	listed, err := c.git(ctx, nil, index, "ls-files", "--stage", "-z")
	if err != nil {
		return "", err
	}
	names := map[string][]string{} // by object
	for entry := range strings.SplitSeq(strings.TrimSuffix(listed, "\x00"), "\x00") {
		meta, name, _ := strings.Cut(entry, "\t")
		if fields := strings.Fields(meta); len(fields) == 3 && fields[0] != "160000" {
			names[fields[1]] = append(names[fields[1]], name)
		}
	}
	var ask, drop strings.Builder
	for object := range names {
		ask.WriteString(object + "\n")
	}
	kinds, err := c.git(ctx, []byte(ask.String()), "", "cat-file", "--batch-check", "--buffer")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(kinds) {
		if object, missing := strings.CutSuffix(strings.TrimSpace(line), " missing"); missing {
			for _, name := range names[object] {
				drop.WriteString(name + "\x00")
			}
		}
	}
	if _, err := c.git(ctx, []byte(drop.String()), index, "update-index", "--force-remove", "-z", "--stdin"); err != nil {
		return "", err
	}
	tree, err := c.git(ctx, nil, index, "write-tree")
	return strings.TrimSpace(tree), err
}

// sameTree says whether a diff on one commit gives another one's files exactly.
func (c clone) sameTree(ctx context.Context, parent string, diff []byte, fix string) (bool, error) {
	if _, err := c.tree(ctx, parent, "ours"); err != nil {
		return false, err
	}
	if _, err := c.git(ctx, diff, "ours", "apply", "--cached", "--whitespace=nowarn", "-"); err != nil {
		return false, err
	}
	ours, err := c.git(ctx, nil, "ours", "write-tree")
	if err != nil {
		return false, err
	}
	theirs, err := c.tree(ctx, fix, "theirs")
	return strings.TrimSpace(ours) == theirs, err
}
