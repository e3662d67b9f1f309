package circleci_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/joblog/circleci"
	"github.com/sre-agent/sre-agent/internal/joblog/joblogtest"
)

func TestAStepWithoutTheAddressOfItsOutputIsReadFromTheAPI(t *testing.T) {
	d := joblogtest.CircleCI()
	s := joblogtest.Start(t, d, joblogtest.World{Failed: []joblogtest.Job{{Name: "without address", Failed: true, Log: "the log\n"}}})
	src := circleci.New(joblog.API{BaseURL: s.URL, Token: d.Token})
	f := d.Failure(s.URL)
	jobs, err := src.FailedJobs(t.Context(), f)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("jobs = %v, %v", jobs, err)
	}
	text, _, err := src.Log(t.Context(), f, jobs[0], 1000)
	if err != nil || string(text) != "the log\n" {
		t.Errorf("log = %q, %v", text, err)
	}
}
