package gitpush_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

func TestAFormattedPatchGivesTheSameTreeToGitAm(t *testing.T) {
	s := newSetup(t)
	commit := s.commit(t, "Fix: the build\n\nWith a body.\n")
	first, err := s.pusher.FormatPatch(t.Context(), s.mirror, commit)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.pusher.FormatPatch(t.Context(), s.mirror, commit)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second time: %v, or other bytes", err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "fix.patch")
	if err := os.WriteFile(file, first, 0o600); err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(dir, "clone")
	gittest.Output(t, "", "git", "clone", "-q", s.repo.Bare, clone)
	gittest.Output(t, "", "git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@b", "am", "-q", file)
	want := gittest.Output(t, "", "git", "-C", s.mirror.Dir(), "rev-parse", commit+"^{tree}")
	if got := gittest.Output(t, "", "git", "-C", clone, "rev-parse", "HEAD^{tree}"); got != want {
		t.Errorf("git am made the tree %s, want %s", got, want)
	}
}

func TestAMessageThatGitAmWouldTakeForAPatchIsRefused(t *testing.T) {
	s := newSetup(t)
	for _, line := range []string{"---", "diff --git a/x b/x", "From 0123"} {
		_, err := s.pusher.FormatPatch(t.Context(), s.mirror, s.commit(t, "Fix\n\n"+line+"\nmore\n"))
		wantReason(t, line, err, "bad_commit_metadata")
	}
}
