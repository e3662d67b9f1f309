package throttle_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

// TestAFixThatNoPublisherTookIsRungAgain misses one guard of the scheduler: make mutants removes it and wants it red.
func TestAFixThatNoPublisherTookIsRungAgain(t *testing.T) {
	r := newRig(t, 1000)
	r.Handle(t.Context(), message("d1", "workflow_run", failedRun(1)))
	if _, err := r.st.RingDue(t.Context(), 2, 10); err != nil {
		t.Fatal(err)
	}
	claimed, refused, err := r.st.ClaimRun(t.Context(), store.Claim{RunID: 1, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	diff := []byte("diff --git a/a b/a\n")
	err = r.st.SaveFix(t.Context(), claimed.ID, claimed.Fence, store.Fix{
		BaseCommit: claimed.Failure.Commit, Diff: diff, Digest: patch.Digest(diff), Fixer: "gofmt", Title: "x", Explanation: "x", Fingerprint: "f",
		Evidence: []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.loop(t, 100*time.Millisecond)
	testenv.Eventually(t, 5*time.Second, func() bool {
		return slices.ContainsFunc(r.bell.rung(), func(got ring) bool { return got.kind == streams.TypeFix && got.run == claimed.ID })
	})
}
