package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// TestMain lets the bench start its parts, and the sandbox its inside: they are this program again, which here is the test.
// asProgram is the variable by which a test runs this program as sre-agent.
const asProgram = "TEST_AS_SRE_AGENT"

func TestMain(m *testing.M) {
	sandbox.Inside()
	if os.Getenv(asProgram) != "" || len(os.Args) > 3 && os.Args[1] == "bench" && os.Args[2] == "part" {
		os.Exit(execute(os.Args[1:], config.Environ(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func benchLine(t *testing.T, o outcome) (r intakeReport) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("exit code %d, %v, stdout:\n%s\nstderr:\n%s", o.code, err, o.stdout, o.stderr)
	}
	return r
}

func TestBenchIntakeFindsEveryAcceptedDelivery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := sreAgent(t, nil, "bench", "intake", "--duration", "1s", "--rounds", "1", "--connections", "8", "--repositories", "20", "--dir", dir)
	o.want(t, exitOK, "in the records", "round 1 of 1")
	r := benchLine(t, o)
	if r.Tool != "bench-intake" || r.Mode != "default" || r.Rate <= 0 || r.ControlRate <= 0 || r.Ratio <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 {
		t.Errorf("%+v", r)
	}
	if r.Non2xx != 0 || r.Lost != 0 || r.Accepted == 0 || r.InStream != r.Accepted || r.InRecords == nil || *r.InRecords != r.Accepted || r.RSS < 5 {
		t.Errorf("%+v", r)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestBenchIntakeAtAFixedRateWithAllProviders(t *testing.T) {
	t.Parallel()
	o := sreAgent(t, nil, "bench", "intake", "--rate", "200", "--duration", "1s", "--connections", "8", "--provider", "all", "--mode", "always", "--json", "--dir", t.TempDir())
	r := benchLine(t, o)
	if o.code != exitOK || strings.Count(o.stdout, "\n") != 1 || r.Mode != "always" || r.TargetRate != 200 || r.Accepted+r.Duplicates != 200 || r.Lost != 0 {
		t.Errorf("exit code %d, %+v, stderr:\n%s", o.code, r, o.stderr)
	}
}

func TestBenchIntakeBesideSlowSenders(t *testing.T) {
	t.Parallel()
	o := sreAgent(t, nil, "bench", "intake", "--duration", "1s", "--rounds", "1", "--connections", "8", "--loris", "100", "--repositories", "20", "--records=false", "--json", "--dir", t.TempDir())
	r := benchLine(t, o)
	if o.code != exitOK || r.Loris != 100 || r.LorisOpen < 50 || r.Rate <= 0 || r.ControlRate <= 0 || r.InRecords != nil {
		t.Errorf("exit code %d, %+v, stderr:\n%s", o.code, r, o.stderr)
	}
}

func TestBenchIntakeWithAndWithoutTelemetry(t *testing.T) {
	t.Parallel()
	o := sreAgent(t, nil, "bench", "intake", "--telemetry", "--duration", "2s", "--rounds", "1", "--connections", "8", "--records=false", "--json", "--dir", t.TempDir())
	r := benchLine(t, o) // the exit code says how fast this machine is just now
	if r.Control != "ingest without telemetry" || r.MBSent <= 0 || r.Rate <= 0 || r.ControlRate <= 0 || len(r.Ratios) != 1 || r.Ratios[0] != r.Ratio || r.Lost != 0 {
		t.Errorf("%+v, stderr:\n%s", r, o.stderr)
	}
	sreAgent(t, nil, "bench", "intake", "--telemetry", "--loris", "5").want(t, exitUsage, "", "--telemetry must be without --loris")
}

func TestBenchIntakeIsAnErrorWhenADeliveryIsLostOrAnAnswerIsBadOrTelemetryCostsTooMuch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		report  intakeReport
		options intakeOptions
		fails   bool
	}{
		"all is well":                        {intakeReport{Accepted: 10}, intakeOptions{rate: 100}, false},
		"one is lost":                        {intakeReport{Accepted: 10, Lost: 1}, intakeOptions{}, true},
		"a bad answer at a fixed rate":       {intakeReport{Accepted: 10, Non2xx: 1}, intakeOptions{rate: 100}, true},
		"a bad answer as fast as it will go": {intakeReport{Accepted: 10, Non2xx: 1}, intakeOptions{}, false},
		"telemetry that costs a tenth":       {intakeReport{Accepted: 10, Ratio: 0.9}, intakeOptions{telemetry: true}, false},
		"telemetry that costs more":          {intakeReport{Accepted: 10, Ratio: 0.899}, intakeOptions{telemetry: true}, true},
		"a handler that is slower":           {intakeReport{Accepted: 10, Ratio: 0.8}, intakeOptions{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := tc.report.print(terminal{Writer: &out}, &intakeBench{intakeOptions: tc.options}, true)
			if (err != nil) != tc.fails || !strings.HasPrefix(out.String(), `{"tool":`) {
				t.Errorf("%v, %s", err, out.String())
			}
		})
	}
}

func TestBenchIntakeRefusesOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for flag, value := range map[string]string{
		"--mode": "never", "--rate": "-1", "--duration": "0s", "--rounds": "0", "--connections": "0", "--provider": "nobody", "--size": "-1",
		"--repositories": "0", "--duplicates": "1", "--loris": "-1",
	} {
		sreAgent(t, nil, "bench", "intake", flag, value).want(t, exitUsage, "", flag+" must be")
	}
}

func TestWhatIsMissingAnywhereIsLost(t *testing.T) {
	t.Parallel()
	const both = seenInStream | seenInRecords
	var c counted
	c.add(5, map[string]uint8{"a": both, "b": seenInStream, "c": seenInRecords, "d": 0}, both)
	// "b", "c" and "d", and the fifth answer, which was for one of the same deliveries.
	if want := (counted{accepted: 5, inStream: 2, inRecords: 2, lost: 4}); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	c = counted{}
	c.add(2, map[string]uint8{"a": seenInStream, "b": 0}, seenInStream)
	if want := (counted{accepted: 2, inStream: 1, lost: 1}); c != want {
		t.Errorf("without records: %+v, want %+v", c, want)
	}
}
