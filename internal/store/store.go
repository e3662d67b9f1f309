// Package store is the judge: it keeps deliveries, runs, attempts, fixes and publications in PostgreSQL.
//
// It promises that every change of a run is an UPDATE guarded by the run's state and fence, with the affected
// rows checked: a write from somebody who has lost the run is refused with ErrFenced and changes nothing. All
// times are the database's own.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// ErrFenced says that the run is no longer the caller's: somebody claimed it since, or its lease ran out.
var ErrFenced = errors.New("the run is no longer ours (fence or lease lost)")

// ErrNotFound says that no such row exists.
var ErrNotFound = errors.New("not found")

// Options are the settings of a connection pool.
type Options struct {
	MaxConns int
	Tracer   trace.TracerProvider
	// CallTimeout bounds each call whose context does not say less; 0 means 20 s.
	CallTimeout time.Duration
}

// Store keeps the records. It is safe for concurrent use.
type Store struct {
	pool        *pgxpool.Pool
	q           *db.Queries
	callTimeout time.Duration
}

// Open connects to the database at url and waits until it answers or ctx ends.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser's error may quote the URL, password included.
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL or connection string")
	}
	if opts.MaxConns > 0 {
		cfg.MaxConns = int32(min(opts.MaxConns, 1000))
	}
	if opts.Tracer != nil {
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(opts.Tracer))
	}
	dialWell(cfg.ConnConfig)
	cfg.PingTimeout = connectTimeout // of a connection that was idle, before it is used
	// A peer that went away without a word must not hold a row's lock for ever.
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "30s"
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "60s"
	cfg.ConnConfig.RuntimeParams["application_name"] = "sre-agent"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	s := &Store{pool: pool, callTimeout: cmp.Or(opts.CallTimeout, callTimeout)}
	s.q = db.New(bounded{pool, func() time.Time { return time.Now().Add(s.callTimeout) }})
	return s, nil
}

// Close closes the pool.
func (s *Store) Close() { s.pool.Close() }

// traceParent is the W3C traceparent of the span in ctx, or "".
func traceParent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	return nil
}

// Pool is for tests and tools that look at the rows directly.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// inTx runs f in one transaction, with one deadline for all of it.
func (s *Store) inTx(ctx context.Context, op string, f func(*db.Queries) error) error {
	end := time.Now().Add(s.callTimeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return f(db.New(bounded{tx, func() time.Time { return end }}))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Unreachable says whether an error is the database's absence rather than its answer: trying again may help.
func Unreachable(err error) bool {
	if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrNotFound) {
		return false
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	switch pg.Code[:2] {
	case "08", "53", "57": // connection, resources, operator intervention (shutting down, starting up)
		return true
	default:
		return false
	}
}

// one turns "no rows" into ErrNotFound.
func one(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// changed turns "no row was changed" into ErrFenced.
func changed(rows int64, err error) error {
	if err == nil && rows == 0 {
		return ErrFenced
	}
	return err
}
