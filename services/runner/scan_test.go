package runner

import (
	"context"
	"errors"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// failing fails a number of times and then finds nothing.
type failing struct{ times, asked int }

func (f *failing) Scan(context.Context, *patch.Patch) ([]scan.Finding, error) {
	if f.asked++; f.asked <= f.times {
		return nil, errors.New("the scanner crashed")
	}
	return nil, nil
}

func TestAScannerThatFailsTwiceBlocksTheRunForGood(t *testing.T) {
	for times, want := range map[int]string{0: "", 1: "", 2: "scan_failed", 9: "scan_failed"} {
		tel := telemetry.NewTest()
		s := &failing{times: times}
		p := &FixPipeline{Scanner: s, Redact: redact.New(nil), Counters: tel.Counters, Log: tel.Log}
		err := p.scan(t.Context(), &work{changes: &patch.Patch{}})
		if reason, _ := fault.Reason(err); reason != want || s.asked > 2 {
			t.Errorf("%d failures: %v, asked %d times", times, err, s.asked)
		}
	}
	for _, s := range (&FixPipeline{}).stages() {
		if s.name == telemetry.StageScan && s.refusal != run.Blocked {
			t.Errorf("the scan's no ends a run as %s", s.refusal)
		}
	}
}
