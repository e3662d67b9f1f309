package conform

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sre-agent/sre-agent/internal/forge"
)

func testPullRequests(t *testing.T, d Driver) {
	t.Run("none are found for a branch without any", func(t *testing.T) {
		s := NewScene(t, d)
		found, err := d.Client(Writer).FindPullRequests(t.Context(), s.Owner, s.Name, s.Branch)
		if err != nil || len(found) != 0 {
			t.Errorf("found %+v, %v", found, err)
		}
	})
	t.Run("they are found by their branch alone", func(t *testing.T) { testFind(t, d) })
	if d.Lacks(PullStates) {
		return
	}
	t.Run("each is found in its state", func(t *testing.T) { testStates(t, d) })
	t.Run("the open ones are listed", func(t *testing.T) { testOpen(t, d) })
	t.Run("closing", func(t *testing.T) { testClose(t, d) })
	if !d.Lacks(Conflicts) {
		t.Run("conflicts are told", func(t *testing.T) { testConflicts(t, d) })
	}
	if !d.Lacks(Files) {
		t.Run("changed files", func(t *testing.T) { testFiles(t, d) })
	}
}

func testFind(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	_, err := c.CreatePullRequest(t.Context(), s.Owner, s.Name, s.second())
	must(t, err)
	found, err := c.FindPullRequests(t.Context(), s.Owner, s.Name, s.Branch)
	if err != nil || len(found) != 1 || found[0].Number != s.number || found[0].HeadSHA != s.Commit || found[0].State != forge.Open {
		t.Errorf("found %+v, %v", found, err)
	}
}

// testStates has one closed, one closed and opened again, and one merged pull request of a branch.
func testStates(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	must(t, d.Close(s.Owner, s.Name, s.number))
	state := func(number int) (pr forge.PullRequest) {
		t.Helper()
		pr, err := c.PullRequest(t.Context(), s.Owner, s.Name, number)
		must(t, err)
		return pr
	}
	if pr := state(s.number); pr.State != forge.Closed || pr.Merged || pr.MergeCommit != "" {
		t.Errorf("closed: %+v", pr)
	}
	must(t, d.Reopen(s.Owner, s.Name, s.number))
	if pr := state(s.number); pr.State != forge.Open {
		t.Errorf("opened again: %+v", pr)
	}
	if d.Lacks(Repeats) {
		return
	}
	must(t, d.Close(s.Owner, s.Name, s.number))
	next, err := c.CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	must(t, err)
	must(t, d.Merge(s.Owner, s.Name, next.Number))
	merged := state(next.Number)
	if merged.State != forge.Closed || !merged.Merged {
		t.Errorf("merged: %+v", merged)
	}
	if head := s.Head(t, s.Base); !d.Lacks(MergeCommit) && (merged.MergeCommit != head || head == s.BaseCommit) {
		t.Errorf("the merge is %q, the base at %s", merged.MergeCommit, head)
	}
	found, err := c.FindPullRequests(t.Context(), s.Owner, s.Name, s.Branch)
	must(t, err)
	got := map[int]string{}
	for _, pr := range found {
		got[pr.Number] = pr.State
		if pr.Merged {
			got[pr.Number] = "merged"
		}
	}
	if diff := cmp.Diff(map[int]string{s.number: forge.Closed, next.Number: "merged"}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	_, err = c.PullRequest(t.Context(), s.Owner, s.Name, 4711)
	Want{Is: forge.ErrNoPullRequest}.Check(t, d, "a number that nobody has", err)
	_, err = c.PullRequest(t.Context(), s.Owner, "none", 1)
	Want{Reason: "repository_not_found"}.Check(t, d, "a repository that is not there", err)
}

func testOpen(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	want := []string{"second", s.Branch}
	must(t, d.Open(s.Owner, s.Name, "alice", s.second()))
	s.Push(t, "closed", "main", "d.txt", "d\n")
	must(t, d.Open(s.Owner, s.Name, "alice", forge.NewPullRequest{Title: "x", Head: "closed", Base: s.Base}))
	seen := s.See(t)
	must(t, d.Close(s.Owner, s.Name, seen[len(seen)-1].Number))
	if !d.Lacks(Forks) {
		owner, name, err := d.Fork(s.Owner, s.Name, "bob")
		must(t, err)
		s.Push(t, "theirs", "main", "e.txt", "e\n")
		s.PushBranch(t, owner, name, "theirs")
		must(t, d.Open(s.Owner, s.Name, "bob", forge.NewPullRequest{Title: "y", Head: "theirs", HeadOwner: owner, Base: s.Base}))
		want = append([]string{"theirs (fork)"}, want...)
	}
	open, err := c.OpenPullRequests(t.Context(), s.Owner, s.Name)
	must(t, err)
	var got []string
	for _, pr := range open {
		head := pr.HeadRef
		if pr.FromFork {
			head += " (fork)"
		}
		got = append(got, head)
		if pr.HeadRef == "second" && pr.Author != "alice" {
			t.Errorf("the author is %q, want alice", pr.Author)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
}

func testClose(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	for _, what := range []string{"an open one", "one that is closed already"} {
		Want{}.Check(t, d, what, c.ClosePullRequest(t.Context(), s.Owner, s.Name, s.number))
		if pr := s.See(t)[0]; pr.State != forge.Closed || pr.Merged {
			t.Errorf("%s: is %+v", what, pr)
		}
	}
	must(t, d.Reopen(s.Owner, s.Name, s.number))
	must(t, d.Merge(s.Owner, s.Name, s.number))
	Want{}.Check(t, d, "a merged one", c.ClosePullRequest(t.Context(), s.Owner, s.Name, s.number))
	if pr := s.See(t)[0]; !pr.Merged {
		t.Errorf("a merged one is %+v", pr)
	}
	Want{Is: forge.ErrNoPullRequest}.Check(t, d, "none", c.ClosePullRequest(t.Context(), s.Owner, s.Name, 4711))
}

func testConflicts(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	pr, err := c.PullRequest(t.Context(), s.Owner, s.Name, s.number)
	if err != nil || pr.Conflicts {
		t.Errorf("before: %+v, %v", pr, err)
	}
	s.git(t, "checkout", "--quiet", "main")
	s.Push(t, "main", "", "a.txt", "something else\n")
	pr, err = c.PullRequest(t.Context(), s.Owner, s.Name, s.number)
	if err != nil || !pr.Conflicts {
		t.Errorf("after the base has changed the same line: %+v, %v", pr, err)
	}
}

func testFiles(t *testing.T, d Driver) {
	s := NewScene(t, d)
	s.Push(t, s.Branch, "", "dir/ä b.txt", "new\n")
	pr, err := d.Client(Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	must(t, err)
	files, err := d.Client(Writer).ChangedFiles(t.Context(), s.Owner, s.Name, pr.Number)
	must(t, err)
	got := map[string]bool{}
	for _, f := range files {
		got[f.Path] = strings.HasPrefix(f.Hunks, "@@ -")
	}
	shown := !d.Lacks(Hunks)
	if diff := cmp.Diff(map[string]bool{"a.txt": shown, "dir/ä b.txt": shown}, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changed, and whether with hunks (-want +got):\n%s", diff)
	}
	_, err = d.Client(Writer).ChangedFiles(t.Context(), s.Owner, s.Name, 4711)
	Want{Is: forge.ErrNoPullRequest}.Check(t, d, "a number that nobody has", err)
}
