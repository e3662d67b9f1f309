package conform

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// headDelay is how long a client lets a forge take to see a push.
const headDelay = 5 * time.Second

// Case is one thing that can be or happen when a pull request is to be opened. The publisher's tests use it too.
type Case struct {
	Name  string
	Needs []Feature
	// Before brings the forge there, by what people do. The branch is pushed already.
	Before func(t testing.TB, s *Scene)
	// Change alters the pull request that is asked for.
	Change func(s *Scene, pr *forge.NewPullRequest)
	// Fault befalls the writes of the API.
	Fault *forgetest.Fault
	// Want is how the client's CreatePullRequest ends.
	Want Want
	// Pulls is how many pull requests are there afterwards.
	Pulls int
}

// Arm brings a scene into the case; the caller takes the fault away.
func (c Case) Arm(t testing.TB, s *Scene) forge.NewPullRequest {
	t.Helper()
	if c.Before != nil {
		c.Before(t, s)
	}
	pr := s.Fix()
	if c.Change != nil {
		c.Change(s, &pr)
	}
	if c.Fault != nil {
		s.SetFault(onWrites(c.Fault))
	}
	return pr
}

// CreateCases are the cases of a new pull request, with the faults as the double's forge words them.
func CreateCases(d Driver) []Case {
	opened := func(t testing.TB, s *Scene) { must(t, s.Open(s.Owner, s.Name, "alice", s.Fix())) }
	cases := []Case{
		{Name: "there is none", Pulls: 1},
		{Name: "an open one exists", Before: opened, Want: Want{Is: forge.ErrExists}, Pulls: 1},
		{
			Name: "a closed one exists", Needs: []Feature{PullStates, Repeats}, Pulls: 2,
			Before: func(t testing.TB, s *Scene) { opened(t, s); must(t, s.Close(s.Owner, s.Name, s.See(t)[0].Number)) },
		},
		{
			Name: "a merged one exists", Needs: []Feature{PullStates, EmptyPulls}, Pulls: 1, Want: Want{Reason: "no_commits_between"},
			Before: func(t testing.TB, s *Scene) { opened(t, s); must(t, s.Merge(s.Owner, s.Name, s.See(t)[0].Number)) },
		},
		{
			Name: "the branch has no commits of its own", Needs: []Feature{EmptyPulls}, Want: Want{Reason: "no_commits_between"},
			Before: func(t testing.TB, s *Scene) {
				s.Delete(t, s.Branch)
				s.git(t, "branch", "--force", "same", s.BaseCommit)
				s.PushBranch(t, s.Owner, s.Name, "same")
			},
			Change: func(_ *Scene, pr *forge.NewPullRequest) { pr.Head = "same" },
		},
		{
			Name: "the base is missing", Want: Want{Reason: "base_branch_missing"},
			Change: func(_ *Scene, pr *forge.NewPullRequest) { pr.Base = "gone" },
		},
		{
			Name: "the head is not there yet", Needs: []Feature{LateHeads}, Want: Want{Temporary: true, After: headDelay},
			Before: func(t testing.TB, s *Scene) { s.Delete(t, s.Branch) },
		},
		{
			Name: "the repository is archived", Needs: []Feature{Archives}, Want: Want{Reason: "repository_archived"},
			Before: func(t testing.TB, s *Scene) { must(t, s.Archive(s.Owner, s.Name)) },
		},
	}
	if d.Lacks(API) {
		return cases
	}
	for _, f := range faultCases() {
		cases = append(cases, Case{Name: string(f.kind), Fault: answer(d, f.kind), Want: f.write})
	}
	return append(cases,
		Case{Name: "the reply is lost after the effect", Fault: &forgetest.Fault{AfterEffect: true, Drop: true}, Want: Want{Temporary: true}, Pulls: 1},
		Case{Name: "the answer is 500 after the effect", Fault: &forgetest.Fault{AfterEffect: true, Status: http.StatusInternalServerError}, Want: Want{Temporary: true}, Pulls: 1},
		Case{Name: "the connection breaks before the effect", Fault: &forgetest.Fault{Drop: true}, Want: Want{Temporary: true}},
		Case{
			Name: "it is redirected to another host", Want: Want{Reason: "foreign_redirect"},
			Fault: &forgetest.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://127.0.0.1:1/elsewhere"}}},
		},
	)
}

func testCreate(t *testing.T, d Driver) {
	for _, tc := range CreateCases(d) {
		if lacksAny(d, tc.Needs) {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			s := NewScene(t, d)
			pr := tc.Arm(t, s)
			before := s.Head(t, s.Branch)
			_, err := d.Client(Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, pr)
			d.SetFault(nil)
			tc.Want.Check(t, d, "create", err)
			if n := len(s.See(t)); n != tc.Pulls {
				t.Errorf("%d pull requests are there, want %d", n, tc.Pulls)
			}
			if after := s.Head(t, s.Branch); after != before {
				t.Errorf("the branch went from %s to %s", before, after)
			}
		})
	}
	t.Run("what is created is what was asked for", func(t *testing.T) { testCreated(t, d) })
	t.Run("tokens that may not", func(t *testing.T) { testTokens(t, d) })
	t.Run("names that are hostile", func(t *testing.T) { testNames(t, d) })
}

func testCreated(t *testing.T, d Driver) {
	s := NewScene(t, d)
	pr := s.Fix()
	pr.Draft = !d.Lacks(Drafts)
	got, err := d.Client(Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, pr)
	must(t, err)
	seen := s.See(t)[0]
	want := Seen{PullRequest: forge.PullRequest{
		Number: got.Number, URL: got.URL, State: forge.Open, HeadRef: s.Branch, HeadSHA: s.Commit, BaseRef: s.Base, Author: got.Author,
	}, Title: pr.Title, Body: pr.Body, Draft: pr.Draft}
	if diff := cmp.Diff(want, seen, cmpopts.EquateEmpty()); diff != "" || got.Number < 1 || got.URL == "" {
		t.Errorf("there is (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.PullRequest, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
}

func testTokens(t *testing.T, d Driver) {
	if d.Lacks(API) {
		return
	}
	s := NewScene(t, d)
	_, err := d.Client(Reader).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	Want{Reason: "forbidden"}.Check(t, d, "a reader", err)
	_, err = d.Client(Stranger).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	Want{Reason: "unauthorized"}.Check(t, d, "a stranger", err)
	if n := len(s.See(t)); n != 0 {
		t.Errorf("%d pull requests are there, want none", n)
	}
}

func testNames(t *testing.T, d Driver) {
	s := NewScene(t, d)
	for name, want := range map[string]Want{
		"..": {Reason: "invalid_name"}, ".": {Reason: "invalid_name"}, "": {Reason: "invalid_name"},
		"none": {Reason: "repository_not_found"}, "%2e%2e": {Reason: "repository_not_found"}, "a/b": {Reason: "repository_not_found"},
	} {
		if d.Lacks(API) && want.Reason != "invalid_name" {
			continue
		}
		_, err := d.Client(Writer).CreatePullRequest(t.Context(), s.Owner, name, s.Fix())
		want.Check(t, d, "create in "+name, err)
		if d.Lacks(API) {
			continue
		}
		_, err = d.Client(Writer).Repository(t.Context(), s.Owner, name)
		want.Check(t, d, "read "+name, err)
	}
}
