package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
)

// system is the servers and the services of one measurement.
type system struct {
	*servers
	url      string
	services []*bench.Part
	client   *http.Client

	mu    sync.Mutex
	ended map[string]time.Time // by commit
	more  chan struct{}        // a run has ended
}

// start starts servers on which as many runs wait, for due times of their own that don't come, and services.
func (p *pipeline) start(ctx context.Context, dir string, waiting int, more map[string]string, services ...string) (*system, error) {
	srv, err := startServers(ctx, dir, p.sync)
	if err != nil {
		return nil, err
	}
	if waiting > 0 {
		if err := srv.fill(ctx, waiting, headline, 24*time.Hour); err != nil {
			srv.stop()
			return nil, err
		}
	}
	if _, err := srv.st.Pool().Exec(ctx, "select pg_stat_statements_reset()"); err != nil {
		srv.stop()
		return nil, err
	}
	s := &system{
		servers: srv, ended: map[string]time.Time{}, more: make(chan struct{}, 1),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second},
	}
	environ := srv.environ()
	environ["RUNNER_WORKERS"], environ["PUBLISHER_WORKERS"] = fmt.Sprint(p.workers), fmt.Sprint(p.workers)
	environ["DATA_DIR"], environ["LOG_LEVEL"], environ["BENCH_PROFILES"] = filepath.Join(dir, "data"), "warn", p.profiles
	for k, v := range more {
		environ[k] = v
	}
	for _, name := range services {
		part, err := bench.StartPart(ctx, dir, name, environ, s.hear, servePart, name)
		if err != nil {
			s.close()
			return nil, err
		}
		s.services = append(s.services, part)
		if name == "ingest" {
			s.url = "http://" + part.Address + "/webhooks/github"
		}
	}
	for _, part := range s.services { // when all run: throttle makes the streams that the others wait for
		if err := part.Ready(ctx); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *system) close() {
	for _, part := range s.services {
		_ = part.Stop() // how it ended is in its log, and no figure
	}
	s.stop()
}

// hear takes the line that a runner prints for each end.
func (s *system) hear(line string) {
	commit, text, _ := strings.Cut(line, " ")
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.ended[commit] = time.Unix(0, at)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// await waits until n runs have ended.
func (s *system) await(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have := len(s.ended)
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-s.more:
		case <-time.After(time.Minute):
			return fmt.Errorf("%d of %d runs have ended, and none in the last minute", have, n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// warmUp sends one failure and waits until its run has ended.
func (s *system) warmUp(ctx context.Context) error {
	if err := send(ctx, s.client, s.url, "warm-up", body(1<<20, 0)); err != nil {
		return err
	}
	return s.await(ctx, 1)
}

// last is when the last run ended.
func (s *system) last() (at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ended {
		if end.After(at) {
			at = end
		}
	}
	return at
}

// awaitPublished waits until every run has ended, and fails when one has not ended with a pull request.
func (s *system) awaitPublished(ctx context.Context, n int, begin time.Time) (time.Duration, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(5 * time.Minute)
	defer late.Stop()
	for {
		var ended, published int
		var last *time.Time
		var why *string
		err := s.st.Pool().QueryRow(ctx, `select count(ended_at), count(*) filter (where state = 'published'), max(ended_at),
			min(reason || ': ' || explanation) filter (where ended_at is not null and state <> 'published') from runs`).Scan(&ended, &published, &last, &why)
		switch {
		case err != nil:
			return 0, err
		case ended > published:
			return 0, fmt.Errorf("%d runs have ended without a pull request, one as %s", ended-published, *why)
		case published == n:
			return last.Sub(begin), nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return 0, fmt.Errorf("%d of %d runs have their pull request after five minutes", published, n)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
