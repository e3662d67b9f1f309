package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// behindProxy opens a store whose way to the database the test can close.
func behindProxy(t *testing.T, timeout time.Duration) (*store.Store, *chaos.Proxy, *pgx.Conn) {
	t.Helper()
	cfg, err := pgx.ParseConfig(testenv.PostgresWithSchema(t, migrate))
	if err != nil {
		t.Fatal(err)
	}
	network, addr := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	p, err := chaos.NewProxy(context.Background(), "tcp", "127.0.0.1:0", func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	host, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("host=%s port=%s user='%s' password='%s' dbname='%s' sslmode=disable", host, port, cfg.User, cfg.Password, cfg.Database)
	s, err := store.Open(t.Context(), url, store.Options{CallTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	direct, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = direct.Close(context.Background()) })
	return s, p, direct
}

// TestADatabaseThatVanishesWithoutAWordHoldsNobody: what is sent is taken and never answered, as behind a host that
// went away while something on the way still acknowledges.
func TestADatabaseThatVanishesWithoutAWordHoldsNobody(t *testing.T) {
	const timeout = 700 * time.Millisecond
	s, proxy, _ := behindProxy(t, timeout)
	r := claimed(t, s, failure(1, 1))
	for name, call := range map[string]func(context.Context) error{
		"one row":      func(ctx context.Context) error { _, err := s.Run(ctx, r.ID); return err },
		"several rows": func(ctx context.Context) error { _, err := s.Runs(ctx, "", 10); return err },
		"a write":      func(ctx context.Context) error { return s.Renew(ctx, r.ID, r.Fence, "h", time.Minute) },
		"a transaction": func(ctx context.Context) error {
			return s.EndRun(ctx, r.ID, r.Fence, store.End{State: "declined", Reason: "x"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Renew(t.Context(), r.ID, r.Fence, "h", time.Minute); err != nil { // there is a connection in the pool
				t.Fatal(err)
			}
			proxy.Set(chaos.Silent)
			defer proxy.Set(chaos.Open)
			ended := make(chan error, 1)
			go func() { ended <- call(context.Background()) }()
			select {
			case err := <-ended:
				if !errors.Is(err, context.DeadlineExceeded) || !store.Unreachable(err) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(20 * timeout):
				t.Fatal("the call hangs for as long as the host is away")
			}
		})
	}
	testenv.Eventually(t, 10*time.Second, func() bool { return s.Renew(t.Context(), r.ID, r.Fence, "h", time.Minute) == nil })
	if got := state(t, s, r.ID); got.State != "running" {
		t.Errorf("%s(%s)", got.State, got.Reason)
	}
}

// TestAWriteThatItsClientGaveUpIsUndone: it waits for a lock when its client gives up, and nothing tells the server so.
// When the lock comes free the write must not be made: a claim that nobody holds burns an attempt, and an end is told
// of twice.
func TestAWriteThatItsClientGaveUpIsUndone(t *testing.T) {
	for name, tt := range map[string]struct {
		state run.State
		lock  string
		write func(ctx context.Context, s *store.Store, r store.Run) error
	}{
		"an end": {run.Running, "select 1 from runs where id = $1 for update", func(ctx context.Context, s *store.Store, r store.Run) error {
			return s.EndRun(ctx, r.ID, r.Fence, store.End{State: "declined", Reason: "x"})
		}},
		"a claim": {
			run.Ready, "select 1 from repositories where id = (select repository_id from runs where id = $1) for update",
			func(ctx context.Context, s *store.Store, r store.Run) error {
				got, refused, err := s.ClaimRun(ctx, store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "a", TTL: time.Minute, Limits: limits})
				if err == nil && (refused != "" || got.AttemptCount != 1) {
					return fmt.Errorf("refused as %q, attempt %d", refused, got.AttemptCount)
				}
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, proxy, direct := behindProxy(t, 700*time.Millisecond)
			r := at(t, s, 1, tt.state)
			tx, err := direct.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), tt.lock, r.ID); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- tt.write(context.Background(), s, r) }()
			others := func(what string) (n int) {
				// The server's statistics stand still in a transaction unless they are asked for anew.
				_, err := direct.Exec(t.Context(), "select pg_stat_clear_snapshot()")
				if err == nil {
					err = direct.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database()
						and backend_type = 'client backend' and pid <> pg_backend_pid() and `+what).Scan(&n)
				}
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			testenv.Eventually(t, 10*time.Second, func() bool { return others("wait_event_type = 'Lock'") == 1 })
			proxy.Set(chaos.Silent)
			if err := <-ended; !store.Unreachable(err) {
				t.Errorf("waiting for a lock ended with %v", err)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, 10*time.Second, func() bool { return others("state = 'active'") == 0 })
			proxy.Set(chaos.Open)
			testenv.Eventually(t, 10*time.Second, func() bool { return others("state <> 'idle'") == 0 })
			if err := tt.write(t.Context(), s, r); err != nil {
				t.Errorf("the same write once more: %v", err)
			}
		})
	}
}
