package gitpush_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

const patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\ndiff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n"

func meta() gitpush.CommitMeta {
	return gitpush.CommitMeta{
		Message: "Fix the build\n\nWith a body.\n", AuthorName: "sre-agent", AuthorEmail: "agent@example.com",
		When: time.Date(2024, 5, 6, 7, 8, 9, 999, time.FixedZone("x", 3600)),
	}
}

type setup struct {
	server *gittest.Server
	repo   *gittest.Repo
	pusher *gitpush.Pusher
	mirror *gitrepo.Mirror
	remote gitrepo.Remote
	base   string
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{server: gittest.New(t)}
	s.repo = s.server.Repo(t, "a.git", map[string]string{"a": "1\n", "other": "x\n", ".gitattributes": "* text eol=crlf filter=evil\n"})
	s.base = s.repo.Push("main")
	s.remote = gitrepo.Remote{URL: s.repo.URL, Username: gittest.User, Token: gittest.Token}
	var err error
	if s.pusher, err = gitpush.New("", nil); err != nil {
		t.Fatal(err)
	}
	s.mirror = s.open(t)
	return s
}

func (s *setup) open(t *testing.T) *gitrepo.Mirror {
	t.Helper()
	m, err := s.pusher.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "mirror"), s.remote)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *setup) commit(t *testing.T, message string) string {
	t.Helper()
	m := meta()
	m.Message = message
	id, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(patch), m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// head asks the repository itself.
func (s *setup) head(t *testing.T, branch string) string {
	t.Helper()
	return strings.TrimSpace(gittest.Output(t, "", "git", "-C", s.repo.Bare, "for-each-ref", "--format=%(objectname)", "refs/heads/"+branch))
}

func wantReason(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got, ok := fault.Reason(err); !ok || got != want {
		t.Errorf("%s: got %v, want the reason %s", what, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), gittest.Token) || strings.Contains(err.Error(), gittest.ReadToken)) {
		t.Errorf("%s: the token is in the error: %v", what, err)
	}
}

func TestACommitIsAFunctionOfWhatGoesIn(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	first, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(patch), meta())
	if err != nil {
		t.Fatal(err)
	}
	for name, mirror := range map[string]*gitrepo.Mirror{"again": s.mirror, "in another mirror": s.open(t)} {
		if id, err := s.pusher.Commit(t.Context(), mirror, s.base, []byte(patch), meta()); err != nil || id != first {
			t.Errorf("%s: %s, %v, want %s", name, id, err, first)
		}
	}
	if other := s.commit(t, "another message"); other == first {
		t.Error("another message has the same id")
	}
	object := gittest.Output(t, "", "git", "-C", s.mirror.Dir(), "cat-file", "commit", first)
	_, object, _ = strings.Cut(object, "\n")
	want := "parent " + s.base + "\nauthor sre-agent <agent@example.com> 1714975689 +0000\ncommitter sre-agent <agent@example.com> 1714975689 +0000\n\nFix the build\n\nWith a body.\n"
	if diff := cmp.Diff(want, object); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsPushedIsBaseAndDiff(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	id := s.commit(t, "fix")
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/ci-abc", ""); err != nil {
		t.Fatal(err)
	}
	if got := s.head(t, "sre-agent/ci-abc"); got != id {
		t.Errorf("the branch is at %q, want %s", got, id)
	}
	sha, ok, err := s.pusher.RemoteHead(t.Context(), s.remote, "sre-agent/ci-abc")
	if sha != id || !ok || err != nil {
		t.Errorf("remote head %s, %v, %v", sha, ok, err)
	}
	if sha, ok, err := s.pusher.RemoteHead(t.Context(), s.remote, "sre-agent/none"); sha != "" || ok || err != nil {
		t.Errorf("no branch: %s, %v, %v", sha, ok, err)
	}
	list := gittest.Output(t, "", "git", "-C", s.repo.Bare, "ls-tree", "--format=%(objectmode) %(path)", id)
	if diff := cmp.Diff("100644 .gitattributes\n100644 a\n100755 new\n100644 other\n", list); diff != "" {
		t.Error(diff)
	}
	if got := gittest.Output(t, "", "git", "-C", s.repo.Bare, "show", id+":a"); got != "2\n" {
		t.Errorf("a is %q", got)
	}
	gittest.Output(t, "", "git", "-C", s.repo.Bare, "fsck", "--strict")
}

func TestPushAgainIsASuccess(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	id := s.commit(t, "fix")
	for range 2 {
		if err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheLease(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	mine, next := s.commit(t, "fix"), s.commit(t, "fix 2")
	foreign := s.repo.Commit(map[string]string{"foreign": "x"})
	s.repo.Push("sre-agent/foreign")
	push := func(id, branch, old string) error {
		return s.pusher.Push(t.Context(), s.mirror, s.remote, id, branch, old)
	}
	if err := push(mine, "sre-agent/foreign", ""); !errors.Is(err, gitpush.ErrLease) {
		t.Errorf("a branch that should not exist: %v", err)
	}
	if err := push(mine, "sre-agent/foreign", next); !errors.Is(err, gitpush.ErrLease) {
		t.Errorf("a branch that is elsewhere: %v", err)
	}
	if got := s.head(t, "sre-agent/foreign"); got != foreign {
		t.Errorf("the foreign branch was moved to %s", got)
	}
	if err := push(mine, "sre-agent/gone", next); !errors.Is(err, gitpush.ErrLease) {
		t.Errorf("a branch that is gone: %v", err)
	}
	if got := s.head(t, "sre-agent/gone"); got != "" {
		t.Errorf("the branch was made: %s", got)
	}
	if err := push(mine, "sre-agent/mine", ""); err != nil {
		t.Error(err)
	}
	if err := push(next, "sre-agent/mine", mine); err != nil || s.head(t, "sre-agent/mine") != next {
		t.Errorf("a move with the right lease: %v", err)
	}
}

func TestNoOtherRefIsPushed(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	id := s.commit(t, "fix")
	for _, branch := range []string{
		"main", "", "sre-agent", "sre-agent/", "refs/heads/main", "refs/heads/sre-agent/x", "sre-agent/../main", "sre-agent/x:refs/heads/main",
		"sre-agent/x y", "sre-agent/*", "+sre-agent/x", "sre-agent/x\n", "-sre-agent/x", "SRE-AGENT/x", "sre-agent//x", "sre-agent/x.lock", "heads/sre-agent/x",
	} {
		wantReason(t, branch, s.pusher.Push(t.Context(), s.mirror, s.remote, id, branch, ""), "ref_not_allowed")
	}
	if got := s.head(t, "main"); got != s.base {
		t.Errorf("main is at %s", got)
	}
	if refs := gittest.Output(t, "", "git", "-C", s.repo.Bare, "for-each-ref"); strings.Count(refs, "\n") != 1 {
		t.Errorf("refs: %s", refs)
	}
	for _, bad := range []string{"", "main", "HEAD", ":" + id, "+" + id} {
		wantReason(t, bad, s.pusher.Push(t.Context(), s.mirror, s.remote, bad, "sre-agent/x", ""), "bad_commit")
	}
	wantReason(t, "old", s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", "main"), "bad_commit")
}

func TestBadPatchesAndMetadata(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	commit := func(diff string, change func(*gitpush.CommitMeta)) error {
		m := meta()
		change(&m)
		_, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(diff), m)
		return err
	}
	same := func(*gitpush.CommitMeta) {}
	wantReason(t, "another context", commit(strings.Replace(patch, "-1\n", "-one\n", 1), same), "patch_does_not_apply")
	wantReason(t, "no patch", commit("hello", same), "patch_does_not_apply")
	wantReason(t, "an empty patch", commit("", same), "patch_does_not_apply")
	wantReason(t, ".git", commit(strings.ReplaceAll(patch, "/new", "/.git/hooks/x"), same), "patch_does_not_apply")
	wantReason(t, "no message", commit(patch, func(m *gitpush.CommitMeta) { m.Message = " \n" }), "bad_commit_metadata")
	wantReason(t, "a message with a zero byte", commit(patch, func(m *gitpush.CommitMeta) { m.Message = "a\x00b" }), "bad_commit_metadata")
	wantReason(t, "a time before 1970", commit(patch, func(m *gitpush.CommitMeta) { m.When = time.Unix(-1, 0) }), "bad_commit_metadata")
	wantReason(t, "an author with a line end", commit(patch, func(m *gitpush.CommitMeta) { m.AuthorName = "a\nparent b" }), "bad_commit_metadata")
	wantReason(t, "an address with a bracket", commit(patch, func(m *gitpush.CommitMeta) { m.AuthorEmail = "a> 0 +0000" }), "bad_commit_metadata")
	s.base = strings.Repeat("12", 20)
	wantReason(t, "a base that is not there", commit(patch, same), "commit_not_found")
}

func TestRefusalsOfTheServer(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	id := s.commit(t, "fix")
	push := func(change func(*gitrepo.Remote)) error {
		r := s.remote
		change(&r)
		return s.pusher.Push(t.Context(), s.mirror, r, id, "sre-agent/x", "")
	}
	same := func(*gitrepo.Remote) {}
	wantReason(t, "a wrong token", push(func(r *gitrepo.Remote) { r.Token = "wrong" }), "unauthorized")
	wantReason(t, "a token that may only read", push(func(r *gitrepo.Remote) { r.Token = gittest.ReadToken }), "forbidden")
	wantReason(t, "no such repository", push(func(r *gitrepo.Remote) { r.URL += "x" }), "repository_not_found")
	s.server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("This repository was archived so it is read-only.\n"))
		return true
	})
	wantReason(t, "an archived repository", push(same), "repository_archived")
	s.server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "x", http.StatusBadGateway)
		return true
	})
	if err := push(same); err == nil {
		t.Error("a broken gateway is a success")
	} else if reason, permanent := fault.Reason(err); permanent {
		t.Errorf("a broken gateway is permanent: %s", reason)
	}
	s.server.Intercept(nil)
	hook := filepath.Join(s.repo.Bare, "hooks/pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho no >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "a rule of the server", push(same), "push_rejected")
}

func TestAPushThatGotThroughUnseenIsFoundAgain(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	id := s.commit(t, "fix")
	// The server does its work, and the answer is lost.
	s.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			return false
		}
		gittest.Output(t, "", "git", "-C", s.repo.Bare, "fetch", "-q", s.mirror.Dir(), id+":refs/heads/sre-agent/x")
		http.Error(w, "the answer is lost", http.StatusBadGateway)
		return true
	})
	err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", "")
	if _, permanent := fault.Reason(err); err == nil || permanent || errors.Is(err, gitpush.ErrLease) {
		t.Errorf("the first push: %v", err)
	}
	s.server.Intercept(nil)
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", ""); err != nil {
		t.Errorf("the second push: %v", err)
	}
	if got := s.head(t, "sre-agent/x"); got != id {
		t.Errorf("the branch is at %s", got)
	}
}

func TestARepositoryThatMovedOnIsStillPushedTo(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	id := s.commit(t, "fix") // on a base that is no longer any branch's head
	s.repo.Commit(map[string]string{"a": "3\n"})
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", ""); err != nil {
		t.Fatal(err)
	}
	gittest.Output(t, "", "git", "-C", s.repo.Bare, "fsck", "--strict")
}
