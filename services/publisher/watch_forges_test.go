package publisher_test

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/watch"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// far is a rig whose open pull request is on another forge than GitHub. Ada may write there, eve may read.
type far struct {
	*watched
	host *host.Host
	has  trait
}

// trait is what a forge has, and how its own button words a revert.
type trait struct {
	labels, reopens, conflicts bool
	// admin says that the forge tells people's permissions to administrators alone.
	admin  bool
	revert string
}

func traits(name string) trait {
	return map[string]trait{
		origin.GitLab:    {labels: true, reopens: true, conflicts: true, revert: "Revert \"x\"\n\nThis reverts merge request !1"},
		origin.Gitea:     {labels: true, reopens: true, conflicts: true, admin: true, revert: "Revert \"x\" (#1)\n\nThis reverts commit %s."},
		origin.Forgejo:   {labels: true, reopens: true, conflicts: true, admin: true, revert: "Revert \"x\" (#1)\n\nThis reverts commit %s."},
		origin.Bitbucket: {admin: true, revert: "Revert \"x\" (pull request #1)\n\nThis reverts pull request #1."},
		origin.Azure:     {labels: true, reopens: true, conflicts: true, revert: "Revert 'x'\n\nReverts !1"},
	}[name]
}

// onEveryForge runs a story on each forge, with a pull request that is open there.
func onEveryForge(t *testing.T, story func(*far)) {
	t.Helper()
	for _, tt := range otherForges(t) {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.onAnotherForge(tt.name, tt.host, tt.client)
			if got := r.publish(r.Service); got.State != "published" {
				t.Fatalf("%s(%s) %s", got.State, got.Reason, got.Explanation)
			}
			f := &far{&watched{rig: r}, tt.host, traits(tt.name)}
			f.watcher = f.another()
			for login, may := range map[string]forge.Permission{"ada": forge.WritePermission, "eve": forge.ReadPermission, host.Robot: forge.AdminPermission} {
				f.do(f.host.SetPermission("acme", "hello", login, may))
			}
			f.look()
			story(f)
			if v := f.host.Violations(); len(v) > 0 {
				t.Errorf("what the forge's contract does not know: %q", v)
			}
		})
	}
}

// another is another publisher process that watches there.
func (f *far) another() *publisher.Watcher {
	w := f.watching()
	mirrors := f.Git.(*publisher.Mirrors)
	w.Target, w.History, w.Settings = f.Target, mirrors, mirrors
	return w
}

func (f *far) says(login, body string) {
	f.t.Helper()
	f.do(f.host.Comment("acme", "hello", 1, login, body))
	f.look()
}

func (f *far) seen() conform.Seen {
	f.t.Helper()
	seen, err := f.host.Seen("acme", "hello", func(*host.Repo, *host.Pull) string { return "" })
	f.do(err)
	if len(seen) != 1 {
		f.t.Fatalf("%d pull requests", len(seen))
	}
	return seen[0]
}

// wantOurs looks for texts in the one comment that is ours; more than one is an error.
func (f *far) wantOurs(texts ...string) {
	f.t.Helper()
	var ours []string
	for _, c := range f.seen().Comments {
		if c.Author == host.Robot {
			ours = append(ours, c.Body)
		}
	}
	if len(ours) != 1 {
		f.t.Errorf("we have %d comments, want one: %q", len(ours), ours)
		return
	}
	for _, text := range texts {
		if !strings.Contains(ours[0], text) {
			f.t.Errorf("our comment lacks %q:\n%s", text, ours[0])
		}
	}
}

// want compares what the forge and the records have: "open", "closed" or "merged", and whether the trouble is refused.
func (f *far) want(what, state string, refused bool) {
	f.t.Helper()
	pr, row := f.seen(), f.row()
	is := pr.State
	if pr.Merged {
		is = watch.Merged
	}
	if is != state || row.PrState != state || f.refused() != refused || row.Problem != "" {
		f.t.Errorf("%s: the pull request is %s, recorded as %s, refused %v; want %s, %v (closing %q, problem %q)", what, is, row.PrState, f.refused(), state, refused, row.Closing, row.Problem)
	}
}

// TestOnEveryForgeAPullRequestIsWatchedToItsEnd: one pull request from its first comment to its revert.
func TestOnEveryForgeAPullRequestIsWatchedToItsEnd(t *testing.T) {
	onEveryForge(t, func(f *far) {
		f.says("eve", "/sre-agent off")
		f.want("a stranger's command", watch.Open, false)
		f.wantOurs("people who may write")
		f.says("ada", "> /sre-agent off\n\n/sre-agent why")
		f.wantOurs("### Why", "grep -q World hello.txt", "`why` of")
		f.says("ada", "/sre-agent retry")
		f.wantOurs("close it first")
		for range 2 {
			f.do(f.host.Report("acme", "hello", f.seen().HeadSHA, "ci/test", forge.ChecksRed))
			f.look()
		}
		f.wantOurs("are red")
		if marked := strings.Contains(strings.Join(f.seen().Labels, " "), "needs-review"); marked != f.has.labels || f.row().Marked == "" {
			f.t.Errorf("red checks: labels %q, marked %q", f.seen().Labels, f.row().Marked)
		}
		f.do(f.host.Report("acme", "hello", f.seen().HeadSHA, "ci/test", forge.ChecksGreen))
		f.look()
		f.do(f.host.DeleteComments("acme", "hello", 1, host.Robot))
		f.says("ada", "/sre-agent why")
		f.wantOurs("`why` of")
		if f.has.reopens {
			f.closings()
		}
		f.do(f.host.Merge("acme", "hello", 1))
		f.look()
		f.want("merged", watch.Merged, false)
		f.do(f.host.Report("acme", "hello", f.seen().MergeCommit, "ci/test", forge.ChecksGreen))
		f.look()
		if got := f.row(); got.Outcome != watch.Green || got.GreenAt == nil {
			f.t.Errorf("after the merge the base is %q", got.Outcome)
		}
		by, err := f.host.Revert("acme", "hello", 1, f.has.revert)
		f.do(err)
		f.look()
		f.want("reverted", watch.Merged, true)
		if got := f.row(); got.Outcome != watch.Reverted || got.RevertedBy != by {
			f.t.Errorf("the revert %s is not seen: %q by %q", by, got.Outcome, got.RevertedBy)
		}
		f.wantOurs("It was reverted by")
	})
}

// closings are those that a person can take back.
func (f *far) closings() {
	f.t.Helper()
	f.do(f.host.Close("acme", "hello", 1))
	f.look()
	f.want("closed by a person", watch.Closed, true)
	f.do(f.host.Reopen("acme", "hello", 1))
	f.look()
	f.want("opened again", watch.Open, false)
	f.do(f.host.Label("acme", "hello", 1, watch.Label))
	f.look()
	f.want("labelled", watch.Closed, true)
	f.wantOurs("because of the label")
	f.do(f.host.Reopen("acme", "hello", 1))
	f.look()
	f.look()
	f.want("opened again after the label", watch.Open, false)
}

// TestOnEveryForgeACrashAtAnyWriteIsMadeGood: each thing that the watcher writes on the forge is lost once before it
// takes effect and once after that; each time the process dies with it, and another one carries on.
func TestOnEveryForgeACrashAtAnyWriteIsMadeGood(t *testing.T) {
	onEveryForge(t, func(f *far) {
		f.do(f.host.Report("acme", "hello", f.seen().HeadSHA, "ci/test", forge.ChecksRed))
		dead := f.dying(f.host.SetFault, f.another)
		if labelled := map[bool]int{true: 2}[f.has.labels]; dead["change"] != labelled || dead["comment"] != 2 {
			f.t.Errorf("deaths at red checks: %v", dead)
		}
		f.wantOurs("are red")
		f.do(f.host.Comment("acme", "hello", 1, "ada", "/sre-agent stop"))
		dead = f.dying(f.host.SetFault, f.another)
		if dead["edit"] != 2 || dead["change"] != 2 || dead["comment"] != 0 {
			f.t.Errorf("deaths at a stop: %v", dead)
		}
		f.want("stopped", watch.Closed, true)
		f.wantOurs("`stop` of", "not mended again")
		if n := len(f.row().Commands); n != 1 {
			f.t.Errorf("the command is recorded %d times", n)
		}
	})
}

// TestWhereAForgeDoesNotSayWhoMayWriteNobodyIsObeyed, and closing works all the same.
func TestWhereAForgeDoesNotSayWhoMayWriteNobodyIsObeyed(t *testing.T) {
	onEveryForge(t, func(f *far) {
		f.do(f.host.SetPermission("acme", "hello", host.Robot, forge.WritePermission))
		f.says("ada", "/sre-agent off")
		off, err := f.st.SwitchedOff(f.t.Context(), f.run.ID)
		f.do(err)
		if (off != nil) == f.has.admin {
			f.t.Errorf("ada's off: %+v", off)
		}
		f.look() // the command itself has asked for one, which is due some seconds later
		if !f.has.admin {
			f.want("off", watch.Closed, true)
			return
		}
		f.want("off", watch.Open, false)
		f.do(f.host.Close("acme", "hello", 1))
		f.look()
		f.want("closed by a person", watch.Closed, true)
	})
}
