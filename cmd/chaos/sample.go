package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
)

// sampler looks at the machine's processes for sandboxes, a few times a second: what the records say about who worked
// on what is one thing, what really ran is another.
type sampler struct {
	work *regexp.Regexp

	mu    sync.Mutex
	n     int
	spans map[[2]int64]chaos.Sandbox
	most  int
	wg    sync.WaitGroup
}

const sampleEvery = 100 * time.Millisecond

// startSampler samples until quit is closed. Sandboxes are known by the work folder that is mounted in them, below dir:
// others on this machine, of tests or of another chaos command, have runs of the same numbers.
func startSampler(dir string, quit <-chan struct{}) *sampler {
	work := regexp.QuoteMeta(filepath.Base(dir)) + `/runner-\d+/runner/work` + `/(\d+)-(\d+)/`
	s := &sampler{work: regexp.MustCompile(work), spans: map[[2]int64]chaos.Sandbox{}}
	s.wg.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				s.sample()
			}
		}
	})
	return s
}

func (s *sampler) sample() {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // only a bad pattern is an error
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	now := map[[2]int64]bool{}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(comm)) != "bwrap" {
			continue
		}
		mounts, err := os.ReadFile(filepath.Join(filepath.Dir(name), "mountinfo"))
		if err != nil {
			continue // it has ended
		}
		m := s.work.FindSubmatch(mounts)
		if m == nil {
			continue
		}
		run, err1 := strconv.ParseInt(string(m[1]), 10, 64)
		fence, err2 := strconv.ParseInt(string(m[2]), 10, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		key := [2]int64{run, fence}
		now[key] = true
		span, seen := s.spans[key]
		if !seen {
			span = chaos.Sandbox{RunID: run, Fence: fence, First: s.n}
		}
		span.Last = s.n
		s.spans[key] = span
	}
	s.most = max(s.most, len(now))
}

func (s *sampler) seen() (spans []chaos.Sandbox, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		spans = append(spans, span)
	}
	return spans, s.most
}
