package joblog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/circleci"
	"github.com/sre-agent/sre-agent/internal/joblog/gitlab"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
)

// keep is what the runner keeps of a log.
const keep = 16 << 20

func TestALogOf500MBInOneLineTakesLessThan64MBAndLittleTime(t *testing.T) {
	const size = 500 << 20
	for name, tt := range map[string]struct {
		double joblogtest.Double
		open   func(joblog.API) joblogtest.Source
	}{
		"as text":          {joblogtest.GitLab(), func(a joblog.API) joblogtest.Source { return gitlab.New(a) }},
		"as a JSON string": {joblogtest.CircleCI(), func(a joblog.API) joblogtest.Source { return circleci.New(a) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := joblogtest.Start(t, tt.double, joblogtest.World{Failed: []joblogtest.Job{{Name: "test", Failed: true, Endless: size, Log: "\nthe end\n"}}})
			src := tt.open(joblog.API{BaseURL: s.URL + tt.double.Base, Token: tt.double.Token})
			f := tt.double.Failure(s.URL)
			jobs, err := src.FailedJobs(t.Context(), f)
			if err != nil || len(jobs) != 1 {
				t.Fatalf("jobs = %v, %v", jobs, err)
			}
			var text []byte
			var truncated bool
			began := time.Now()
			peak := joblogtest.Peak(func() { text, truncated, err = src.Log(t.Context(), f, jobs[0], keep) })
			took := time.Since(began)
			if err != nil || !truncated || len(text) > keep || !strings.HasSuffix(string(text), "x\nthe end\n") {
				t.Fatalf("%d bytes, %v, %v", len(text), truncated, err)
			}
			t.Logf("500 MB read in %.1f s with %d MB of heap at most", took.Seconds(), peak>>20)
			if peak > 64<<20 || took > time.Minute {
				t.Errorf("%d bytes took %d bytes of memory and %s", size, peak, took)
			}
		})
	}
}
