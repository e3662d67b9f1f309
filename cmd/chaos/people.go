package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
)

// people are the owners of the repositories: they pause and switch off, and make room where a fix waits for that.
type people struct {
	s *system

	mu    sync.Mutex
	holds []chaos.Hold
}

// act is what somebody does to a repository in a round.
type act struct {
	repository string
	off        bool
	at, length time.Duration
}

// owners draws what the owner of a repository does: nothing most of the time.
func owners(r *rand.Rand, repository string) []act {
	n := r.IntN(6)
	if n > 2 {
		return nil
	}
	return []act{{repository: repository, off: n == 0, at: moment(r), length: time.Second + moment(r)/2}}
}

var owner = store.Actor{Who: "owner", Why: "chaos"}

// live is what people do in a round, until ctx ends.
func (p *people) live(ctx context.Context, acts []act) {
	var wg sync.WaitGroup
	for _, a := range acts {
		wg.Go(func() {
			if wait(ctx, a.at) {
				p.act(ctx, a)
			}
		})
	}
	wg.Go(func() {
		for wait(ctx, 500*time.Millisecond) {
			if err := p.makeRoom(ctx); err != nil && ctx.Err() == nil {
				p.s.timeline.note("people make room: %v", err)
			}
		}
	})
	wg.Wait()
}

func (p *people) act(ctx context.Context, a act) {
	hold := chaos.Hold{Repository: a.repository, Off: a.off}
	p.until(ctx, a.repository, func(ctx context.Context, st *store.Store, id int64) error {
		if a.off {
			_, err := st.Switch(ctx, id, false, owner)
			return err
		}
		now := time.Now()
		return pause(ctx, st, id, store.OpPause, &now)
	})
	if ctx.Err() != nil {
		return
	}
	hold.From = time.Now()
	p.s.timeline.note("%s is held (off %t)", a.repository, a.off)
	if !a.off {
		wait(ctx, a.length)
		hold.To = time.Now()
		p.until(ctx, a.repository, func(ctx context.Context, st *store.Store, id int64) error {
			return pause(ctx, st, id, store.OpResume, nil)
		})
		p.s.timeline.note("%s is resumed", a.repository)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = append(p.holds, hold)
}

func pause(ctx context.Context, st *store.Store, id int64, operation string, at *time.Time) error {
	_, _, err := st.ChangeRepository(ctx, id, operation, owner, func(s *store.RepositorySettings) { s.PausedAt = at })
	return err
}

// until does something to a repository, as soon as it is known and the database answers.
func (p *people) until(ctx context.Context, repository string, do func(ctx context.Context, st *store.Store, id int64) error) {
	name, rest, _ := strings.Cut(repository, "/")
	for {
		err := p.withStore(ctx, func(ctx context.Context, st *store.Store) error {
			found, err := st.FindRepositories(ctx, "", name, rest)
			switch {
			case err != nil:
				return err
			case len(found) == 0:
				return store.ErrNotFound
			}
			return do(ctx, st, found[0].ID)
		})
		if err == nil || !wait(ctx, 200*time.Millisecond) {
			return
		}
	}
}

// withStore has a store of its own, past the proxies.
func (p *people) withStore(ctx context.Context, do func(context.Context, *store.Store) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p.s.pg.mu.Lock()
	url := p.s.pg.url
	p.s.pg.mu.Unlock()
	st, err := store.Open(ctx, url, store.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer st.Close()
	return do(ctx, st)
}

// makeRoom closes a pull request in each repository where a fix waits for that, and has the fix go on at once.
func (p *people) makeRoom(ctx context.Context) error {
	return p.withStore(ctx, func(ctx context.Context, st *store.Store) error {
		rows, err := st.Pool().Query(ctx, "select id from runs where state = 'waiting' and reason = 'pr_cap' order by id")
		if err != nil {
			return err
		}
		waiting, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for _, id := range waiting {
			if err := p.closeOne(ctx, st, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *people) closeOne(ctx context.Context, st *store.Store, id int64) error {
	r, err := st.Run(ctx, id)
	if err != nil {
		return err
	}
	repo := r.Failure.Repository
	all := p.s.scene.Forge.PullRequests(repo.Owner, repo.Name)
	open := slices.DeleteFunc(all, func(pr forgetest.PR) bool { return pr.State != "open" })
	if len(open) >= limits.Open {
		if err := p.s.scene.Forge.ClosePullRequest(repo.Owner, repo.Name, open[0].Number); err != nil {
			return err
		}
		p.s.timeline.note("a person closes %s, run %d waits for that", open[0].URL, id)
	}
	_, err = st.RetryRun(ctx, id, owner)
	var no *store.ActionError
	if errors.As(err, &no) {
		return nil // it goes on already
	}
	return err
}
