package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// OpenRuns counts runs that have not ended.
type OpenRuns = db.OpenRunsRow

// OpenRuns counts the runs that have not ended, by state and reason. Ended runs cost nothing; those that wait
// are counted one by one.
func (s *Store) OpenRuns(ctx context.Context) ([]OpenRuns, error) { return s.q.OpenRuns(ctx) }

// Finding is a run that breaks a promise, by the promise's name.
type Finding = db.AuditRunsRow

// maxFindings bounds what one look of the audit returns.
const maxFindings = 1000

// AuditRuns looks at the runs of a range of ids for what must never be.
func (s *Store) AuditRuns(ctx context.Context, first, last int64, agentEmail string) ([]Finding, error) {
	return s.q.AuditRuns(ctx, db.AuditRunsParams{First: first, Last: last, AgentEmail: agentEmail, MaxRows: maxFindings})
}

// NewestRun is the highest id of a run; 0 when there is none.
func (s *Store) NewestRun(ctx context.Context) (int64, error) { return s.q.NewestRun(ctx) }

// Lead is the leadership of the audit, held by one session of the database.
type Lead struct {
	conn   *pgxpool.Conn
	within time.Duration // how long the session may take to answer
}

// TryLead takes the leadership, or returns nil when another process has it. It ends with Release, or when the connection
// is lost, whatever becomes of this process.
func (s *Store) TryLead(ctx context.Context) (*Lead, error) {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("lead: %w", err)
	}
	got, err := db.New(conn).TryLead(ctx)
	if err != nil || !got {
		conn.Release()
		if err != nil {
			err = fmt.Errorf("lead: %w", err)
		}
		return nil, err
	}
	return &Lead{conn, s.callTimeout}, nil
}

// Holds says whether the leadership is still ours.
func (l *Lead) Holds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.within)
	defer cancel()
	if err := l.conn.Ping(ctx); err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	return nil
}

// Release ends the leadership, and its session with it: a lock of a session would otherwise live on in the pool.
func (l *Lead) Release() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = l.conn.Hijack().Close(ctx) // the server ends the session when it hears no more of us
}
