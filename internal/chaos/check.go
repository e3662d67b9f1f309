package chaos

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// checks are all checks, by the promise that they are about.
var checks = []struct {
	promise string
	find    func(*index) []string
}{
	{"I1", everyDeliveryHasOneRecord},
	{"I1", everyRunEndsWithAReason},
	{"I2", onePullRequestPerRun},
	{"I2", oneOpenPullRequestPerFingerprint},
	{"I2", aPersonsBranchIsLeftAlone},
	{"I3", attemptsAreBounded},
	{"I3", onlyCrashesAreCounted},
	{"I4", fencesGrowAndAttemptsDoNotOverlap},
	{"I4", noTwoSandboxesOfOneRun},
	{"I5", attemptsRest},
	{"I6", activeRunsAreBounded},
	{"I7", countersEqualARecount},
	{"I8", creationsAreBounded},
	{"I8", openPullRequestsAreBounded},
	{"I8", whatIsHeldStartsNothing},
	{"I9", rejectedRequestsLeaveNothing},
	{"I10", noSecretLeaves},
	{"I11", whatIsPublishedIsWhatWasVerified},
	{"I11", onlyOwnBranchesArePushed},
}

// Check returns one line for each way in which the history breaks a promise, each with the promise's name in front.
func Check(h History) []string {
	ix := newIndex(h)
	var found []string
	for _, c := range checks {
		for _, text := range c.find(ix) {
			found = append(found, c.promise+": "+text)
		}
	}
	for _, b := range h.Broken {
		found = append(found, "broken: "+b)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// index is a history with its rows by key.
type index struct {
	History
	runs     map[int64]Run
	byKey    map[string]Run
	attempts map[int64][]Attempt // by fence
	records  map[string][]Delivery
	pubs     map[int64]Publication
	fixes    map[int64]Fix
}

func newIndex(h History) *index {
	ix := &index{
		History: h, runs: map[int64]Run{}, byKey: map[string]Run{}, attempts: map[int64][]Attempt{},
		records: map[string][]Delivery{}, pubs: map[int64]Publication{}, fixes: map[int64]Fix{},
	}
	for _, r := range h.Runs {
		ix.runs[r.ID], ix.byKey[r.Key] = r, r
	}
	for _, a := range h.Attempts {
		ix.attempts[a.RunID] = append(ix.attempts[a.RunID], a)
	}
	for _, list := range ix.attempts {
		slices.SortFunc(list, func(a, b Attempt) int { return int(a.Fence - b.Fence) })
	}
	for _, d := range h.Deliveries {
		ix.records[d.ID] = append(ix.records[d.ID], d)
	}
	for _, p := range h.Publications {
		ix.pubs[p.RunID] = p
	}
	for _, f := range h.Fixes {
		ix.fixes[f.RunID] = f
	}
	return ix
}

func (r Run) String() string {
	return fmt.Sprintf("run %d (%s) %s(%s)", r.ID, r.Key, r.State, r.Reason)
}

// counted are the attempts of a run that count, in order.
func (ix *index) counted(run int64) (out []Attempt) {
	for _, a := range ix.attempts[run] {
		if a.Number > 0 {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Attempt) int { return a.Number - b.Number })
	return out
}

var outcomes = []string{"run", "coalesced", "duplicate", "ignored", "dead"}

func everyDeliveryHasOneRecord(ix *index) (found []string) {
	sent, alone := map[string]bool{}, ix.leftAlone()
	for _, s := range ix.Sent {
		sent[s.ID] = true
		records := ix.records[s.ID]
		if s.Accepted && len(records) != 1 {
			found = append(found, fmt.Sprintf("delivery %s was answered 2xx and has %d records", s.ID, len(records)))
		}
		for _, d := range records {
			if !slices.Contains(outcomes, d.Outcome) || d.Reason == "" && d.Outcome != "run" && d.Outcome != "coalesced" {
				found = append(found, fmt.Sprintf("delivery %s is recorded as %s(%s)", s.ID, d.Outcome, d.Reason))
			}
			same := d.Outcome == "duplicate" && d.RunID == 0 && alone[s.RunKey]
			if s.RunKey != "" && !ix.offMeanwhile(d) && !same && ix.runs[d.RunID].Key != s.RunKey {
				found = append(found, fmt.Sprintf("delivery %s is recorded as %s(%s) of run %d, and belongs to %s", s.ID, d.Outcome, d.Reason, d.RunID, s.RunKey))
			}
		}
	}
	for id := range ix.records {
		if !sent[id] {
			found = append(found, "delivery "+id+" is recorded and was never sent")
		}
	}
	return found
}

func everyRunEndsWithAReason(ix *index) (found []string) {
	for _, r := range ix.Runs {
		if !r.Ended {
			found = append(found, fmt.Sprintf("%v has not ended: %s", r, r.Explanation))
		} else if r.State != "published" && r.Reason == "" {
			found = append(found, fmt.Sprintf("%v ended without a reason", r))
		}
	}
	for _, f := range ix.Failures {
		r, known := ix.byKey[f.RunKey]
		switch {
		case !known || !r.Ended || !f.Fixable || r.State == "published":
		case r.State == "blocked" && r.Reason == "max_attempts" && len(ix.counted(r.ID)) == ix.Limits.MaxAttempts:
		default:
			found = append(found, fmt.Sprintf("%v ended though only crashes could keep it from being published: %s", r, r.Explanation))
		}
	}
	return found
}

func onePullRequestPerRun(ix *index) (found []string) {
	perKey, perBranch := map[string]int{}, map[string][]PullRequest{}
	for _, pr := range ix.PullRequests {
		perKey[pr.RunKey]++
		perBranch[pr.Repository+" "+pr.Head] = append(perBranch[pr.Repository+" "+pr.Head], pr)
		if _, known := ix.byKey[pr.RunKey]; !known {
			found = append(found, fmt.Sprintf("pull request %s#%d is of no run (%q)", pr.Repository, pr.Number, pr.RunKey))
		}
	}
	for key, n := range perKey {
		if n > 1 {
			found = append(found, fmt.Sprintf("%d pull requests of run key %s", n, key))
		}
	}
	for branch, prs := range perBranch {
		if len(prs) > 1 {
			found = append(found, fmt.Sprintf("%d pull requests of branch %s", len(prs), branch))
		}
	}
	for _, r := range ix.Runs {
		pub, intended := ix.pubs[r.ID]
		prs := perBranch[r.Repository+" "+pub.Branch]
		switch {
		case r.State != "published" && (pub.State == "opened" || pub.State == "adopted"):
			found = append(found, fmt.Sprintf("%v has a receipt (%s)", r, pub.State))
		case r.State != "published":
		case !intended || len(prs) != 1:
			found = append(found, fmt.Sprintf("%v has %d pull requests", r, len(prs)))
		case prs[0].Number != pub.PRNumber || prs[0].RunKey != r.Key:
			found = append(found, fmt.Sprintf("%v has a receipt for pull request %d, and its branch has %d", r, pub.PRNumber, prs[0].Number))
		case prs[0].HeadSHA != pub.Commit:
			found = append(found, fmt.Sprintf("%v intended commit %s, and pull request %d has %s", r, pub.Commit, prs[0].Number, prs[0].HeadSHA))
		}
	}
	return found
}

func oneOpenPullRequestPerFingerprint(ix *index) (found []string) {
	open := map[string][]string{}
	for _, pr := range ix.PullRequests {
		if r := ix.byKey[pr.RunKey]; pr.Open && r.Fingerprint != "" {
			open[r.Fingerprint] = append(open[r.Fingerprint], fmt.Sprintf("%s#%d", pr.Repository, pr.Number))
		}
	}
	for print, prs := range open {
		if len(prs) > 1 {
			found = append(found, fmt.Sprintf("open pull requests of fingerprint %s: %s", print, strings.Join(prs, ", ")))
		}
	}
	return found
}

// aPersonsBranchIsLeftAlone: no run is published from it. That it does not move is looked at with the pushes.
func aPersonsBranchIsLeftAlone(ix *index) (found []string) {
	for _, f := range ix.Failures {
		if r, known := ix.byKey[f.RunKey]; known && f.Foreign != "" && r.State == "published" {
			found = append(found, fmt.Sprintf("%v, and its branch held a person's commit", r))
		}
	}
	return found
}

func attemptsAreBounded(ix *index) (found []string) {
	for _, r := range ix.Runs {
		counted := ix.counted(r.ID)
		if len(counted) > ix.Limits.MaxAttempts {
			found = append(found, fmt.Sprintf("%v has %d counted attempts", r, len(counted)))
		}
		if len(counted) != r.AttemptCount {
			found = append(found, fmt.Sprintf("%v says %d attempts, and %d are counted", r, r.AttemptCount, len(counted)))
		}
		for i, a := range counted {
			if a.Number != i+1 {
				found = append(found, fmt.Sprintf("%v has no attempt %d", r, i+1))
				break
			}
		}
	}
	return found
}

// onlyCrashesAreCounted: an attempt may be lost only to a process that was killed or stopped while it held it.
func onlyCrashesAreCounted(ix *index) (found []string) {
	for _, r := range ix.Runs {
		counted := ix.counted(r.ID)
		for i, a := range counted {
			if i < len(counted)-1 && a.Outcome != "crashed" {
				found = append(found, fmt.Sprintf("%v: attempt %d ended %s, and another one was made", r, a.Number, a.Outcome))
			}
			if a.Outcome == "crashed" && !ix.crashed(a) {
				found = append(found, fmt.Sprintf("%v: attempt %d (fence %d) counts as crashed (%s), and its process %d was neither killed nor stopped", r, a.Number, a.Fence, a.Reason, a.PID))
			}
		}
	}
	return found
}

// clockSlack is for comparing the database's times with the supervisor's, and for times cut to microseconds.
const clockSlack = 50 * time.Millisecond

func (ix *index) crashed(a Attempt) bool {
	return slices.ContainsFunc(ix.Outages, func(o Outage) bool {
		return o.PID == a.PID && o.At.After(a.Started.Add(-maxPause)) && o.At.Before(a.Ended.Add(clockSlack))
	})
}

// maxPause is longer than any pause: a process may be stopped just before the claim that it asked for is made.
const maxPause = 10 * time.Second

func fencesGrowAndAttemptsDoNotOverlap(ix *index) (found []string) {
	for _, r := range ix.Runs {
		list := ix.attempts[r.ID]
		for i, a := range list {
			if a.Fence > r.Fence {
				found = append(found, fmt.Sprintf("%v has fence %d, below that of its attempt, %d", r, r.Fence, a.Fence))
			}
			if a.Ended.IsZero() && r.Ended {
				found = append(found, fmt.Sprintf("%v ended, and its attempt of fence %d is open", r, a.Fence))
			}
			if i == 0 {
				continue
			}
			before := list[i-1]
			if before.Fence == a.Fence || !before.Started.Before(a.Started) || before.Ended.IsZero() || before.Ended.After(a.Started) {
				found = append(found, fmt.Sprintf("%v: the attempts of fences %d and %d overlap", r, before.Fence, a.Fence))
			}
		}
		fix, fixed := ix.fixes[r.ID]
		ok := slices.ContainsFunc(list, func(a Attempt) bool { return a.Fence == fix.Fence && a.Outcome == "fixed" })
		if fixed && !ok {
			found = append(found, fmt.Sprintf("%v has a fix of fence %d, which no attempt made", r, fix.Fence))
		}
	}
	return found
}

func noTwoSandboxesOfOneRun(ix *index) (found []string) {
	for i, a := range ix.Sandboxes {
		for _, b := range ix.Sandboxes[i+1:] {
			// Spans that share one sample may have followed each other while the sample was taken.
			if a.RunID == b.RunID && a.Fence != b.Fence && a.First < b.Last && b.First < a.Last {
				found = append(found, fmt.Sprintf("%v: sandboxes of fences %d and %d ran at the same time", ix.runs[a.RunID], a.Fence, b.Fence))
			}
		}
	}
	return found
}

// Backoff is the rest after the end of attempt n.
func (l Limits) Backoff(n int) time.Duration {
	return time.Duration(math.Min(float64(l.MaxBackoff), float64(l.BaseBackoff)*math.Pow(2, float64(n-1))))
}

func attemptsRest(ix *index) (found []string) {
	for _, r := range ix.Runs {
		counted := ix.counted(r.ID)
		for i := 1; i < len(counted); i++ {
			last, next := counted[i-1], counted[i]
			if due := last.Ended.Add(ix.Limits.Backoff(last.Number)); next.Started.Before(due) {
				found = append(found, fmt.Sprintf("%v: attempt %d began %v before the backoff was over", r, next.Number, due.Sub(next.Started)))
			}
			if due := last.Started.Add(ix.Limits.Cooldown); next.Started.Before(due) {
				found = append(found, fmt.Sprintf("%v: attempt %d began %v before the cooldown was over", r, next.Number, due.Sub(next.Started)))
			}
		}
	}
	return found
}

// activeRunsAreBounded sweeps over the attempts of each repository, given back or not.
func activeRunsAreBounded(ix *index) (found []string) {
	type edge struct {
		at    time.Time
		delta int
		run   int64
	}
	edges := map[string][]edge{}
	for _, a := range ix.Attempts {
		repo := ix.runs[a.RunID].Repository
		edges[repo] = append(edges[repo], edge{a.Started, 1, a.RunID})
		if !a.Ended.IsZero() {
			edges[repo] = append(edges[repo], edge{a.Ended, -1, a.RunID})
		}
	}
	for repo, list := range edges {
		slices.SortFunc(list, func(a, b edge) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return a.delta - b.delta // an end at the same time comes first
		})
		active := 0
		for _, e := range list {
			active += e.delta
			if active > ix.Limits.PerRepository {
				found = append(found, fmt.Sprintf("%s has %d active runs at %s, when run %d began", repo, active, e.at.Format(time.RFC3339Nano), e.run))
			}
		}
	}
	return found
}

func creationsAreBounded(ix *index) (found []string) {
	for _, c := range ix.Creations {
		runs := 0
		for _, r := range ix.Runs {
			if _, intended := ix.pubs[r.ID]; intended && r.Repository == c.Repository {
				runs++
			}
		}
		if most := runs + c.Hurts; c.Asked > most {
			found = append(found, fmt.Sprintf("%s: %d requests to open a pull request for %d publications and %d disturbances", c.Repository, c.Asked, runs, c.Hurts))
		}
		if c.Opened > runs {
			found = append(found, fmt.Sprintf("%s: %d pull requests opened for %d publications", c.Repository, c.Opened, runs))
		}
	}
	return found
}

// openPullRequestsAreBounded looks at each moment in which one was opened.
func openPullRequestsAreBounded(ix *index) (found []string) {
	for _, pr := range ix.PullRequests {
		open := 0
		for _, other := range ix.PullRequests {
			if other.Repository == pr.Repository && !other.Created.After(pr.Created) && (other.Ended.IsZero() || other.Ended.After(pr.Created)) {
				open++
			}
		}
		if ix.Limits.Open > 0 && open > ix.Limits.Open {
			found = append(found, fmt.Sprintf("%s had %d open pull requests when #%d was opened; the cap is %d", pr.Repository, open, pr.Number, ix.Limits.Open))
		}
	}
	return found
}

func (h Hold) covers(at time.Time) bool {
	return at.After(h.From) && (h.To.IsZero() || at.Before(h.To))
}

// whatIsHeldStartsNothing: no attempt begins in a repository that is paused, and none that begins in one that is switched
// off comes to a fix.
func whatIsHeldStartsNothing(ix *index) (found []string) {
	for _, h := range ix.Holds {
		for _, a := range ix.Attempts {
			if r := ix.runs[a.RunID]; r.Repository == h.Repository && h.covers(a.Started) && (!h.Off || a.Outcome == "fixed") {
				found = append(found, fmt.Sprintf("%v: attempt of fence %d (%s) began %v after its repository was held (off %t)", r, a.Fence, a.Outcome, a.Started.Sub(h.From), h.Off))
			}
		}
	}
	return found
}

// leftAlone are the run keys of failures that made no run because their repository was off: what has their body is the
// duplicate of no run.
func (ix *index) leftAlone() map[string]bool {
	keys := map[string]bool{}
	for _, s := range ix.Sent {
		for _, d := range ix.records[s.ID] {
			keys[s.RunKey] = keys[s.RunKey] || ix.offMeanwhile(d)
		}
	}
	return keys
}

// offMeanwhile says whether a delivery was left alone because its repository, one that was switched off, wants nothing.
func (ix *index) offMeanwhile(d Delivery) bool {
	return d.Outcome == "ignored" && d.Reason == "repository_off" && slices.ContainsFunc(ix.Holds, func(h Hold) bool { return h.Off })
}

func rejectedRequestsLeaveNothing(ix *index) (found []string) {
	stream := map[string]bool{}
	for _, id := range ix.StreamIDs {
		stream[id] = true
	}
	for _, s := range ix.Sent {
		if s.Rejected && !s.Accepted && (len(ix.records[s.ID]) > 0 || stream[s.ID]) {
			found = append(found, fmt.Sprintf("delivery %s was refused and left %d rows, message: %v", s.ID, len(ix.records[s.ID]), stream[s.ID]))
		}
	}
	return found
}

func noSecretLeaves(ix *index) (found []string) {
	for _, l := range ix.Leaks {
		found = append(found, fmt.Sprintf("%s is in %s", l.Secret, l.Where))
	}
	return found
}

func whatIsPublishedIsWhatWasVerified(ix *index) (found []string) {
	for _, f := range ix.fixes {
		pub, intended := ix.pubs[f.RunID]
		if f.Sum != f.Digest || intended && pub.Digest != f.Digest {
			found = append(found, fmt.Sprintf("%v: the stored diff is %s, its digest %s, the publication's %s", ix.runs[f.RunID], f.Sum, f.Digest, pub.Digest))
		}
	}
	for _, pr := range ix.PullRequests {
		r, known := ix.byKey[pr.RunKey]
		if !known {
			continue // onePullRequestPerRun says so
		}
		if fix, fixed := ix.fixes[r.ID]; !fixed || pr.Parent != fix.Base || !pr.Applied {
			found = append(found, fmt.Sprintf("pull request %s#%d of %v is not its verified fix (parent %s, base %s)", pr.Repository, pr.Number, r, pr.Parent, fix.Base))
		}
	}
	return found
}

func onlyOwnBranchesArePushed(ix *index) (found []string) {
	heads := map[string]bool{}
	for _, p := range ix.pubs {
		heads[ix.runs[p.RunID].Repository+" refs/heads/"+p.Branch+" "+p.Commit] = true
	}
	for _, p := range ix.Pushes {
		switch {
		case !strings.HasPrefix(p.Ref, "refs/heads/sre-agent/"):
			found = append(found, fmt.Sprintf("%s: %s was pushed", p.Repository, p.Ref))
		case strings.Trim(p.Old, "0") != "" && p.Applied:
			found = append(found, fmt.Sprintf("%s: %s was moved from %s to %s", p.Repository, p.Ref, p.Old, p.New))
		case !heads[p.Repository+" "+p.Ref+" "+p.New]:
			found = append(found, fmt.Sprintf("%s: %s was pushed at %s, which nobody intended", p.Repository, p.Ref, p.New))
		}
	}
	return found
}
