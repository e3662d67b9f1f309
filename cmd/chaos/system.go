package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/demo"
)

// knobs are short, so that a round takes seconds.
var knobs = map[string]string{
	"LEASE_TTL_SECONDS": "3", "SWEEP_INTERVAL_SECONDS": "1", "COOLDOWN_SECONDS": "1", "BASE_BACKOFF_SECONDS": "1",
	"MAX_BACKOFF_SECONDS": "2", "MAX_PIPELINE_ATTEMPTS": "3", "REPO_PIPELINE_CONCURRENCY_LIMIT": "2",
	"REPO_PIPELINE_CONCURRENCY_TTL_SECONDS": "3", "RUNNER_WORKERS": "2", "PUBLISHER_WORKERS": "2", "THROTTLE_WORKERS": "2",
	"SHUTDOWN_GRACE_SECONDS": "5", "REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "60",
	"REPO_OPEN_PULL_REQUESTS": "2",
}

// limits are the same knobs for the checker.
var limits = chaos.Limits{
	MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: 2 * time.Second, Cooldown: time.Second, PerRepository: 2, Open: 2,
}

const lease = 3 * time.Second

// depends says what each process has a proxy to. Two runners and two publishers, so that a paused one has a rival.
var depends = map[string][]string{
	"ingest":      {"nats"},
	"throttle":    {"nats", "postgres", "redis"},
	"runner-1":    {"forge", "nats", "postgres", "redis"},
	"runner-2":    {"forge", "nats", "postgres", "redis"},
	"publisher-1": {"forge", "nats", "postgres"},
	"publisher-2": {"forge", "nats", "postgres"},
}

// system is everything that runs.
type system struct {
	dir     string
	scene   *demo.Scene
	secrets map[string]string
	victims map[string]*victim
	proxies map[string]map[string]*chaos.Proxy
	// addrs are the programs' HTTP addresses.
	addrs map[string]string
	nats  string
	pg    *postgres
	redis *redisServer
	tally *chaos.Tally

	timeline *timeline
	quit     chan struct{}
	watching sync.WaitGroup
}

// startSystem builds and starts everything below dir.
func startSystem(ctx context.Context, dir, bin, conf string, settings map[string]string, tl *timeline) (*system, error) {
	s := &system{
		dir: dir, victims: map[string]*victim{}, proxies: map[string]map[string]*chaos.Proxy{}, addrs: map[string]string{},
		timeline: tl, quit: make(chan struct{}),
	}
	if err := s.start(ctx, bin, conf, settings); err != nil {
		s.stop()
		return nil, err
	}
	s.watching.Go(s.watch)
	return s, nil
}

func (s *system) start(ctx context.Context, bin, conf string, settings map[string]string) (err error) {
	if s.tally, err = chaos.NewTally(ctx); err != nil {
		return err
	}
	if s.scene, err = demo.NewScene(ctx, filepath.Join(s.dir, "scene")); err != nil {
		return err
	}
	env := s.scene.Environ()
	s.secrets = map[string]string{
		"the webhook secret": env["GITHUB_WEBHOOK_SECRETS"], "the read token": env["GITHUB_READ_TOKEN"], "the write token": env["GITHUB_WRITE_TOKEN"],
	}
	s.pg = &postgres{ctx: ctx, dir: filepath.Join(s.dir, "pg")}
	s.redis = &redisServer{ctx: ctx, dir: filepath.Join(s.dir, "redis")}
	natsAddr, err := cluster.FreeAddr(ctx)
	if err != nil {
		return err
	}
	nats, err := cluster.NATS(bin, s.dir, conf, natsAddr)
	if err != nil {
		return err
	}
	s.nats = "nats://" + natsAddr
	for name, t := range map[string]thing{"postgres": s.pg, "redis": s.redis, "nats": program{nats}} {
		if err := s.add(name, t); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(depends)) {
		if err := s.startProgram(ctx, bin, name, natsAddr, settings); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) add(name string, t thing) error {
	s.victims[name] = &victim{thing: t, name: name}
	return t.Start()
}

func (s *system) startProgram(ctx context.Context, bin, name, natsAddr string, settings map[string]string) error {
	forge, err := url.Parse(s.scene.Forge.URL())
	if err != nil {
		return err
	}
	sockets := filepath.Join(s.dir, "px", name)
	if err := os.MkdirAll(sockets, 0o700); err != nil {
		return err
	}
	targets := map[string]func(context.Context) (net.Conn, error){
		"nats": dialTCP(natsAddr), "forge": dialTCP(forge.Host), "postgres": s.pg.dial, "redis": s.redis.dial,
	}
	env := s.scene.Environ()
	maps.Copy(env, settings)
	maps.Copy(env, s.tally.Environ())
	s.proxies[name] = map[string]*chaos.Proxy{}
	for _, dep := range depends[name] {
		network, addr := "tcp", "127.0.0.1:0"
		if dep == "postgres" {
			network, addr = "unix", filepath.Join(sockets, ".s.PGSQL.5432")
		}
		p, err := chaos.NewProxy(ctx, network, addr, targets[dep])
		if err != nil {
			return err
		}
		s.proxies[name][dep] = p
		switch dep {
		case "nats":
			env["NATS_URL"] = "nats://" + p.Addr()
		case "forge":
			env["GITHUB_API_URL"], env["GITHUB_GIT_URL"] = "http://"+p.Addr()+"/api/v3", "http://"+p.Addr()
		case "redis":
			env["REDIS_URL"] = "redis://" + p.Addr() + "/0"
		case "postgres":
			query := url.Values{"host": {sockets}, "user": {"sre_agent"}, "sslmode": {"disable"}}
			env["DATABASE_URL"] = "postgres:///sre_agent?" + query.Encode()
		}
	}
	addr, err := cluster.FreeAddr(ctx)
	if err != nil {
		return err
	}
	s.addrs[name] = addr
	kind, _, _ := strings.Cut(name, "-")
	return s.add(name, program{cluster.Program(bin, s.dir, kind, name, addr, env)})
}

func dialTCP(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", addr) }
}

// watch starts again what ended by itself, as an orchestrator would. What a fault has in hand is left alone.
func (s *system) watch() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
		for _, v := range s.victims {
			if !v.mu.TryLock() {
				continue
			}
			if !v.Running() {
				s.timeline.note("%s ended by itself and is started again", v.name)
				s.timeline.exit()
				s.timeline.disturb(time.Now(), time.Now())
				if err := v.Start(); err != nil {
					s.timeline.note("start %s: %v", v.name, err)
				}
			}
			v.mu.Unlock()
		}
	}
}

// heal opens every proxy.
func (s *system) heal() {
	for _, deps := range s.proxies {
		for _, p := range deps {
			p.Set(chaos.Open)
		}
	}
}

// stop ends everything, without grace: nothing is asked of it any more.
func (s *system) stop() {
	close(s.quit)
	s.watching.Wait()
	var wg sync.WaitGroup
	for _, v := range s.victims {
		wg.Go(func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.Resume()
			v.Kill()
		})
	}
	wg.Wait()
	for _, deps := range s.proxies {
		for _, p := range deps {
			p.Close()
		}
	}
	if s.scene != nil {
		_ = s.scene.Close()
	}
	if s.tally != nil {
		s.tally.Close()
	}
}

// timeline is what was done to the system and what it did by itself, with times since the round began.
type timeline struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	exits int
	hurts []chaos.Outage
	spans []chaos.Span
}

func (t *timeline) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.lines, t.spans = time.Now(), nil, nil
}

func (t *timeline) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("%7.3fs  ", time.Since(t.began).Seconds())+fmt.Sprintf(format, args...))
}

func (t *timeline) exit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exits++
}

// hurt remembers that a process was killed or stopped.
func (t *timeline) hurt(pid int, name, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurts = append(t.hurts, chaos.Outage{PID: pid, Name: name, What: what, At: time.Now()})
}

// What is counted reaches the tally a little later, and what a program asked of a silent database may be done when the
// database can be heard again.
const (
	lostBefore = 4 * chaos.TallyEvery
	lostAfter  = 2 * time.Second
)

// disturb remembers a time in which counts may be lost.
func (t *timeline) disturb(from, to time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, chaos.Span{From: from.Add(-lostBefore), To: to.Add(lostAfter)})
}

// disturbed are those of this round, and since when it is played.
func (t *timeline) disturbed() (began time.Time, spans []chaos.Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.began, slices.Clone(t.spans)
}

func (t *timeline) outages() []chaos.Outage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.hurts)
}

func (t *timeline) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

var errNotSettled = errors.New("not settled in time")
