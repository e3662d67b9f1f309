package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/demo"
)

// defaultKnobs are the defaults, but for the cooldown: it keeps a crashed run waiting for a quarter of an hour by
// intent, whatever the runner does.
var defaultKnobs = map[string]string{"COOLDOWN_SECONDS": "1", "REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "1000"}

// targets are the times in which work must go on after kill -9, from the restart for ingest and throttle and from the
// kill for the others.
var targets = map[string]time.Duration{
	"ingest": 2 * time.Second, "throttle": 5 * time.Second, "publisher": 30 * time.Second, "runner": 75 * time.Second,
}

// gauge measures recovery on a system with the default knobs.
type gauge struct {
	s       *system
	loader  *loader
	collect *collector
	res     *result
	sent    []string
}

// measure kills each program at its work, once or several times, and prints how long it took until that went on.
func measure(ctx context.Context, s *system, res *result) error {
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	g := &gauge{s: s, loader: &loader{s: s}, collect: newCollector(s), res: res}
	for _, m := range []struct {
		name  string
		times int
		do    func(context.Context) (time.Duration, error)
	}{
		{"ingest", 5, g.ingest},
		{"throttle", 5, g.throttle},
		{"publisher", 2, g.publisher},
		{"runner", 1, g.runner},
	} {
		var most time.Duration
		for range m.times {
			took, err := m.do(ctx)
			if err != nil {
				return fmt.Errorf("measure %s: %w", m.name, err)
			}
			most = max(most, took)
		}
		verdict := "ok"
		if most > targets[m.name] {
			verdict = "TOO LONG"
			res.Violations++
		}
		fmt.Printf("%s: work goes on %.2f s after kill -9, the longest of %d (target %v): %s\n", m.name, most.Seconds(), m.times, targets[m.name], verdict)
	}
	fmt.Println("with the default knobs, but COOLDOWN_SECONDS=1: with the default a crashed run rests 15 minutes from its start")
	return nil
}

// kill kills programs and starts them again at once.
func (g *gauge) kill(names ...string) (restarted time.Time, err error) {
	for _, name := range names {
		v := g.s.victims[name]
		v.mu.Lock()
		v.Kill()
		err := v.Start()
		v.mu.Unlock()
		if err != nil {
			return restarted, err
		}
		g.res.Faults++
	}
	return time.Now(), nil
}

// failures makes a repository with n red workflows, and one delivery about each.
func (g *gauge) failures(ctx context.Context, n int) (*load, error) {
	r := rand.New(rand.NewPCG(1, 1))
	out := &load{sent: map[string]chaos.Sent{}}
	g.loader.round++
	repo, sha, err := g.loader.create(ctx, r, fmt.Sprintf("m%d", g.loader.round))
	if err != nil {
		return nil, err
	}
	for i := range n {
		before := len(out.parcels)
		if err := g.loader.failure(r, out, repo, sha, i, true, 0); err != nil {
			return nil, err
		}
		out.parcels = out.parcels[:before+1]
	}
	return out, nil
}

func (g *gauge) send(ctx context.Context, l *load) {
	l.send(ctx, "http://"+g.s.addrs["ingest"], g.s.secrets["the webhook secret"])
	for _, p := range l.parcels {
		g.sent = append(g.sent, p.id)
	}
	g.res.Deliveries = len(g.sent)
}

// until asks for a number until it is n.
func (g *gauge) until(ctx context.Context, n int, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	conn, err := g.collect.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		var got int
		if err := conn.QueryRow(ctx, sql, args...).Scan(&got); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		if got == n {
			return nil
		}
		if !wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%s: %d, not %d: %w", sql, got, n, errNotSettled)
		}
	}
}

const (
	countRecorded = "select count(*) from deliveries where delivery_id = any($1)"
	countOpen     = "select count(*) from runs where ended_at is null"
	countState    = "select count(*) from runs where state = $1"
	countStarted  = "select count(*) from attempts where run_id = (select max(id) from runs)"
)

// ingest: from the restart to the first 2xx.
func (g *gauge) ingest(ctx context.Context) (time.Duration, error) {
	l := &load{sent: map[string]chaos.Sent{}, parcels: []parcel{{id: g.loader.id(), event: "some_new_event", body: fmt.Appendf(nil, `{"n":%d}`, g.loader.next)}}}
	began, err := g.kill("ingest")
	if err != nil {
		return 0, err
	}
	g.send(ctx, l)
	return time.Since(began), nil
}

// throttle: from the restart until every delivery of a burst is recorded, some of which it had in hand.
func (g *gauge) throttle(ctx context.Context) (time.Duration, error) {
	l := &load{sent: map[string]chaos.Sent{}}
	for range 60 {
		id := g.loader.id()
		l.parcels = append(l.parcels, parcel{id: id, event: "some_new_event", body: fmt.Appendf(nil, `{"n":%q}`, id)})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.send(ctx, l)
	}()
	wait(ctx, 60*time.Millisecond)
	began, err := g.kill("throttle")
	<-done
	if err != nil {
		return 0, err
	}
	err = g.until(ctx, len(g.sent), countRecorded, g.sent)
	return time.Since(began), err
}

// publisher: from the kill of one that has a publication in hand, its rival too, to the run's end.
func (g *gauge) publisher(ctx context.Context) (time.Duration, error) {
	l, err := g.failures(ctx, 1)
	if err != nil {
		return 0, err
	}
	for name, deps := range g.s.proxies {
		if p := deps["forge"]; p != nil && (name == "publisher-1" || name == "publisher-2") {
			p.Set(chaos.Silent)
			defer p.Set(chaos.Open)
		}
	}
	g.send(ctx, l)
	if err := g.until(ctx, 1, countState, "publishing"); err != nil {
		return 0, err
	}
	began := time.Now()
	g.s.heal()
	if _, err := g.kill("publisher-1", "publisher-2"); err != nil {
		return 0, err
	}
	err = g.until(ctx, 0, countOpen)
	g.res.Runs++
	g.res.PRs += len(g.s.scene.Forge.PullRequests(demo.Owner, fmt.Sprintf("m%d", g.loader.round)))
	return time.Since(began), err
}

// runner: from the kill of one that has a run in hand, its rival too, to the start of the run's next attempt.
func (g *gauge) runner(ctx context.Context) (time.Duration, error) {
	l, err := g.failures(ctx, 1)
	if err != nil {
		return 0, err
	}
	g.send(ctx, l)
	if err := g.until(ctx, 1, countState, "running"); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := g.kill("runner-1", "runner-2"); err != nil {
		return 0, err
	}
	if err := g.until(ctx, 1, countState, "waiting"); err != nil {
		return 0, err
	}
	fmt.Printf("runner: the run of a killed one is taken back %.2f s after the kill\n", time.Since(began).Seconds())
	err = g.until(ctx, 2, countStarted)
	g.res.Runs++
	return time.Since(began), err
}
