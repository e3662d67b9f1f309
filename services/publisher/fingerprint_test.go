package publisher_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// again makes the same trouble come back on a new commit: another run with the same fingerprint.
func (r *rig) again() {
	r.t.Helper()
	r.write("other.txt", r.commit)
	r.commit = r.push("main", "another commit")
	r.run = r.fixedAs(r.repoID, r.commit)
}

func TestTheSameTroubleOnANewCommitMakesNoSecondPullRequest(t *testing.T) {
	r := newRig(t)
	first := r.publish(r.Service)
	r.again()
	second := r.publish(r.Service)
	if first.State != "published" || second.State != "superseded" || second.Reason != "pull_request_open" || len(r.prs()) != 1 {
		t.Errorf("%s, then %s(%s), %d pull requests", first.State, second.State, second.Reason, len(r.prs()))
	}
	if r.tel.Count(telemetry.PRCreateSkipped, string(telemetry.PRFingerprint)) != 1 {
		t.Error("not counted")
	}
}

func TestAClosedPullRequestRefusesItsFingerprintUntilAPersonLiftsIt(t *testing.T) {
	r := newRig(t)
	r.publish(r.Service)
	if err := r.forge.ClosePullRequest("acme", "hello", 1); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time without asking the forge
		r.again()
		if got := r.publish(r.Service); got.State != "blocked" || got.Reason != "pull_request_closed" || len(r.prs()) != 1 {
			t.Fatalf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
		}
	}
	if _, err := r.st.UnblockRun(t.Context(), r.run.ID, store.Actor{Who: "ada", Why: "closed by mistake"}); err != nil {
		t.Fatal(err)
	}
	r.exec("update runs set state = 'cancelled', reason = 'test', ended_at = now(), not_before = null where state = 'waiting'")
	r.again()
	if got := r.publish(r.Service); got.State != "published" || len(r.prs()) != 2 {
		t.Errorf("after the lift: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

func TestTroubleThatComesBackAfterMergesIsBlockedAtACap(t *testing.T) {
	r := newRig(t)
	got := r.publish(r.Service)
	for n := 1; n <= 3; n++ {
		if got.State != "published" || len(r.prs()) != n {
			t.Fatalf("round %d: %s(%s), %d pull requests", n, got.State, got.Reason, len(r.prs()))
		}
		if err := r.forge.MergePullRequest("acme", "hello", n); err != nil {
			t.Fatal(err)
		}
		r.git("fetch", "-q", r.url(), "main")
		r.git("reset", "-q", "--hard", "FETCH_HEAD")
		r.write("hello.txt", "hello\n")
		r.again()
		got = r.publish(r.Service)
	}
	if got.State != "blocked" || got.Reason != "fingerprint_returns" || len(r.prs()) != 3 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

// closedBefore closes the run's pull request, and makes another run of the same trouble find that and end.
func (r *rig) closedBefore() {
	r.t.Helper()
	r.publish(r.Service)
	if err := r.forge.ClosePullRequest("acme", "hello", 1); err != nil {
		r.t.Fatal(err)
	}
	r.again()
	if got := r.publish(r.Service); got.Reason != "pull_request_closed" {
		r.t.Fatalf("%s(%s)", got.State, got.Reason)
	}
}

func TestAPullRequestThatAPersonOpenedAgainStandsForItsTrouble(t *testing.T) {
	r := newRig(t)
	first := r.run.ID
	r.closedBefore()
	if err := r.forge.ReopenPullRequest("acme", "hello", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := r.st.UnblockRun(t.Context(), r.run.ID, store.Actor{Who: "ada", Why: "closed by mistake"}); err != nil {
		t.Fatal(err)
	}
	r.exec("update runs set state = 'cancelled', reason = 'test', ended_at = now(), not_before = null where state = 'waiting'")
	for range 2 { // the second time by the record
		r.again()
		if got := r.publish(r.Service); got.State != "superseded" || got.Reason != "pull_request_open" || len(r.prs()) != 1 {
			t.Fatalf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
		}
		if pub, err := r.st.Publication(t.Context(), first); err != nil || pub.PrState != store.PROpen {
			t.Errorf("the record says %+v, %v", pub, err)
		}
	}
}

// foreignPR opens a person's pull request from a branch name of ours.
func (r *rig) foreignPR(branch string) int {
	r.t.Helper()
	r.write("mine.txt", "a person's work\n")
	r.git("add", "-A")
	r.git("commit", "-qm", "foreign")
	r.git("push", "-qf", r.url(), "HEAD:refs/heads/"+branch)
	r.git("reset", "-q", "--hard", "HEAD~1")
	pr, err := r.hub.CreatePullRequest(r.t.Context(), "acme", "hello", forge.NewPullRequest{Title: "mine", Head: branch, Base: "main", Body: "mine"})
	if err != nil {
		r.t.Fatal(err)
	}
	return pr.Number
}

func TestAPersonsPullRequestFromOurBranchNameIsNeverOurs(t *testing.T) {
	for name, tc := range map[string]struct {
		intent, closed bool
	}{
		"open, without an intent":   {false, false},
		"open, after an intent":     {true, false},
		"closed, without an intent": {false, true},
		"closed, after an intent":   {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if tc.intent {
				hit := r.failOnce(forgetest.Fault{Status: 500}, pushing)
				r.Handle(t.Context(), r.bell(r.run.ID))
				r.exec("update runs set not_before = now() where state = 'fixed'")
				r.forge.SetFault(nil)
				if pub, err := r.st.Publication(t.Context(), r.run.ID); !hit() || err != nil || pub == nil || pub.State != store.PubIntended {
					t.Fatalf("%+v, %v", pub, err)
				}
			}
			number := r.foreignPR(r.branch())
			if tc.closed {
				if err := r.forge.ClosePullRequest("acme", "hello", number); err != nil {
					t.Fatal(err)
				}
			}
			got := r.publish(r.Service)
			if got.State != "blocked" || got.Reason != "branch_taken" || len(r.prs()) != 1 {
				t.Errorf("a person's pull request was taken for ours: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
			}
			if url, err := r.st.Refused(t.Context(), *got.Fingerprint); err != nil || url != "" {
				t.Errorf("it refuses the fingerprint: %q, %v", url, err)
			}
		})
	}
}

// TestOnlyOurOwnPullRequestIsFollowed: ours is closed, and a person opened another one from its branch.
func TestOnlyOurOwnPullRequestIsFollowed(t *testing.T) {
	r := newRig(t)
	r.publish(r.Service)
	if err := r.forge.ClosePullRequest("acme", "hello", 1); err != nil {
		t.Fatal(err)
	}
	r.foreignPR(r.branch())
	r.again()
	if got := r.publish(r.Service); got.State != "blocked" || got.Reason != "pull_request_closed" || len(r.prs()) != 2 {
		t.Errorf("a person's pull request was followed: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

func TestOurPullRequestStaysOursWhenAPersonPushesToIt(t *testing.T) {
	r := newRig(t)
	r.publish(r.Service)
	r.git("fetch", "-q", r.url(), r.branch())
	r.git("checkout", "-q", "FETCH_HEAD")
	r.write("mine.txt", "a person's work\n")
	r.push(r.branch(), "on top of ours")
	r.git("checkout", "-q", "main")
	r.again()
	if got := r.publish(r.Service); got.State != "superseded" || got.Reason != "pull_request_open" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}
