package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// world is what faults may be planned for.
func world() chaos.World {
	return chaos.World{
		Programs: depends, Servers: []string{"nats", "postgres", "redis"}, Pausable: []string{"nats", "redis"},
		Lease: lease, Window: 6 * time.Second,
	}
}

// wreck carries out the plan and returns when all of it is over and everything runs again.
func (s *system) wreck(ctx context.Context, plan []chaos.Fault, forge *forgeFaults, rec *recovery) {
	var wg sync.WaitGroup
	for _, f := range plan {
		wg.Go(func() {
			if wait(ctx, f.At) {
				s.carryOut(ctx, f, forge, rec)
			}
		})
	}
	wg.Wait()
	forge.clear()
	s.heal()
}

func (s *system) carryOut(ctx context.Context, f chaos.Fault, forge *forgeFaults, rec *recovery) {
	s.timeline.note("%v", f)
	if began := time.Now(); !f.Gentle() {
		defer func() { s.timeline.disturb(began, time.Now()) }()
	}
	switch f.Kind {
	case chaos.Kill, chaos.Pause, chaos.Restart:
		s.hurtProcess(ctx, f, rec)
	case chaos.Cut:
		for name, deps := range s.proxies {
			if p := deps[f.Target]; p != nil && (f.Peer == "" || f.Peer == name) {
				p.Set(f.Mode)
				defer p.Set(chaos.Open)
				if f.Target == "postgres" && f.Peer != "" {
					// One process that alone does not reach the judge can't be told from a dead one.
					s.timeline.hurt(s.victims[name].PID(), name, "cut off")
				}
			}
		}
		wait(ctx, f.For)
	case chaos.Flush:
		if err := s.redis.flush(ctx); err != nil {
			s.timeline.note("flushall: %v", err)
		}
	case chaos.Forge:
		forge.add(f.What, f.Times)
	case chaos.Strike:
		s.strikePublishers(ctx, f, forge, rec)
	}
}

// hurtProcess holds the victim until it runs again. Even when ctx ends it is left running.
func (s *system) hurtProcess(ctx context.Context, f chaos.Fault, rec *recovery) {
	v := s.victims[f.Target]
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.Running() {
		s.timeline.note("%s does not run; nothing to %s", v.name, f.Kind)
	}
	pid := v.PID()
	switch f.Kind {
	case chaos.Pause:
		s.timeline.hurt(pid, v.name, "paused")
		v.Pause()
		wait(ctx, f.For)
		v.Resume()
		s.timeline.note("%s goes on", v.name)
		return
	case chaos.Kill:
		s.timeline.hurt(pid, v.name, "killed")
		v.Kill()
	default:
		if err := v.Stop(); err != nil {
			s.timeline.note("%v", err)
			s.timeline.hurt(pid, v.name, "killed")
			s.timeline.disturb(time.Now(), time.Now())
		}
	}
	wait(ctx, f.For)
	if ctx.Err() != nil {
		return
	}
	if err := v.Start(); err != nil {
		s.timeline.note("start %s: %v", v.name, err)
		return
	}
	s.timeline.note("%s is started again", v.name)
	if addr := s.addrs[v.name]; addr != "" && f.Kind == chaos.Kill {
		rec.readyAfter(ctx, v.name, addr)
	}
}

// wait waits for d; false means that ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// forgeFaults is how the forge fails next.
type forgeFaults struct {
	mu   sync.Mutex
	left map[string]int
	// hurts counts what was done to requests that open pull requests, by repository.
	hurts map[string]int
	done  int
	// strikes are those that have not hit yet; struck counts those that have.
	strikes []*strike
	struck  int
}

func newForgeFaults() *forgeFaults {
	return &forgeFaults{left: map[string]int{}, hurts: map[string]int{}}
}

func (f *forgeFaults) add(what string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left[what] += times
}

func (f *forgeFaults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.left)
}

func (f *forgeFaults) hurt(repository string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hurts[repository]
}

// next is asked about each request. Error bodies hold the caller's own token, as those of a careless gateway would:
// it must not end in a log.
func (f *forgeFaults) next(r *http.Request) *forgetest.Fault {
	_, token, _ := r.BasicAuth()
	if token == "" {
		token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	api := strings.HasPrefix(r.URL.Path, "/api/v3/repos/")
	changes := r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/git-upload-pack")
	f.mu.Lock()
	defer f.mu.Unlock()
	var out *forgetest.Fault
	if changes {
		if k := f.due(); k != nil {
			k.kill()
			close(k.hit)
			return &forgetest.Fault{AfterEffect: k.after, Drop: true}
		}
	}
	switch {
	case changes && f.left[chaos.ForgeLost] > 0:
		f.left[chaos.ForgeLost]--
		out = &forgetest.Fault{AfterEffect: true, Drop: true}
	case api && f.left[chaos.ForgeRateLimit] > 0:
		f.left[chaos.ForgeRateLimit]--
		out = &forgetest.Fault{
			Status: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}},
			Body: `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`,
		}
	case f.left[chaos.Forge500] > 0:
		f.left[chaos.Forge500]--
		out = &forgetest.Fault{
			Status: http.StatusInternalServerError, Header: http.Header{"Content-Type": {"application/json"}},
			Body: fmt.Sprintf(`{"message":"gateway: cannot forward with token %s"}`, token),
		}
	default:
		return nil
	}
	f.done++
	if repo, ok := pullsOf(r.Method, r.URL.Path); ok {
		f.hurts[repo]++
	}
	return out
}

// pullsOf is the repository of a request that opens a pull request.
func pullsOf(method, path string) (repo string, ok bool) {
	rest, api := strings.CutPrefix(path, "/api/v3/repos/")
	repo, pulls := strings.CutSuffix(rest, "/pulls")
	return repo, api && pulls && method == http.MethodPost
}
