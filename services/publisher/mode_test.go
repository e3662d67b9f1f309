package publisher_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/store"
)

func TestAModeThatOperatorsNarrowedHoldsBackWhatWasVerifiedBefore(t *testing.T) {
	for mode, want := range map[string]string{"shadow": "shadow_mode", "suggest": "suggest_mode", "pr": "", "": ""} {
		t.Run("mode "+mode, func(t *testing.T) {
			r := newRig(t)
			_, _, err := r.st.ChangeRepository(t.Context(), r.run.RepositoryID, store.OpMode, store.Actor{Who: "ada", Why: "test"}, func(s *store.RepositorySettings) { s.Mode = mode })
			if err != nil {
				t.Fatal(err)
			}
			got, prs := r.publish(r.Service), len(r.prs())
			if want == "" && (got.State != "published" || prs != 1) || want != "" && (got.State != "declined" || got.Reason != want || prs != 0) {
				t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, prs)
			}
		})
	}
}

// TestANarrowerModeAdoptsAPullRequestThatIsThere: what is open is not forgotten because nothing more is wanted.
func TestANarrowerModeAdoptsAPullRequestThatIsThere(t *testing.T) {
	r := newRig(t)
	r.failOnce(lost, creating) // it is open, and nobody has heard of it
	r.Handle(t.Context(), r.doorbell())
	r.exec("update runs set not_before = now() where state = 'fixed'")
	r.exec("insert into repository_settings (repository_id, mode) select id, 'shadow' from repositories")
	if got := r.publish(r.Service); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}
