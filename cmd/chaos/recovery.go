package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
)

// recovery measures how long it takes until things go on after kill -9.
type recovery struct {
	mu sync.Mutex
	// ready is the longest time from a program's start to its /readyz, work that from its kill to the next sign of
	// work on what it held.
	ready, work map[string]time.Duration
	count       map[string]int
}

func newRecovery() *recovery {
	return &recovery{ready: map[string]time.Duration{}, work: map[string]time.Duration{}, count: map[string]int{}}
}

// readyAfter waits until a program that has just been started is ready. It goes on with what is asked meanwhile.
func (m *recovery) readyAfter(ctx context.Context, name, addr string) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for wait(ctx, 20*time.Millisecond) {
		if isReady(ctx, addr) {
			m.note(m.ready, name, time.Since(began))
			return
		}
	}
}

func isReady(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (m *recovery) note(in map[string]time.Duration, name string, took time.Duration) {
	kind, _, _ := strings.Cut(name, "-")
	m.mu.Lock()
	defer m.mu.Unlock()
	in[kind] = max(in[kind], took)
	m.count[kind]++
}

// workResumed finds, for each attempt that a kill cost, when the run was worked on again.
func (m *recovery) workResumed(h chaos.History) {
	for i, a := range h.Attempts {
		if a.Outcome != "crashed" {
			continue
		}
		for _, o := range h.Outages {
			if o.PID != a.PID || o.What != "killed" || o.At.Before(a.Started) || o.At.After(a.Ended) {
				continue
			}
			for _, next := range h.Attempts[i+1:] {
				if next.RunID == a.RunID {
					m.note(m.work, "runner", next.Started.Sub(o.At))
					break
				}
			}
		}
	}
}

func (m *recovery) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m.ready)) {
		parts = append(parts, fmt.Sprintf("%s ready %.2f s after its start", name, m.ready[name].Seconds()))
	}
	for _, name := range slices.Sorted(maps.Keys(m.work)) {
		parts = append(parts, fmt.Sprintf("a run of a killed %s worked on again %.2f s after the kill", name, m.work[name].Seconds()))
	}
	return strings.Join(parts, ", ")
}
