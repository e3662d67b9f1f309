package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/store"
)

// scheduleRow is one measurement: what the scheduler pays for a start when this many runs wait.
type scheduleRow struct {
	Waiting      int `json:"waiting"`
	Repositories int `json:"repositories"`
	// UsPerStart is the median time of the scheduler's two statements, to ring and to ask when to look again, when
	// one slot has become free. It holds a commit that is on disk.
	UsPerStart int64 `json:"us_per_start"`
	UsP99      int64 `json:"us_p99"`
	// Buffers is how many pages PostgreSQL looked at for one start: it does not depend on the machine.
	Buffers int64 `json:"buffers_per_start"`
	// UsIdle is a round that finds nothing, since every repository that has something waiting is full.
	UsIdle int64 `json:"us_idle_round"`
}

// perRepository is REPO_PIPELINE_CONCURRENCY_LIMIT.
const perRepository = 2

func benchSchedule(ctx context.Context, dir string, flags *flag.FlagSet, args []string) error {
	waiting := flags.String("waiting", "1000,100000,1000000", "how many runs wait")
	repositories := flags.String("repositories", "1,1000", "spread over how many repositories")
	starts := flags.Int("starts", 500, "starts to measure")
	_ = flags.Parse(args) // it exits by itself
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: dir, Fsync: true})
	if err != nil {
		return err
	}
	defer func() { _ = pg.Stop() }()
	if _, err := store.Migrate(ctx, pg.URL()); err != nil {
		return err
	}
	st, err := store.Open(ctx, pg.URL(), store.Options{MaxConns: 4})
	if err != nil {
		return err
	}
	defer st.Close()
	var rows []scheduleRow
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "waiting\trepositories\tus/start\tp99\tpages/start\tus/idle round\t")
	for _, w := range numbers(*waiting) {
		for _, r := range numbers(*repositories) {
			row, err := measureSchedule(ctx, st, w, r, *starts)
			if err != nil {
				return fmt.Errorf("%d waiting in %d repositories: %w", w, r, err)
			}
			rows = append(rows, row)
			fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d\t%d\t\n", row.Waiting, row.Repositories, row.UsPerStart, row.UsP99, row.Buffers, row.UsIdle)
		}
	}
	_ = out.Flush()
	return json.NewEncoder(os.Stdout).Encode(struct {
		Tool string        `json:"tool"`
		Rows []scheduleRow `json:"rows"`
	}{"bench-schedule", rows})
}

func numbers(list string) (out []int) {
	for _, s := range strings.Split(list, ",") {
		if n, err := strconv.Atoi(s); err == nil && n > 0 {
			out = append(out, n)
		}
	}
	return out
}

// load fills the tables with waiting runs, due that far from now. The triggers are off meanwhile: MendTurns does their work.
func load(ctx context.Context, pool *pgxpool.Pool, waiting, repositories int, due time.Duration) error {
	for _, sql := range []string{
		"truncate runs, repositories, turns restart identity cascade",
		fmt.Sprintf("insert into repositories (provider, external_id, owner, name) select 'github', i, 'acme', 'noisy-' || i from generate_series(1, %d) i", repositories),
		"alter table runs disable trigger user",
		fmt.Sprintf(`insert into runs (run_key, repository_id, failure, state, reason, not_before)
			select 'noisy:' || i, 1 + i %% %d, '{"provider":"github","repository":{"owner":"acme","name":"noisy"}}', 'waiting', 'new', now() + %d * interval '1 second'
			from generate_series(1, %d) i`, repositories, int(due.Seconds()), waiting),
		"alter table runs enable trigger user",
		"vacuum analyze runs", "vacuum analyze repositories",
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func measureSchedule(ctx context.Context, st *store.Store, waiting, repositories, starts int) (scheduleRow, error) {
	row := scheduleRow{Waiting: waiting, Repositories: repositories}
	// The load's statements may take longer than a service's may.
	loader, err := unbounded(ctx, st.Pool())
	if err != nil {
		return row, err
	}
	defer loader.Close()
	// What is about to be started waits on top of the number that goes on waiting.
	if err := load(ctx, loader, waiting+repositories*perRepository+2*starts, repositories, -time.Second); err != nil {
		return row, err
	}
	if _, err := st.MendTurns(ctx, perRepository); err != nil {
		return row, err
	}
	for {
		rung, err := st.RingDue(ctx, perRepository, 200)
		if err != nil {
			return row, err
		}
		if len(rung) == 0 {
			break
		}
	}
	var ring, idle []time.Duration
	for range starts {
		took, n, err := freeOneAndRing(ctx, st)
		if err != nil {
			return row, err
		}
		if n != 1 {
			return row, fmt.Errorf("one slot was free and %d runs were rung", n)
		}
		ring = append(ring, took)
		begin := time.Now()
		if _, err := st.RingDue(ctx, perRepository, 200); err != nil {
			return row, err
		}
		idle = append(idle, time.Since(begin))
	}
	row.UsPerStart, row.UsP99, row.UsIdle = quantile(ring, 50).Microseconds(), quantile(ring, 99).Microseconds(), quantile(idle, 50).Microseconds()
	row.Buffers, err = buffers(ctx, st.Pool())
	return row, err
}

// unbounded is a pool without the services' limit on a statement's time.
func unbounded(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Pool, error) {
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	return pgxpool.NewWithConfig(ctx, cfg)
}

const freeOne = "update runs set state = 'cancelled', reason = 'bench', ended_at = now() where id = (select id from runs where state = 'ready' order by rung_at limit 1)"

// freeOneAndRing ends one run, which is not timed, and does then what the scheduler does.
func freeOneAndRing(ctx context.Context, st *store.Store) (took time.Duration, rung int, err error) {
	if _, err := st.Pool().Exec(ctx, freeOne); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	runs, err := st.RingDue(ctx, perRepository, 200)
	if err != nil {
		return 0, 0, err
	}
	if _, err := st.NextDue(ctx); err != nil {
		return 0, 0, err
	}
	return time.Since(begin), len(runs), nil
}

// buffers asks PostgreSQL how many pages one start looks at: the median of a few.
func buffers(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	var pages []int64
	for range 21 {
		if _, err := pool.Exec(ctx, freeOne); err != nil {
			return 0, err
		}
		var text string
		if err := pool.QueryRow(ctx, fmt.Sprintf("explain (analyze, buffers, format json) select * from ring_due(%d, 200)", perRepository)).Scan(&text); err != nil {
			return 0, err
		}
		var plans []struct {
			Plan struct {
				Hit  int64 `json:"Shared Hit Blocks"`
				Read int64 `json:"Shared Read Blocks"`
				Rows int64 `json:"Actual Rows"`
			}
		}
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			return 0, err
		}
		if len(plans) != 1 || plans[0].Plan.Rows != 1 {
			return 0, errors.New("explain: not one start")
		}
		pages = append(pages, plans[0].Plan.Hit+plans[0].Plan.Read)
	}
	slices.Sort(pages)
	return pages[len(pages)/2], nil
}

// quantile is the p-th percentile by the nearest rank.
func quantile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, (len(sorted)*p+99)/100-1)]
}
