package conform

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sre-agent/sre-agent/internal/forge"
)

// fork is a repository that has three pull requests from branches of one name: ours from our fork, a stranger's from
// theirs, and a colleague's from the repository itself.
type fork struct {
	*Scene
	owner, name, stranger string
	// ours, theirs and colleagues are the pull requests' numbers.
	ours, theirs, colleagues int
	commit                   string
}

func testForks(t *testing.T, d Driver) {
	t.Run("a pull request from one is opened once", func(t *testing.T) { testFromFork(t, d) })
	t.Run("its pull requests are found, and no others", func(t *testing.T) { testFindFork(t, d) })
	t.Run("they are found in each state", func(t *testing.T) { testForkStates(t, d) })
	t.Run("it says what it is one of", func(t *testing.T) { testParent(t, d) })
	t.Run("one that is not there has no pull requests and gets none", func(t *testing.T) { testNoFork(t, d) })
}

// ownFork makes our fork, with a commit on the branch that is in no other repository.
func ownFork(t *testing.T, d Driver) *fork {
	t.Helper()
	f := &fork{Scene: NewScene(t, d)}
	var err error
	f.owner, f.name, err = d.Fork(f.Owner, f.Name, "robot")
	must(t, err)
	f.Delete(t, f.Branch)
	f.Commits(t, f.Branch, "", "ours.txt", "ours\n")
	f.commit = f.PushBranch(t, f.owner, f.name, f.Branch)
	return f
}

func (f *fork) pull() forge.NewPullRequest {
	pr := f.Fix()
	pr.HeadOwner = f.owner
	return pr
}

func (f *fork) find(t *testing.T, head string) (numbers []int) {
	t.Helper()
	found, err := f.Client(Writer).FindPullRequests(t.Context(), f.Owner, f.Name, head)
	must(t, err)
	for _, pr := range found {
		numbers = append(numbers, pr.Number)
	}
	return numbers
}

func testFromFork(t *testing.T, d Driver) {
	f := ownFork(t, d)
	got, err := d.Client(Writer).CreatePullRequest(t.Context(), f.Owner, f.Name, f.pull())
	must(t, err)
	if !got.FromFork || got.HeadSHA != f.commit || got.HeadRef != f.Branch || got.State != forge.Open {
		t.Errorf("created %+v", got)
	}
	again, err := d.Client(Writer).CreatePullRequest(t.Context(), f.Owner, f.Name, f.pull())
	if !errors.Is(err, forge.ErrExists) {
		t.Errorf("a second one: %+v, %v", again, err)
	}
	found, err := d.Client(Writer).FindPullRequests(t.Context(), f.Owner, f.Name, f.owner+":"+f.Branch)
	must(t, err)
	if diff := cmp.Diff([]forge.PullRequest{got}, found, cmpopts.IgnoreFields(forge.PullRequest{}, "Author")); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if head := f.Head(t, f.Branch); head != "" {
		t.Errorf("the repository itself has the branch, at %s", head)
	}
}

// crowded has all three pull requests open.
func crowded(t *testing.T, d Driver) *fork {
	t.Helper()
	f := ownFork(t, d)
	made, err := d.Client(Writer).CreatePullRequest(t.Context(), f.Owner, f.Name, f.pull())
	must(t, err)
	f.ours = made.Number
	for _, who := range []string{"mallory", "alice"} {
		f.Commits(t, f.Branch, "main", "theirs.txt", who+"\n")
		pr, owner, name := f.Fix(), f.Owner, f.Name
		if who == "mallory" {
			owner, name, err = d.Fork(f.Owner, f.Name, who)
			must(t, err)
			f.stranger, pr.HeadOwner = owner, owner
		}
		f.PushBranch(t, owner, name, f.Branch)
		must(t, d.Open(f.Owner, f.Name, who, pr))
	}
	all := f.See(t)
	f.theirs, f.colleagues = all[1].Number, all[2].Number
	return f
}

func testFindFork(t *testing.T, d Driver) {
	f := crowded(t, d)
	for head, want := range map[string]int{
		f.owner + ":" + f.Branch: f.ours, f.stranger + ":" + f.Branch: f.theirs, f.Branch: f.colleagues,
	} {
		if diff := cmp.Diff([]int{want}, f.find(t, head)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", head, diff)
		}
	}
}

func testForkStates(t *testing.T, d Driver) {
	f := crowded(t, d)
	must(t, d.Close(f.Owner, f.Name, f.ours))
	next, err := d.Client(Writer).CreatePullRequest(t.Context(), f.Owner, f.Name, f.pull())
	must(t, err)
	must(t, d.Merge(f.Owner, f.Name, next.Number))
	found, err := d.Client(Writer).FindPullRequests(t.Context(), f.Owner, f.Name, f.owner+":"+f.Branch)
	must(t, err)
	got := map[int]bool{}
	for _, pr := range found {
		got[pr.Number] = pr.Merged
		if pr.State != forge.Closed || pr.HeadSHA != f.commit || !pr.FromFork {
			t.Errorf("found %+v", pr)
		}
	}
	if diff := cmp.Diff(map[int]bool{f.ours: false, next.Number: true}, got); diff != "" {
		t.Errorf("found, and whether merged (-want +got):\n%s", diff)
	}
}

func testParent(t *testing.T, d Driver) {
	f := ownFork(t, d)
	for at, want := range map[[2]string]string{{f.owner, f.name}: f.Owner + "/" + f.Name, {f.Owner, f.Name}: ""} {
		got, err := d.Client(Writer).Repository(t.Context(), at[0], at[1])
		if err != nil || got.Parent != want {
			t.Errorf("%s/%s is a fork of %q, %v, want %q", at[0], at[1], got.Parent, err, want)
		}
	}
}

func testNoFork(t *testing.T, d Driver) {
	f := crowded(t, d)
	if numbers := f.find(t, "nobody:"+f.Branch); len(numbers) != 0 {
		t.Errorf("found %d", numbers)
	}
	pr := f.pull()
	pr.HeadOwner = "nobody"
	made, err := d.Client(Writer).CreatePullRequest(t.Context(), f.Owner, f.Name, pr)
	if err == nil || len(f.See(t)) != 3 {
		t.Errorf("created %+v, %v", made, err)
	}
}
