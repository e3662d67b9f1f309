package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// callTimeout is how long one call of the store, a whole transaction included, may take when its context does not
// say less. A database that takes what it is sent and never answers must not keep a worker for ever.
const callTimeout = 20 * time.Second

// bounded gives each call a deadline of its own, the waiting for a free connection included.
type bounded struct {
	db    db.DBTX
	limit func() time.Time
}

func (b bounded) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, b.limit())
}

// Exec implements db.DBTX.
func (b bounded) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	return b.db.Exec(ctx, sql, args...)
}

// Query implements db.DBTX. The deadline covers the reading of the rows.
func (b bounded) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	ctx, cancel := b.bound(ctx)
	rows, err := b.db.Query(ctx, sql, args...)
	if err != nil {
		cancel()
		return nil, err
	}
	return boundedRows{rows, cancel}, nil
}

// QueryRow implements db.DBTX.
func (b bounded) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	ctx, cancel := b.bound(ctx)
	return boundedRow{b.db.QueryRow(ctx, sql, args...), cancel}
}

type boundedRows struct {
	pgx.Rows
	cancel context.CancelFunc
}

func (r boundedRows) Close() {
	r.Rows.Close()
	r.cancel()
}

type boundedRow struct {
	pgx.Row
	cancel context.CancelFunc
}

func (r boundedRow) Scan(dest ...any) error {
	defer r.cancel()
	return r.Row.Scan(dest...)
}
