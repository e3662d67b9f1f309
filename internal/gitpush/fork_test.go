package gitpush_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

// TestAForkThatLagsBehindIsPushedTo: it lacks the commit that ours is on, and the mirror has no history to send.
func TestAForkThatLagsBehindIsPushedTo(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	gittest.Output(t, "", "git", "clone", "-q", "--bare", s.repo.Bare, s.server.Root+"/fork.git")
	gittest.Output(t, "", "git", "-C", s.server.Root+"/fork.git", "config", "http.receivepack", "true")
	fork := gitrepo.Remote{URL: s.server.URL + "/fork.git", Username: gittest.User, Token: gittest.Token}
	for _, content := range []string{"1\n1\n", "1\n2\n", "1\n"} {
		s.repo.Commit(map[string]string{"a": content})
	}
	s.base = s.repo.Push("main")
	for _, branch := range []string{"sre-agent/x", "sre-agent/y"} {
		id := s.commit(t, branch)
		if err := s.pusher.Push(t.Context(), s.mirror, fork, id, branch, ""); err != nil {
			t.Fatal(err)
		}
		if got := gittest.Output(t, "", "git", "-C", s.server.Root+"/fork.git", "rev-list", "--count", branch); got != "5\n" {
			t.Errorf("the fork's branch has %s commits", got)
		}
	}
	gittest.Output(t, "", "git", "-C", s.server.Root+"/fork.git", "fsck", "--strict")
}
