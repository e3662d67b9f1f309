package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/sre-agent/sre-agent/migrations"
)

// Migrate brings the database's schema up to date and returns the versions that it applied, in order. Any
// number of services may call it at once: they take turns, and only the first does the work.
func Migrate(ctx context.Context, url string) ([]int64, error) {
	p, closeDB, err := migrator(url)
	if err != nil {
		return nil, err
	}
	defer closeDB()
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	var applied []int64
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	return applied, nil
}

// Current says whether the database has every migration that this program knows. It only reads, so it may be asked by
// a role that could not migrate. A database that is ahead of this program is current: an upgrade begins with it.
func Current(ctx context.Context, url string) (bool, error) {
	p, closeDB, err := migrator(url)
	if err != nil {
		return false, err
	}
	defer closeDB()
	known := p.ListSources()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return false, fmt.Errorf("DATABASE_URL is not a PostgreSQL URL or connection string")
	}
	dialWell(cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("look at the schema: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var applied int
	err = conn.QueryRow(ctx, "select count(distinct version_id) from goose_db_version where is_applied and version_id = any($1)", versions(known)).Scan(&applied)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == undefinedTable {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the schema: %w", err)
	}
	return applied == len(known), nil
}

const undefinedTable = "42P01"

func versions(sources []*goose.Source) []int64 {
	out := make([]int64, 0, len(sources))
	for _, s := range sources {
		out = append(out, s.Version)
	}
	return out
}

func migrator(url string) (*goose.Provider, func(), error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, nil, fmt.Errorf("DATABASE_URL is not a PostgreSQL URL or connection string")
	}
	dialWell(cfg)
	conn := stdlib.OpenDB(*cfg)
	closeDB := func() { _ = conn.Close() }
	p, err := provider(conn)
	if err != nil {
		closeDB()
		return nil, nil, err
	}
	return p, closeDB, nil
}

func provider(conn *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, conn, migrations.Files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
