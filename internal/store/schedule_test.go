package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// addRun writes a waiting run directly: the schedule must not depend on who writes.
const addRun = `insert into runs (run_key, repository_id, failure, state, reason, not_before)
	values (gen_random_uuid()::text, $1, '{}', 'waiting', 'new', now() + make_interval(secs => $2))`

// moveRun puts a run into any state, whatever it was in, with what the state's constraints ask for.
const moveRun = `update runs set state = $2, reason = case $2 when 'waiting' then 'no_slot' else 'x' end,
	not_before = case when $2 in ('waiting', 'fixed') then now() + make_interval(secs => $3) end,
	rung_at = now(), holder = case when $2 in ('running', 'publishing') then 'h' end,
	lease_expires_at = case when $2 in ('running', 'publishing') then now() + interval '1 day' end,
	ended_at = case when $2 in ('published', 'declined', 'blocked', 'superseded', 'cancelled') then now() end
	where id = $1`

// passTime lets all due times come nearer without a trigger noticing, as time does.
const passTime = `begin; set local session_replication_role = replica;
	update runs set not_before = not_before - interval '%[1]d hours'; update turns set due = due - interval '%[1]d hours'; commit`

// naive is what the scheduler has to ring, worked out from all rows.
const naive = `select w.id from (
		select id, repository_id, row_number() over (partition by repository_id order by not_before, id) as nth
		from runs where state = 'waiting' and not_before <= now()) w
	left join repository_settings s on s.repository_id = w.repository_id
	where w.nth <= case when s.paused_at is not null then 0 else least($1, s.concurrency_limit) end - (select count(*) from runs a where a.repository_id = w.repository_id and a.state in ('ready', 'running'))
	order by w.id`

var allStates = []string{"waiting", "ready", "running", "fixed", "publishing", "published", "declined", "blocked", "superseded", "cancelled"}

var errRollBack = errors.New("roll back")

func makeRepositories(t *testing.T, s *store.Store, n int) {
	t.Helper()
	exec(t, s, "insert into repositories (provider, external_id, owner, name) select 'github', i, 'acme', i from generate_series(1, $1::int) i", n)
}

func ids(t rapid.TB, s *store.Store, sql string, args ...any) []int64 {
	t.Helper()
	rows, err := s.Pool().Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheScheduleRingsWhatANaiveRecomputationWould lets runs change their states in every way, by any statement, and
// compares each ring with what all rows say.
func TestTheScheduleRingsWhatANaiveRecomputationWould(t *testing.T) {
	s := open(t)
	makeRepositories(t, s, 4)
	ctx := t.Context()
	const limit = 2
	rapid.Check(t, func(rt *rapid.T) {
		do := func(sql string, args ...any) {
			rt.Helper()
			if _, err := s.Pool().Exec(ctx, sql, args...); err != nil {
				rt.Fatal(err)
			}
		}
		do("truncate runs, turns, repository_settings cascade")
		hours := rapid.Custom(func(rt *rapid.T) float64 {
			return 3600 * float64(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5}).Draw(rt, "hours"))
		})
		some := func() int64 {
			all := ids(rt, s, "select id from runs order by id")
			if len(all) == 0 {
				rt.Skip("no run yet")
			}
			return rapid.SampledFrom(all).Draw(rt, "run")
		}
		add := func(rt *rapid.T) { do(addRun, rapid.Int64Range(1, 4).Draw(rt, "repository"), hours.Draw(rt, "delay")) }
		rt.Repeat(map[string]func(*rapid.T){
			"add":       add,
			"add again": add,
			"set": func(rt *rapid.T) {
				do(`insert into repository_settings (repository_id, paused_at, concurrency_limit) values ($1, case when $2 then now() end, nullif($3, 0))
					on conflict (repository_id) do update set paused_at = excluded.paused_at, concurrency_limit = excluded.concurrency_limit`,
					rapid.Int64Range(1, 4).Draw(rt, "repository"), rapid.Bool().Draw(rt, "paused"), rapid.IntRange(0, 3).Draw(rt, "limit"))
			},
			"move": func(rt *rapid.T) {
				do(moveRun, some(), rapid.SampledFrom(allStates).Draw(rt, "state"), hours.Draw(rt, "delay"))
			},
			"move, but roll back": func(rt *rapid.T) {
				id, state, delay := some(), rapid.SampledFrom(allStates).Draw(rt, "state"), hours.Draw(rt, "delay")
				err := pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, moveRun, id, state, delay); err != nil {
						return err
					}
					return errRollBack
				})
				if !errors.Is(err, errRollBack) {
					rt.Fatal(err)
				}
			},
			"delete":    func(*rapid.T) { do("delete from runs where id = $1", some()) },
			"time goes": func(rt *rapid.T) { do(fmt.Sprintf(passTime, rapid.IntRange(1, 3).Draw(rt, "hours"))) },
			"ring": func(rt *rapid.T) {
				want := ids(rt, s, naive, limit)
				if got := ringAll(rt, s, limit, rapid.SampledFrom([]int32{1, 2, 3, 100}).Draw(rt, "at most")); !slices.Equal(got, want) {
					rt.Fatalf("rung %v, and all rows say %v", got, want)
				}
			},
			"": func(rt *rapid.T) {
				if n, err := s.MendTurns(ctx, limit); err != nil || n != 0 {
					rt.Fatalf("%d repositories were without a turn that they should have: %v", n, err)
				}
			},
		})
	})
}

// ringAll rings until nothing is due any more.
func ringAll(t rapid.TB, s *store.Store, limit int, most int32) []int64 {
	t.Helper()
	got := []int64{}
	for range 10_000 {
		rung, err := s.RingDue(context.Background(), limit, most)
		if err != nil || len(rung) > int(most) {
			t.Fatalf("%d rung, %v", len(rung), err)
		}
		for _, r := range rung {
			got = append(got, r.ID)
		}
		next, err := s.NextDue(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if next > 0 {
			slices.Sort(got)
			return got
		}
	}
	t.Fatal("something stays due for ever and is never rung")
	return nil
}

func TestRunsAreRungRoundRobin(t *testing.T) {
	s := open(t)
	makeRepositories(t, s, 3)
	for repo, n := range map[int]int{1: 5, 2: 2, 3: 1} {
		for range n {
			exec(t, s, addRun, repo, 0)
		}
	}
	var order []int64
	for _, n := range []int32{100, 2} {
		rung, err := s.RingDue(t.Context(), 3, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rung {
			order = append(order, r.RepositoryID)
		}
	}
	if len(order) != 6 {
		t.Fatalf("rung of repositories %v", order)
	}
	first := slices.Sorted(slices.Values(order[:3]))
	second := slices.Sorted(slices.Values(order[3:5]))
	if !slices.Equal(first, []int64{1, 2, 3}) || !slices.Equal(second, []int64{1, 2}) || order[5] != 1 {
		t.Errorf("rung of repositories %v: the first of each comes before the second of any", order)
	}
}

// TestAFullRepositoryCostsNothing: what waits for a slot of its own is not looked at again until one is free.
func TestAFullRepositoryCostsNothing(t *testing.T) {
	s := open(t)
	makeRepositories(t, s, 1)
	for range 5 {
		exec(t, s, addRun, 1, 0)
	}
	if got := ringAll(t, s, 2, 100); len(got) != 2 {
		t.Fatalf("rung %v", got)
	}
	if n := len(ids(t, s, "select id from turns")); n != 0 {
		t.Errorf("%d turns of a full repository", n)
	}
	exec(t, s, moveRun, 1, "declined", 0)
	if got := ringAll(t, s, 2, 100); !slices.Equal(got, []int64{3}) {
		t.Errorf("after a slot was free %v was rung", got)
	}
}

func TestRowsThatCameInWithoutTriggersAreMended(t *testing.T) {
	s := open(t)
	makeRepositories(t, s, 2)
	exec(t, s, addRun, 1, 0)
	exec(t, s, addRun, 2, 3600)
	exec(t, s, "delete from turns")
	if got := ringAll(t, s, 2, 100); len(got) != 0 {
		t.Fatalf("rung %v without turns", got)
	}
	if n, err := s.MendTurns(t.Context(), 2); n != 2 || err != nil {
		t.Errorf("mended %d, %v", n, err)
	}
	if got := ringAll(t, s, 2, 100); !slices.Equal(got, []int64{1}) {
		t.Errorf("rung %v", got)
	}
	next, err := s.NextDue(t.Context())
	if err != nil || next < 59*time.Minute || next > time.Hour {
		t.Errorf("next due in %v, %v", next, err)
	}
}

// TestSchedulersAtOnceForgetNothing: several schedulers ring while runs come in and end in transactions that stay
// open for a while, which is when a turn could be spent for a run that can't be seen yet.
func TestSchedulersAtOnceForgetNothing(t *testing.T) {
	s, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, migrate), store.Options{MaxConns: 24})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	const repositories, perRepository, limit = 3, 120, 2
	makeRepositories(t, s, repositories)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ended atomic.Int64
	var mu sync.Mutex
	rungAs := map[string]bool{}
	work := make(chan store.Run, repositories*perRepository*4)
	var wg sync.WaitGroup
	// held runs a statement in a transaction that stays open for up to 4 ms.
	held := func(sql string, args ...any) {
		err := pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, sql, args...); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "select pg_sleep($1)", rand.Float64()*0.004)
			return err
		})
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	for repo := range repositories {
		for range 2 { // writers of new runs
			wg.Go(func() {
				for range perRepository / 2 {
					held(addRun, repo+1, rand.Float64()*0.02)
				}
			})
		}
	}
	stop := make(chan struct{})
	var schedulers sync.WaitGroup
	for range 4 {
		schedulers.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				rung, err := s.RingDue(ctx, limit, 3)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range rung {
					key := fmt.Sprint(r.ID, "/", r.Rings)
					mu.Lock()
					if rungAs[key] {
						t.Errorf("rung twice: %s", key)
					}
					rungAs[key] = true
					mu.Unlock()
					work <- r
				}
			}
		})
	}
	// Whatever moment it is, no repository has more active runs than it may.
	schedulers.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if over := ids(t, s, "select repository_id from runs where state in ('ready', 'running') group by 1 having count(*) > $1", limit); len(over) > 0 {
				t.Errorf("above the limit: repositories %v", over)
				return
			}
		}
	})
	all := make(chan struct{})
	for range 6 { // runners: some runs are put back, and come again
		wg.Go(func() {
			for {
				select {
				case <-all:
					return
				case <-ctx.Done():
					return
				case r := <-work:
					if rand.IntN(4) == 0 {
						held(moveRun, r.ID, string(run.Waiting), rand.Float64()*0.02)
						continue
					}
					held(moveRun, r.ID, "declined", 0)
					if ended.Add(1) == repositories*perRepository {
						close(all)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	schedulers.Wait()
	if ended.Load() != repositories*perRepository {
		t.Errorf("%d of %d ended; forgotten: %v", ended.Load(), repositories*perRepository, ids(t, s, "select id from runs where state <> 'declined'"))
	}
}
