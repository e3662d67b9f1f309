package runner

import (
	"context"
	"errors"
	"testing"

	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

func TestASandboxThatDoesNotEndByItselfIsCounted(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		res  sandbox.Result
		err  error
		want telemetry.SandboxFailure
	}{
		{"a script that passes", t.Context(), sandbox.Result{}, nil, ""},
		{"a script that fails", t.Context(), sandbox.Result{ExitCode: 1}, nil, ""},
		{"no sandbox", t.Context(), sandbox.Result{}, errors.New("no namespaces"), telemetry.SandboxError},
		{"too long", t.Context(), sandbox.Result{Killed: sandbox.KilledTimeout}, nil, telemetry.SandboxTimeout},
		{"too much memory", t.Context(), sandbox.Result{Killed: sandbox.KilledMemory}, nil, telemetry.SandboxMemory},
		{"too much disk", t.Context(), sandbox.Result{Killed: sandbox.KilledDisk}, nil, telemetry.SandboxDisk},
		{"ended by us", cancelled, sandbox.Result{Killed: sandbox.KilledCancelled}, context.Canceled, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tel := telemetry.NewTest()
			(&FixPipeline{Counters: tel.Counters}).countSandbox(tc.ctx, tc.res, tc.err)
			want := int64(0)
			if tc.want != "" {
				want = 1
			}
			if all, one := tel.Count(telemetry.SandboxFailures, ""), tel.Count(telemetry.SandboxFailures, string(tc.want)); all != want || one != want {
				t.Errorf("counted %d, of them as %q %d", all, tc.want, one)
			}
		})
	}
}

func TestAScanThatFailsIsCounted(t *testing.T) {
	for failures, want := range map[int][2]int64{0: {0, 0}, 1: {1, 0}, 2: {1, 1}} {
		tel := telemetry.NewTest()
		p := &FixPipeline{Counters: tel.Counters, Log: tel.Log, Redact: redact.New(nil)}
		left := failures
		_ = p.twice(t.Context(), func() error {
			if left--; left >= 0 {
				return errors.New("it crashed")
			}
			return nil
		})
		got := [2]int64{tel.Count(telemetry.ScannerFailures, string(telemetry.ScanRetried)), tel.Count(telemetry.ScannerFailures, string(telemetry.ScanGivenUp))}
		if got != want {
			t.Errorf("%d failures: %v, want %v", failures, got, want)
		}
	}
}
