package world_test

import (
	"bytes"
	"testing"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/cmd/sim/world"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

func TestThePromisesHoldInTheFirstSeeds(t *testing.T) {
	counters := telemetry.NewTest().Counters
	published := 0
	for seed := range uint64(300) {
		r := world.Play(t, world.Options{Seed: seed, Counters: counters})
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s", seed, v)
		}
		published += r.Published
	}
	if published < 100 {
		t.Errorf("only %d pull requests were opened: the simulation does not get far enough to say anything", published)
	}
}

func TestASeedPlaysTheSameWayEachTime(t *testing.T) {
	counters := telemetry.NewTest().Counters
	for seed := range uint64(60) {
		var first, second bytes.Buffer
		world.Play(t, world.Options{Seed: seed, Counters: counters, Trace: &first})
		world.Play(t, world.Options{Seed: seed, Counters: counters, Trace: &second})
		if a, b := difference(first.Bytes(), second.Bytes()); a != b {
			t.Fatalf("seed %d:\n%s\n%s", seed, a, b)
		}
	}
}

// difference returns the first line that differs.
func difference(a, b []byte) (x, y string) {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range max(len(as), len(bs)) {
		switch {
		case i >= len(as):
			return "(end)", string(bs[i])
		case i >= len(bs):
			return string(as[i]), "(end)"
		case !bytes.Equal(as[i], bs[i]):
			return string(as[i]), string(bs[i])
		}
	}
	return "", ""
}

// TestEveryGuardIsNeeded drops one guard of the doubles at a time: some seed of the first few hundred has to see it.
func TestEveryGuardIsNeeded(t *testing.T) {
	counters := telemetry.NewTest().Counters
	for _, name := range guard.All() {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			const most = 600
			for seed := range uint64(most) {
				if r := world.Play(t, world.Options{Seed: seed, Counters: counters, Off: guard.Off{name: true}}); len(r.Violations) > 0 {
					t.Logf("seed %d: %s", seed, r.Violations[0])
					return
				}
			}
			t.Errorf("without %s the first %d seeds see nothing", name, most)
		})
	}
}
