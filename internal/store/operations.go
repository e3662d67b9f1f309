package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// ReasonCount is how many there are for a reason.
type ReasonCount = db.CountBlockedSinceRow

// WaitingRun is a run that waits.
type WaitingRun = db.OldestWaitingRow

// BlockedAmong is how many of the newest runs BlockedSince looks at.
const BlockedAmong = 100_000

// BlockedSince counts those of the newest runs that were blocked within a time, by reason.
func (s *Store) BlockedSince(ctx context.Context, within time.Duration) ([]ReasonCount, error) {
	return s.q.CountBlockedSince(ctx, db.CountBlockedSinceParams{Newest: BlockedAmong, Seconds: within.Seconds()})
}

// OldestWaiting lists the runs that have been waiting for longest, at most n.
func (s *Store) OldestWaiting(ctx context.Context, n int32) ([]WaitingRun, error) {
	return s.q.OldestWaiting(ctx, n)
}

// Paused is how many repositories are paused.
func (s *Store) Paused(ctx context.Context) (int64, error) { return s.q.CountPaused(ctx) }

// Clock is the database's own time.
func (s *Store) Clock(ctx context.Context) (time.Time, error) { return s.q.ServerClock(ctx) }

// Server is what a database server says of itself and of our role.
type Server = db.ServerSettingsRow

// Server asks the database server about itself.
func (s *Store) Server(ctx context.Context) (Server, error) { return s.q.ServerSettings(ctx) }

// May says whether our role may insert into a table, or update some of its columns.
func (s *Store) May(ctx context.Context, privilege, table string) (bool, error) {
	return s.q.RoleMay(ctx, db.RoleMayParams{TableName: table, Privilege: privilege})
}

// MayCreate says whether our role may change the schema.
func (s *Store) MayCreate(ctx context.Context) (bool, error) { return s.q.RoleMayCreate(ctx) }

// SchemaVersions returns the newest version that the database has and the newest one that this program knows.
func SchemaVersions(ctx context.Context, url string) (has, knows int64, err error) {
	p, closeDB, err := migrator(url)
	if err != nil {
		return 0, 0, err
	}
	defer closeDB()
	has, knows, err = p.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("schema version: %w", err)
	}
	return has, knows, nil
}
