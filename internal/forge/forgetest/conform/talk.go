package conform

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge"
)

func testTalk(t *testing.T, d Driver) {
	if !d.Lacks(Comments) {
		t.Run("comments are made, edited and listed, the oldest first", func(t *testing.T) { testComments(t, d) })
	}
	if !d.Lacks(Labels) {
		t.Run("labels are added once", func(t *testing.T) { testLabels(t, d) })
	}
}

func testComments(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	must(t, d.Comment(s.Owner, s.Name, s.number, "alice", "/sre-agent why"))
	made, err := c.Comment(t.Context(), s.Owner, s.Name, s.number, "an answer\n\n<!-- marker -->")
	must(t, err)
	must(t, c.EditComment(t.Context(), s.Owner, s.Name, s.number, s.comment, "ours, edited"))
	list, err := c.Comments(t.Context(), s.Owner, s.Name, s.number)
	must(t, err)
	var got []string
	for _, x := range list {
		got = append(got, x.Body)
		if x.ID == "" || x.At.IsZero() || x.Author == "" || (x.Author == "alice") != strings.HasPrefix(x.Body, "/") {
			t.Errorf("comment %+v", x)
		}
	}
	if diff := cmp.Diff([]string{"ours, edited", "/sre-agent why", "an answer\n\n<!-- marker -->"}, got); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
	if made.ID == "" || made.Body != "an answer\n\n<!-- marker -->" || made.ID != list[len(list)-1].ID {
		t.Errorf("made %+v", made)
	}
	_, err = c.Comments(t.Context(), s.Owner, s.Name, 4711)
	Want{Is: forge.ErrNoPullRequest}.Check(t, d, "comments of a number that nobody has", err)
	_, err = c.Comment(t.Context(), s.Owner, s.Name, 4711, "x")
	Want{Is: forge.ErrNoPullRequest}.Check(t, d, "a comment on a number that nobody has", err)
}

func testLabels(t *testing.T, d Driver) {
	s := openScene(t, d)
	c := d.Client(Writer)
	for range 2 {
		must(t, c.AddLabels(t.Context(), s.Owner, s.Name, s.number, []string{"sre-agent", "needs-review"}))
		must(t, c.AddLabels(t.Context(), s.Owner, s.Name, s.number, []string{"sre-agent"}))
	}
	pr, err := c.PullRequest(t.Context(), s.Owner, s.Name, s.number)
	must(t, err)
	slices.Sort(pr.Labels)
	if diff := cmp.Diff([]string{"needs-review", "sre-agent"}, pr.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	Want{Is: forge.ErrNoPullRequest}.Check(t, d, "a number that nobody has", c.AddLabels(t.Context(), s.Owner, s.Name, 4711, []string{"x"}))
}
