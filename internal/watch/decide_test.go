package watch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/watch"
)

func open(change ...func(*watch.State)) watch.State {
	s := watch.State{PR: watch.Open, Head: "h1", BaseHead: "b1"}
	for _, c := range change {
		c(&s)
	}
	return s
}

func says(change ...func(*watch.Look)) watch.Look {
	l := watch.Look{PR: watch.Pull{State: watch.Open, Head: "h1"}, BaseHead: "b1"}
	for _, c := range change {
		c(&l)
	}
	return l
}

func closed(l *watch.Look)   { l.PR.State = watch.Closed }
func merged(l *watch.Look)   { l.PR.State, l.PR.MergeCommit = watch.Merged, "m1" }
func gone(l *watch.Look)     { l.Gone, l.PR = true, watch.Pull{} }
func labelled(l *watch.Look) { l.PR.Labels = []string{"bug", "sre-agent:off"} }
func passed(l *watch.Look)   { l.Passed = true }
func red(l *watch.Look)      { l.Checks = watch.ChecksRed }
func green(l *watch.Look)    { l.Checks = watch.ChecksGreen }
func conflicts(l *watch.Look) {
	l.PR.Conflicts = true
}
func follower(l *watch.Look) { l.Follower = 7 }
func reverted(l *watch.Look) { l.RevertedBy = "r1" }

func comment(author, body string, allowed bool) func(*watch.Look) {
	return func(l *watch.Look) {
		id := fmt.Sprint("c", len(l.Comments)+1)
		l.Comments = append(l.Comments, watch.Comment{ID: id, Author: author, Body: body})
		if l.Allowed == nil {
			l.Allowed = map[string]bool{}
		}
		l.Allowed[author] = allowed
	}
}

func closing(why string) func(*watch.State) { return func(s *watch.State) { s.Closing = why } }
func was(pr string) func(*watch.State)      { return func(s *watch.State) { s.PR = pr } }

// told is an action in short: its kind, why, command, and run.
func told(actions []watch.Action) string {
	var out []string
	for _, a := range actions {
		text := string(a.Kind)
		for _, s := range []string{a.Why, a.Command} {
			if s != "" {
				text += ":" + s
			}
		}
		if a.Kind == watch.Answer {
			text += fmt.Sprint(":", a.Allowed)
		}
		if a.Run != 0 {
			text += fmt.Sprint(":", a.Run)
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestWhatIsDoneAboutAPullRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		was  watch.State
		now  watch.Look
		want string
		then func(watch.State) bool
	}{
		"nothing is new":                                   {open(), says(), "", nil},
		"a person closed it":                               {open(), says(closed), "note refuse:closed", nil},
		"it is gone":                                       {open(), says(gone), "note refuse:closed", nil},
		"it is closed still":                               {open(was("closed")), says(closed), "", nil},
		"we closed it":                                     {open(closing("mended")), says(closed), "note", nil},
		"we were about to close it and died":               {open(closing("stop")), says(), "close:stop", nil},
		"we closed it to make way for another":             {open(closing("outdated")), says(closed, follower), "note replace:7", nil},
		"the other one is gone":                            {open(closing("outdated")), says(closed), "note", nil},
		"a person opened it again":                         {open(was("closed")), says(), "note lift:reopened", func(s watch.State) bool { return !s.Kept }},
		"a person opened again what we had closed":         {open(was("closed"), closing("mended")), says(passed), "note lift:reopened", func(s watch.State) bool { return s.Kept && s.Closing == "" }},
		"what a person keeps stays, whatever we think":     {open(func(s *watch.State) { s.Kept = true }), says(passed, conflicts, follower), "", nil},
		"what a person keeps can be stopped":               {open(func(s *watch.State) { s.Kept = true }), says(comment("ada", "/sre-agent stop", true)), "answer:stop:true close:stop", nil},
		"it was merged":                                    {open(), says(merged), "note", func(s watch.State) bool { return s.PR == watch.Merged && s.MergeCommit == "m1" }},
		"it was merged after it had been closed":           {open(was("closed")), says(merged), "note lift:merged", nil},
		"it was merged while we were about to close it":    {open(closing("mended")), says(merged), "note", nil},
		"a merge stays one":                                {open(was("merged")), says(closed), "", nil},
		"somebody put the label on it":                     {open(), says(labelled), "refuse:label close:label", nil},
		"the label is there still":                         {open(func(s *watch.State) { s.OffLabel = true }), says(labelled), "", nil},
		"the label came to a closed one":                   {open(was("closed")), says(closed, labelled), "refuse:label", nil},
		"somebody opened it again with the label on":       {open(was("closed"), closing("label"), func(s *watch.State) { s.OffLabel = true }), says(labelled), "note lift:reopened", nil},
		"the failure is gone on the base":                  {open(), says(passed), "close:mended", nil},
		"it conflicts, and nobody knows better":            {open(), says(conflicts), "", func(s watch.State) bool { return s.Conflicts }},
		"it conflicts just after a push to the base":       {open(func(s *watch.State) { s.BaseHead = "b0" }), says(conflicts, follower), "", func(s watch.State) bool { return !s.Conflicts }},
		"it conflicts just after a push to its branch":     {open(func(s *watch.State) { s.Head = "h0" }), says(conflicts, follower), "", func(s watch.State) bool { return !s.Conflicts }},
		"it conflicts after a push as it did before":       {open(func(s *watch.State) { s.BaseHead, s.Conflicts = "b0", true }), says(conflicts, follower), "close:outdated", nil},
		"it is closed and conflicts":                       {open(was("closed")), says(closed, conflicts), "", func(s watch.State) bool { return !s.Conflicts }},
		"it conflicts, and the trouble is there elsewhere": {open(), says(conflicts, follower), "close:outdated", nil},
		"another one follows, and nothing conflicts":       {open(), says(follower), "", nil},
		"its checks are red":                               {open(), says(red), "needs_review", nil},
		"its checks are red still":                         {open(func(s *watch.State) { s.Checks, s.Marked = watch.ChecksRed, "h1" }), says(red), "", nil},
		"its checks are red, and nobody was told":          {open(func(s *watch.State) { s.Checks = watch.ChecksRed }), says(red), "needs_review", nil},
		"its checks are red on another commit":             {open(func(s *watch.State) { s.Checks, s.Head, s.Marked = watch.ChecksRed, "h0", "h0" }), says(red), "needs_review", nil},
		"its checks are green":                             {open(), says(green), "", nil},
		"stop":                                             {open(), says(comment("ada", "/sre-agent stop", true)), "answer:stop:true close:stop", nil},
		"off":                                              {open(), says(comment("ada", "/sre-agent off", true)), "answer:off:true close:off", nil},
		"why":                                              {open(), says(comment("ada", "/sre-agent why", true)), "answer:why:true", nil},
		"retry on an open one":                             {open(), says(comment("ada", "/sre-agent retry", true)), "answer:retry:true", nil},
		"retry on a closed one":                            {open(was("closed")), says(closed, comment("ada", "/sre-agent retry", true)), "answer:retry:true", nil},
		"closed with a retry":                              {open(), says(closed, comment("ada", "/sre-agent retry", true)), "note refuse:closed answer:retry:true", nil},
		"stop by somebody who may not":                     {open(), says(comment("eve", "/sre-agent stop", false)), "answer:stop:false", nil},
		"off by somebody nobody asked about":               {open(), says(func(l *watch.Look) { l.Comments = []watch.Comment{{ID: "1", Author: "eve", Body: "/sre-agent off"}} }), "answer:off:false", nil},
		"a comment that was read":                          {open(func(s *watch.State) { s.Seen = []string{"c1"} }), says(comment("ada", "/sre-agent off", true)), "", nil},
		"two people":                                       {open(), says(comment("eve", "/sre-agent off", false), comment("ada", "/sre-agent why", true)), "answer:off:false answer:why:true", nil},
		"our own words":                                    {open(), says(comment("sre-agent", "/sre-agent off\n<!-- sre-agent -->", true)), "", nil},
		"green after the merge":                            {open(was("merged")), says(merged, green), "", func(s watch.State) bool { return s.Outcome == "green" }},
		"the workflow passed after the merge":              {open(was("merged")), says(merged, red, passed), "", func(s watch.State) bool { return s.Outcome == "green" }},
		"red after the merge":                              {open(was("merged")), says(merged, red), "", func(s watch.State) bool { return s.Outcome == "red" }},
		"reverted":                                         {open(was("merged")), says(merged, green, reverted), "refuse:reverted", func(s watch.State) bool { return s.Outcome == watch.Reverted && s.RevertedBy == "r1" }},
		"merged and reverted at one look":                  {open(), says(merged, reverted), "note refuse:reverted", nil},
		"reverted is the last word":                        {open(was("merged"), func(s *watch.State) { s.Outcome = "reverted" }), says(merged, green), "", func(s watch.State) bool { return s.Outcome == "reverted" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := watch.Decide(tt.was, tt.now)
			if diff := cmp.Diff(tt.want, told(got.Actions)); diff != "" {
				t.Error(diff)
			}
			if tt.then != nil && !tt.then(got.State) {
				t.Errorf("then %+v", got.State)
			}
			if again := watch.Decide(got.State, tt.now); strings.Contains(told(again.Actions), "answer") || strings.Contains(told(again.Actions), "refuse") {
				t.Errorf("done again: %s", told(again.Actions))
			}
		})
	}
}

func TestTooManyPeoplesCommandsAreForLater(t *testing.T) {
	t.Parallel()
	l := says()
	for i := range watch.MaxCommanders + 5 {
		comment("ada", "hello", true)(&l)
		comment(fmt.Sprint("p", i), "/sre-agent why", true)(&l)
		comment("p0", "/sre-agent why", true)(&l)
	}
	first := watch.Decide(open(), l)
	second := watch.Decide(first.State, l)
	third := watch.Decide(second.State, l)
	if len(first.Actions) != 2*watch.MaxCommanders || len(second.Actions) != 10 || len(third.Actions) != 0 || len(third.State.Seen) != len(l.Comments) {
		t.Errorf("%d, then %d, then %d", len(first.Actions), len(second.Actions), len(third.Actions))
	}
	deaf := watch.Decide(third.State, says(func(l *watch.Look) { l.Deaf = true }))
	if len(deaf.State.Seen) != len(l.Comments) {
		t.Errorf("%d are remembered when none can be read", len(deaf.State.Seen))
	}
	l.Comments = l.Comments[:3]
	if last := watch.Decide(third.State, l); len(last.State.Seen) != 3 {
		t.Errorf("%d are remembered", len(last.State.Seen))
	}
}

func TestAMessageThatRevertsOurs(t *testing.T) {
	t.Parallel()
	ours := []string{strings.Repeat("ab", 20), "", strings.Repeat("cd", 20)}
	for name, tt := range map[string]struct {
		message string
		want    bool
	}{
		"git's own":                       {"Revert \"Greet\"\n\nThis reverts commit " + ours[0] + ".", true},
		"git's own, of a merge":           {"Revert \"Merge\"\n\nThis reverts commit " + ours[2] + ", reversing\nchanges made to " + strings.Repeat("e", 40) + ".", true},
		"abbreviated":                     {"This reverts commit abababababab.", true},
		"GitHub's pull request":           {"Revert \"Greet\" (#13)\n\nReverts acme/hello#12", true},
		"GitLab's":                        {"Revert \"Merge branch 'x' into 'main'\"\n\nThis reverts merge request !12", true},
		"GitLab's, with the project":      {"This reverts merge request acme/hello!12", true},
		"Bitbucket's":                     {"Revert \"Greet (pull request #12)\"\n\nThis reverts pull request #12.", true},
		"Azure DevOps'":                   {"Revert 'Greet'\n\nReverts !12", true},
		"another commit":                  {"This reverts commit " + strings.Repeat("0", 40), false},
		"too short to be sure":            {"This reverts commit ababab.", false},
		"another pull request":            {"Reverts acme/hello#123", false},
		"another repository's":            {"Reverts acme/world#12", false},
		"in a sentence":                   {"As bob reverts #12 we go on", false},
		"the word alone":                  {"Revert \"Greet\"", false},
		"nothing":                         {"", false},
		"a reland, which reverts another": {"Reland\n\nThis reverts commit 1234567.", false},
	} {
		if got := watch.Reverts(tt.message, ours, "acme", "hello", 12); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsNotBelievedYetIsLookedAtAgainSoon(t *testing.T) {
	t.Parallel()
	none := func(s *watch.State) { s.Checks = watch.ChecksNone }
	if watch.Decide(open(none), says()).Changed {
		t.Error("nothing is new, and it is looked at again soon")
	}
	if !watch.Decide(open(none, func(s *watch.State) { s.BaseHead = "b0" }), says(conflicts)).Changed {
		t.Error("a conflict just after a push is left for later")
	}
}
