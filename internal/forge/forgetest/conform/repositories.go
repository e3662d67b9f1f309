package conform

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge"
)

func testRepositories(t *testing.T, d Driver) {
	t.Run("what a repository is, and what we may do there", func(t *testing.T) { testRepository(t, d) })
	t.Run("where a branch is", func(t *testing.T) { testBranch(t, d) })
	if !d.Lacks(Permissions) {
		t.Run("what people may do", func(t *testing.T) { testPermission(t, d) })
	}
	if !d.Lacks(Checks) {
		t.Run("what a commit's checks say", func(t *testing.T) { testChecks(t, d) })
	}
}

func testRepository(t *testing.T, d Driver) {
	s := NewScene(t, d)
	got, err := d.Client(Writer).Repository(t.Context(), s.Owner, s.Name)
	if d.Lacks(API) {
		Want{Is: forge.ErrUnsupported}.Check(t, d, "without an API", err)
		return
	}
	want := forge.Repository{ID: got.ID, FullName: s.Owner + "/" + s.Name, DefaultBranch: "main", CanPush: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || got.ID == "" {
		t.Errorf("repository, %v (-want +got):\n%s", err, diff)
	}
	if got, err = d.Client(Reader).Repository(t.Context(), s.Owner, s.Name); err != nil || got.CanPush {
		t.Errorf("for a reader: %+v, %v", got, err)
	}
	if d.Lacks(Archives) {
		return
	}
	must(t, d.Archive(s.Owner, s.Name))
	if got, err = d.Client(Writer).Repository(t.Context(), s.Owner, s.Name); err != nil || !got.Archived {
		t.Errorf("archived: %+v, %v", got, err)
	}
}

func testBranch(t *testing.T, d Driver) {
	s := NewScene(t, d)
	c := d.Client(Writer)
	if got, err := c.BranchHead(t.Context(), s.Owner, s.Name, s.Branch); err != nil || got != s.Commit {
		t.Errorf("head = %q, %v, want %s", got, err, s.Commit)
	}
	for _, branch := range []string{"none", s.Branch + "~0", "sre-agent/%66ix", s.Branch + "/../../main", "fix", "refs/heads/" + s.Branch} {
		_, err := c.BranchHead(t.Context(), s.Owner, s.Name, branch)
		Want{Is: forge.ErrNoBranch}.Check(t, d, branch, err)
	}
	if d.Lacks(API) {
		return
	}
	_, err := c.BranchHead(t.Context(), s.Owner, "none", "main")
	Want{Reason: "repository_not_found"}.Check(t, d, "a repository that is not there", err)
}

func testPermission(t *testing.T, d Driver) {
	s := NewScene(t, d)
	for login, p := range map[string]forge.Permission{
		"rita": forge.ReadPermission, "wanda": forge.WritePermission, "ada": forge.AdminPermission,
	} {
		must(t, d.SetPermission(s.Owner, s.Name, login, p))
	}
	for login, want := range map[string]forge.Permission{
		"rita": forge.ReadPermission, "wanda": forge.WritePermission, "ada": forge.AdminPermission,
		"nobody": forge.NoPermission, "no/body": forge.NoPermission, "..": forge.NoPermission, "": forge.NoPermission,
	} {
		if got, err := d.Client(Writer).Permission(t.Context(), s.Owner, s.Name, login); got != want || (err != nil && login != "" && login != "..") {
			t.Errorf("%q: %v, %v, want %v", login, got, err, want)
		}
	}
	must(t, d.SetPermission(s.Owner, s.Name, "wanda", forge.ReadPermission))
	if got, err := d.Client(Writer).Permission(t.Context(), s.Owner, s.Name, "wanda"); err != nil || got != forge.ReadPermission {
		t.Errorf("one that was taken away: %v, %v: it has to be read live", got, err)
	}
}

func testChecks(t *testing.T, d Driver) {
	s := NewScene(t, d)
	c := d.Client(Writer)
	for _, step := range []struct {
		what, check string
		report      forge.Checks
		want        forge.Checks
	}{
		{"nothing has reported", "", forge.ChecksNone, forge.ChecksNone},
		{"only we have", forge.OwnCheck, forge.ChecksRed, forge.ChecksNone},
		{"one is under way", "build", forge.ChecksPending, forge.ChecksPending},
		{"it is green", "build", forge.ChecksGreen, forge.ChecksGreen},
		{"another one is under way", "test", forge.ChecksPending, forge.ChecksPending},
		{"that is red", "test", forge.ChecksRed, forge.ChecksRed},
		{"a third is under way", "lint", forge.ChecksPending, forge.ChecksRed},
		{"all are green at last", "test", forge.ChecksGreen, forge.ChecksPending},
		{"the third too", "lint", forge.ChecksGreen, forge.ChecksGreen},
	} {
		if step.check != "" {
			must(t, d.Report(s.Owner, s.Name, s.Commit, step.check, step.report))
		}
		if got, err := c.CommitChecks(t.Context(), s.Owner, s.Name, s.Commit); err != nil || got != step.want {
			t.Errorf("%s: %v, %v, want %v", step.what, got, err, step.want)
		}
	}
	if got, err := c.CommitChecks(t.Context(), s.Owner, s.Name, s.BaseCommit); err != nil || got != forge.ChecksNone {
		t.Errorf("another commit: %v, %v", got, err)
	}
}
