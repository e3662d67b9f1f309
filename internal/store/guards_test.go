package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// The tests here each miss one guard of the store: make mutants removes it and wants them red.

// at brings a new run of a repository of its own into a state, with a fence that has an older one.
func at(t *testing.T, s *store.Store, n int, want run.State) store.Run {
	t.Helper()
	ctx := t.Context()
	r := claimed(t, s, failure(n, n))
	must(t, s.GiveBack(ctx, r.ID, r.Fence, store.GiveBack{Reason: "shutdown"}))
	if _, err := s.RingDue(ctx, limits.PerRepository, 100); err != nil {
		t.Fatal(err)
	}
	if want == run.Ready {
		return state(t, s, r.ID)
	}
	r = claim(t, s, r.ID)
	if want == run.Running {
		return r
	}
	must(t, s.SaveFix(ctx, r.ID, r.Fence, fix(r)))
	if want == run.Fixed {
		return state(t, s, r.ID)
	}
	p, refused, err := s.ClaimPublication(ctx, r.ID, r.Fence, "h", time.Minute)
	if err != nil || refused != "" {
		t.Fatalf("claim the publication: refused %q, %v", refused, err)
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rows says how many rows a query that returns its row has changed.
func rows(err error) (int64, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return 1, err
}

// TestEachFencedWriteRefusesAnOlderFenceByItself: most writes are two statements in one transaction, and each of them
// has to refuse by itself, whatever the other one does.
func TestEachFencedWriteRefusesAnOlderFenceByItself(t *testing.T) {
	s := open(t)
	q := db.New(s.Pool())
	none := json.RawMessage("{}")
	for n, tc := range []struct {
		name  string
		state run.State
		write func(ctx context.Context, r store.Run, fence int64) (int64, error)
	}{
		{"claim", run.Ready, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			_, err := q.ClaimRun(ctx, db.ClaimRunParams{ID: r.ID, Fence: fence, Holder: "x", TtlSeconds: 60, SlotLimit: 2, MaxAttempts: 3})
			return rows(err)
		}},
		{"defer", run.Ready, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.DeferRun(ctx, db.DeferRunParams{ID: r.ID, Fence: fence, Reason: run.WaitNoSlot})
		}},
		{"renew", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.RenewLease(ctx, db.RenewLeaseParams{ID: r.ID, Fence: fence, Holder: "h", TtlSeconds: 60})
		}},
		{"end the attempt", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.EndAttempt(ctx, db.EndAttemptParams{RunID: r.ID, Fence: fence, Outcome: "declined", Evidence: none})
		}},
		{"end the run with its attempt", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.EndAttemptedRun(ctx, db.EndAttemptedRunParams{ID: r.ID, Fence: fence, State: "declined", Reason: "x", Evidence: none})
		}},
		{"end the run", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.EndRun(ctx, db.EndRunParams{ID: r.ID, Fence: fence, State: "declined", Reason: "x"})
		}},
		{"mark as fixed", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.MarkFixed(ctx, db.MarkFixedParams{ID: r.ID, Fence: fence, Explanation: "x", Fingerprint: "f"})
		}},
		{"give back the run", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.GiveBackRun(ctx, db.GiveBackRunParams{ID: r.ID, Fence: fence, Explanation: "x"})
		}},
		{"give back the attempt", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.GiveBackAttempt(ctx, db.GiveBackAttemptParams{RunID: r.ID, Fence: fence, Reason: "x", Evidence: none})
		}},
		{"wait for a retry", run.Running, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.WaitForRetry(ctx, db.WaitForRetryParams{ID: r.ID, Fence: fence})
		}},
		{"claim the publication", run.Fixed, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			_, err := q.ClaimPublication(ctx, db.ClaimPublicationParams{ID: r.ID, Fence: fence, Holder: "x", TtlSeconds: 60})
			return rows(err)
		}},
		{"intend", run.Publishing, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			i := intent()
			_, err := q.IntendPublication(ctx, db.IntendPublicationParams{
				RunID: r.ID, Fence: fence, Digest: i.Digest, Branch: i.Branch, BaseBranch: i.BaseBranch, CommitID: i.CommitID,
			})
			return rows(err)
		}},
		{"advance the publication", run.Publishing, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			if _, err := s.Intend(ctx, r.ID, r.Fence, intent()); err != nil {
				return 0, err
			}
			return q.AdvancePublication(ctx, db.AdvancePublicationParams{RunID: r.ID, Fence: fence, State: store.PubPushed, PrState: store.PRNone})
		}},
		{"give back the publication", run.Publishing, func(ctx context.Context, r store.Run, fence int64) (int64, error) {
			return q.GiveBackPublication(ctx, db.GiveBackPublicationParams{ID: r.ID, Fence: fence, Explanation: "x"})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := at(t, s, n, tc.state)
			// The fingerprint is each run's own: at most one publication may stand for one.
			exec(t, s, "update runs set fingerprint = id::text where id = $1", r.ID)
			if n, err := tc.write(t.Context(), r, r.Fence-1); err != nil || n != 0 {
				t.Errorf("%s: an older fence was taken: %d rows, %v", tc.name, n, err)
			}
			if got := state(t, s, r.ID); got.State != string(tc.state) || got.Fence != r.Fence {
				t.Errorf("the run is %s with fence %d, was %s with %d", got.State, got.Fence, tc.state, r.Fence)
			}
			if n, err := tc.write(t.Context(), r, r.Fence); err != nil || n != 1 {
				t.Errorf("%s: the right fence was refused: %d rows, %v", tc.name, n, err)
			}
		})
	}
}

func TestALeaseIsRenewedByItsHolderAloneAndWhileItLasts(t *testing.T) {
	s := open(t)
	r := claimed(t, s, failure(1, 1))
	if err := s.Renew(t.Context(), r.ID, r.Fence, "another", time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("another holder renewed it: %v", err)
	}
	must(t, s.Renew(t.Context(), r.ID, r.Fence, "h", time.Minute))
	exec(t, s, "update runs set lease_expires_at = now() - interval '1 millisecond' where id = $1", r.ID)
	if err := s.Renew(t.Context(), r.ID, r.Fence, "h", time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("a lease that had run out was renewed: %v", err)
	}
}

// TestTheClaimItselfRefusesWhatIsTooMuchOrTooEarly: whoever rang, and whatever the scheduler believes.
func TestTheClaimItselfRefusesWhatIsTooMuchOrTooEarly(t *testing.T) {
	s := open(t)
	second, hour := time.Second, time.Hour
	for n, tc := range []struct {
		name   string
		limits run.Limits
		// made attempts, the last of which began and ended a minute ago.
		made int
		want string
	}{
		{"rested", run.Limits{MaxAttempts: 3, BaseBackoff: second, MaxBackoff: second, Cooldown: second}, 1, ""},
		{"no attempt left", run.Limits{MaxAttempts: 3, BaseBackoff: second, MaxBackoff: second, Cooldown: second}, 3, store.RefusedStale},
		{"within the cooldown", run.Limits{MaxAttempts: 3, BaseBackoff: second, MaxBackoff: second, Cooldown: hour}, 1, store.RefusedStale},
		{"within the backoff", run.Limits{MaxAttempts: 3, BaseBackoff: hour, MaxBackoff: hour, Cooldown: second}, 1, store.RefusedStale},
		{"the second attempt rests twice as long", run.Limits{MaxAttempts: 3, BaseBackoff: 40 * second, MaxBackoff: hour, Cooldown: second}, 2, store.RefusedStale},
		{"but not longer than the maximum", run.Limits{MaxAttempts: 3, BaseBackoff: 40 * second, MaxBackoff: 50 * second, Cooldown: second}, 2, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := at(t, s, n, run.Ready)
			exec(t, s, `update runs set attempt_count = $2, attempt_started_at = now() - interval '1 minute',
				attempt_ended_at = now() - interval '1 minute' where id = $1`, r.ID, tc.made)
			tc.limits.PerRepository = 1
			_, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: tc.limits})
			if err != nil || refused != tc.want {
				t.Errorf("%s: refused as %q, want %q; %v", tc.name, refused, tc.want, err)
			}
		})
	}
}

// TestAClaimWaitsForTheRepositorysRow: without that two claims at once could each see a free slot.
func TestAClaimWaitsForTheRepositorysRow(t *testing.T) {
	s := open(t)
	r := at(t, s, 1, run.Ready)
	tx, err := s.Pool().Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "select from repositories where id = $1 for update", r.RepositoryID)
	must(t, err)
	claimed := make(chan error, 1)
	go func() {
		_, refused, err := s.ClaimRun(context.WithoutCancel(t.Context()), store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: limits})
		if err == nil && refused != "" {
			err = errors.New("refused: " + refused)
		}
		claimed <- err
	}()
	early := false
	testenv.Eventually(t, 10*time.Second, func() bool {
		early = len(claimed) > 0
		var waiting bool
		err := s.Pool().QueryRow(t.Context(), `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waiting)
		return early || err == nil && waiting
	})
	if early {
		t.Error("claimed while another claim of the repository was under way")
	}
	must(t, tx.Commit(t.Context()))
	must(t, <-claimed)
}

func TestARunThatWasNotRungIsNotClaimed(t *testing.T) {
	s := open(t)
	rec := record(t, s, "d1", failure(1, 1))
	_, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: rec.RunID, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != store.RefusedStale {
		t.Errorf("a run that was not rung was claimed: refused as %q, %v", refused, err)
	}
}

func TestARetryByAPersonForgivesTheAttemptsMade(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	once := limits
	once.MaxAttempts = 1
	r := claimed(t, s, failure(1, 1))
	exec(t, s, "update runs set lease_expires_at = now() - interval '1 second' where id = $1", r.ID)
	if taken, err := s.TakeBack(ctx, once, 10); err != nil || len(taken) != 1 || taken[0].State != "blocked" {
		t.Fatalf("take back: %+v, %v", taken, err)
	}
	if _, err := s.RetryRun(ctx, r.ID, store.Actor{Who: "mona", Why: "the runner's disk was full"}); err != nil {
		t.Fatal(err)
	}
	if rung, err := s.RingDue(ctx, 2, 10); err != nil || len(rung) != 1 {
		t.Fatalf("rung: %d, %v", len(rung), err)
	}
	r = state(t, s, r.ID)
	again, refused, err := s.ClaimRun(ctx, store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: once})
	if err != nil || refused != "" || again.AttemptCount != 2 {
		t.Errorf("after the retry: refused as %q, attempt %d, %v", refused, again.AttemptCount, err)
	}
}

// TestTheSchemaItselfRefusesAWrongState: the constraints hold whatever the code does.
func TestTheSchemaItselfRefusesAWrongState(t *testing.T) {
	s := open(t)
	r := at(t, s, 1, run.Running)
	other := at(t, s, 2, run.Publishing)
	if _, err := s.Intend(t.Context(), other.ID, other.Fence, intent()); err != nil {
		t.Fatal(err)
	}
	body := strings.TrimPrefix(patch.Digest([]byte("another body")), "sha256:")
	for _, tc := range []struct {
		name, constraint, sql string
		args                  []any
	}{
		{
			"two runs of one key", "runs_run_key_key", `insert into runs (run_key, repository_id, failure, state, reason, not_before)
			select run_key, repository_id, failure, 'waiting', 'new', now() from runs where id = $1`, []any{r.ID},
		},
		{
			"two records of one delivery", "deliveries_provider_delivery_id_key", `insert into deliveries (provider, delivery_id, event, body_sha256, received_at, outcome, reason)
			select provider, delivery_id, event, $2, now(), 'ignored', 'x' from deliveries where run_id = $1`, []any{r.ID, body},
		},
		{
			"two records that take one signed body for new", "deliveries_body", `insert into deliveries (provider, delivery_id, event, body_sha256, received_at, outcome, reason)
			select provider, 'fresh-id', event, body_sha256, now(), 'ignored', 'x' from deliveries where run_id = $1`, []any{r.ID},
		},
		{
			"two open attempts of one run", "attempts_one_open", `insert into attempts (run_id, fence, number, holder)
			values ($1, 99, 99, 'x')`, []any{r.ID},
		},
		{"an end without a reason", "runs_reason", `update runs set state = 'declined', reason = '', holder = null, lease_expires_at = null,
			ended_at = now() where id = $1`, []any{r.ID}},
		{"work without a lease", "runs_lease", `update runs set holder = null where id = $1`, []any{r.ID}},
		{
			"two pull requests on their way for one trouble", "publications_fingerprint", `with f as (
				insert into fixes (run_id, generation, fence, base_commit, diff, digest, fixer, title, evidence)
				select $1, 9, $2, base_commit, diff, digest, fixer, title, evidence from fixes where run_id = $3 returning run_id, generation)
			insert into publications (run_id, generation, fingerprint, digest, branch, base_branch, commit_id, state, repository_id)
			select f.run_id, f.generation, p.fingerprint, p.digest, p.branch, p.base_branch, p.commit_id, 'intended', p.repository_id
			from f, publications p where p.run_id = $3`, []any{r.ID, r.Fence, other.ID},
		},
		{"a branch that is not ours", "publications_branch_check", `update publications set branch = 'main' where run_id = $1`, []any{other.ID}},
		{"a digest of other bytes", "fixes_check", `update fixes set diff = 'x' where run_id = $1`, []any{other.ID}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tx, err := s.Pool().Begin(t.Context())
			must(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			_, err = tx.Exec(t.Context(), tc.sql, tc.args...)
			var pg *pgconn.PgError
			if err == nil {
				t.Errorf("the schema allows %s", tc.name)
			} else if !errors.As(err, &pg) || pg.ConstraintName != tc.constraint {
				t.Errorf("%s: %v, want the constraint %s", tc.name, err, tc.constraint)
			}
		})
	}
}
