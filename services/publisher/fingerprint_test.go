package publisher_test

import (
	"testing"

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
