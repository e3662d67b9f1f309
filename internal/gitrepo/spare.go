package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A spare is a work tree that lies ready in the mirror, with its git directory. Nothing but host code has ever seen
// it, so git may believe its index: the next checkout moves it to its place and writes just the files that differ.
const (
	spareDir  = "spare"
	spareTree = "tree"
	// spareBoot says since when the machine runs: nothing of a spare is synced, and a power cut may leave half of it.
	spareBoot = "boot"
	// Folders that only a crash leaves.
	spareNew   = "spare-new-"
	spareTaken = "spare-taken-"
)

// Prepare lays a spare tree ready for the next checkout, if there is none. It is for the time when nobody waits: it
// costs what a checkout costs, and the place of one tree.
func (m *Mirror) Prepare(ctx context.Context, commit string) error {
	if err := CheckCommit(commit); err != nil {
		return err
	}
	unlock, err := m.lock(ctx, false)
	if err != nil {
		return err
	}
	defer unlock()
	ready := filepath.Join(m.dir, spareDir)
	if _, err := os.Lstat(ready); err == nil {
		return nil
	}
	fresh, err := os.MkdirTemp(m.dir, spareNew)
	if err != nil {
		return fmt.Errorf("gitrepo: prepare: %w", err)
	}
	t := m.tree(commit, filepath.Join(fresh, spareTree))
	err = makeEmpty(t.dir)
	if err == nil {
		err = t.write(ctx)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(fresh, spareBoot), bootID(), 0o600)
	}
	if err == nil {
		err = os.Rename(fresh, ready)
	}
	if err != nil {
		_ = removeAll(fresh) // or somebody else's is ready
		return fmt.Errorf("prepare %s: %w", commit, err)
	}
	return nil
}

func bootID() []byte {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return id
}

// take moves the spare to the tree's place, and says whether there was one. Of two who want it, one gets it.
func (t *Tree) take() bool {
	taken, err := os.MkdirTemp(t.mirror.dir, spareTaken)
	if err != nil {
		return false
	}
	defer func() { _ = removeAll(taken) }()
	spare := filepath.Join(taken, spareDir)
	if os.Rename(filepath.Join(t.mirror.dir, spareDir), spare) != nil {
		return false
	}
	if boot, err := os.ReadFile(filepath.Join(spare, spareBoot)); err != nil || !bytes.Equal(boot, bootID()) {
		return false
	}
	// On another file system neither moves, and there is no spare for this one.
	tree := filepath.Join(spare, spareTree)
	if os.Rename(tree+".git", t.gitDir) != nil {
		return false
	}
	if os.Remove(t.dir) != nil || os.Rename(tree, t.dir) != nil {
		_ = errors.Join(removeAll(t.gitDir), makeEmpty(t.dir))
		return false
	}
	return true
}

// sweepSpares removes what a crash left in the making; the caller has the mirror for itself.
func (m *Mirror) sweepSpares() {
	for _, prefix := range []string{spareNew, spareTaken} {
		left, _ := filepath.Glob(filepath.Join(m.dir, prefix+"*"))
		for _, dir := range left {
			_ = removeAll(dir)
		}
	}
}
