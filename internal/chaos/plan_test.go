package chaos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testWorld = World{
	Programs: map[string][]string{"ingest": {"nats"}, "runner": {"forge", "nats", "postgres", "redis"}, "publisher": {"forge", "nats"}},
	Servers:  []string{"nats", "postgres", "redis"}, Pausable: []string{"nats", "redis"}, Lease: 3 * time.Second, Window: 6 * time.Second,
}

func TestAPlanDependsOnItsSeedAlone(t *testing.T) {
	if d := cmp.Diff(Plan(7, testWorld), Plan(7, testWorld)); d != "" {
		t.Error(d)
	}
	if cmp.Equal(Plan(7, testWorld), Plan(8, testWorld)) {
		t.Error("two seeds have one plan")
	}
}

func TestPlansHoldEveryKindOfFaultWithinTheirBounds(t *testing.T) {
	kinds, modes, whats := map[Kind]int{}, map[Mode]int{}, map[string]int{}
	for seed := range uint64(500) {
		plan := Plan(seed, testWorld)
		if len(plan) < 2 || len(plan) > 5 {
			t.Fatalf("seed %d has %d faults", seed, len(plan))
		}
		for i, f := range plan {
			kinds[f.Kind]++
			modes[f.Mode]++
			whats[f.What]++
			if seed%GentleEvery == 0 && !f.Gentle() {
				t.Errorf("seed %d takes counts with it: %v", seed, f)
			}
			if f.At < 0 || f.At > testWorld.Window || i > 0 && f.At < plan[i-1].At {
				t.Errorf("seed %d: %v", seed, f)
			}
			if _, program := testWorld.Programs[f.Target]; program && f.Kind == Pause && f.For <= testWorld.Lease {
				t.Errorf("seed %d pauses a program for no longer than its lease: %v", seed, f)
			}
		}
	}
	for _, k := range []Kind{Kill, Pause, Restart, Cut, Flush, Forge, Strike} {
		if kinds[k] < 20 {
			t.Errorf("%d of kind %s", kinds[k], k)
		}
	}
	for _, m := range []Mode{Refused, Silent, Mute} {
		if modes[m] < 10 {
			t.Errorf("%d of mode %v", modes[m], m)
		}
	}
	for _, w := range []string{Forge500, ForgeLost, ForgeRateLimit, BeforeEffect, AfterEffect} {
		if whats[w] < 10 {
			t.Errorf("%d of what is called %s", whats[w], w)
		}
	}
}

func TestARoundOfStrikesHasNothingElse(t *testing.T) {
	passed := map[int]bool{}
	for seed := range uint64(50) {
		plan := PlanStrikes(seed, testWorld)
		if len(plan) != StrikesARound || !cmp.Equal(plan, PlanStrikes(seed, testWorld)) {
			t.Fatalf("seed %d has %v", seed, plan)
		}
		for _, f := range plan {
			if passed[f.Times] = true; f.Kind != Strike {
				t.Errorf("seed %d: %v", seed, f)
			}
		}
	}
	if len(passed) < 6 {
		t.Errorf("strikes hit effects %v only", passed)
	}
}
