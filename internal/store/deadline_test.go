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
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// behindProxy opens a store whose way to the database the test can close.
func behindProxy(t *testing.T, timeout time.Duration) (*store.Store, *chaos.Proxy) {
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
	return s, p
}

// TestADatabaseThatVanishesWithoutAWordHoldsNobody: what is sent is taken and never answered, as behind a host that
// went away while something on the way still acknowledges.
func TestADatabaseThatVanishesWithoutAWordHoldsNobody(t *testing.T) {
	const timeout = 700 * time.Millisecond
	s, proxy := behindProxy(t, timeout)
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

// TestATransactionThatHangsInTheMiddleIsLetGo: the deadline is the transaction's, and no statement begins another.
func TestATransactionThatHangsInTheMiddleIsLetGo(t *testing.T) {
	s, _ := behindProxy(t, 700*time.Millisecond)
	r := claimed(t, s, failure(1, 1))
	tx, err := s.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select 1 from runs where id = $1 for update", r.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.EndRun(context.Background(), r.ID, r.Fence, store.End{State: "declined", Reason: "x"}); !store.Unreachable(err) {
		t.Errorf("waiting for a row's lock ended with %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.EndRun(t.Context(), r.ID, r.Fence, store.End{State: "declined", Reason: "x"}); err != nil {
		t.Error(err)
	}
}
