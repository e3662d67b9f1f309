package gitrepo_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

func TestABranchAndACommitComeInOneConversation(t *testing.T) {
	t.Parallel()
	server := gittest.New(t)
	repo := server.Repo(t, "a.git", map[string]string{"a": "0\n"})
	m := open(t, newGit(t), remote(repo.URL))
	for _, branch := range []string{"", "main"} { // the first of them whole, the second with what is new
		base := repo.Commit(map[string]string{"a": "base " + branch})
		failing := repo.Commit(map[string]string{"a": "failing " + branch, "b": branch})
		repo.Push("work")
		repo.Git("push", "-q", "-f", "origin", base+":refs/heads/main")
		server.Requests()
		head, err := m.FetchHead(t.Context(), branch, failing)
		if err != nil || head != base {
			t.Fatalf("branch %q: %s, %v; want %s", branch, head, err, base)
		}
		asked := slices.DeleteFunc(server.Requests(), func(r string) bool { return !strings.Contains(r, "info/refs") })
		if want := map[string]int{"": 1, "main": 2}[branch]; len(asked) != want { // what is new in the files is another one
			t.Errorf("branch %q: %d conversations: %v", branch, len(asked), asked)
		}
		for commit, want := range map[string]string{head: "base " + branch, failing: "failing " + branch} {
			fetch(t, m, commit)
			if got := files(t, checkout(t, m, commit).Dir())["a"]; got != want {
				t.Errorf("branch %q: %q, want %q", branch, got, want)
			}
		}
		if asked := server.Requests(); len(asked) > 0 {
			t.Errorf("branch %q: what is there was asked for again: %v", branch, asked)
		}
	}
}

func TestTheHeadIsAskedForEachTime(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "0\n"})
	m := open(t, newGit(t), remote(repo.URL))
	failing := repo.Push("main")
	for i := range 3 {
		head, err := m.FetchHead(t.Context(), "main", failing)
		if want := repo.Push("main"); err != nil || head != want {
			t.Errorf("look %d: %s, %v; want %s", i, head, err, want)
		}
		repo.Commit(map[string]string{"a": strings.Repeat("x", i+1)})
		repo.Push("main")
	}
}

func TestWhatIsGoneIsToldOfByItself(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "0\n"})
	commit := repo.Push("main")
	const gone = "0123456789012345678901234567890123456789"
	for _, c := range []struct{ name, branch, commit, head, reason string }{
		{"a commit that is gone leaves the head", "main", gone, commit, ""},
		{"a branch that is gone", "other", commit, "", "branch_not_found"},
		{"both", "other", gone, "", "branch_not_found"},
		{"no branch's name", "--upload-pack=x", commit, "", "bad_branch"},
		{"no commit's id", "main", "--all", "", "bad_commit"},
	} {
		m := open(t, newGit(t), remote(repo.URL))
		head, err := m.FetchHead(t.Context(), c.branch, c.commit)
		if reason, _ := fault.Reason(err); head != c.head || reason != c.reason || (err == nil) != (c.reason == "") {
			t.Errorf("%s: %q, %v", c.name, head, err)
		}
	}
}
