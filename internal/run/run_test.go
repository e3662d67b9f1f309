package run

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	l := Limits{BaseBackoff: 30 * time.Second, MaxBackoff: 10 * time.Minute}
	want := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute}
	for n, w := range want {
		if got := l.Backoff(n); got != w {
			t.Errorf("Backoff(%d) = %v, want %v", n, got, w)
		}
	}
	if got := l.Backoff(1 << 30); got != l.MaxBackoff {
		t.Errorf("Backoff of a huge attempt = %v, want the maximum", got)
	}
}

func TestTransientDelayGrowsAndHonoursAHint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 10_000).Draw(t, "n")
		d := TransientDelay(n, 0)
		if d < 2*time.Second || d > 10*time.Minute {
			t.Fatalf("TransientDelay(%d) = %v", n, d)
		}
		if next := TransientDelay(n+1, 0); next < d {
			t.Fatalf("the delay shrinks from %v to %v", d, next)
		}
		hint := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "hint"))
		if got := TransientDelay(n, hint); got < d || got > time.Hour {
			t.Fatalf("TransientDelay(%d, %v) = %v", n, hint, got)
		}
	})
}

func TestOnlyTheFiveEndsAreEnds(t *testing.T) {
	for s, want := range map[State]bool{
		Waiting: false, Ready: false, Running: false, Fixed: false, Publishing: false,
		Published: true, Declined: true, Blocked: true, Superseded: true, Cancelled: true,
	} {
		if s.Ended() != want {
			t.Errorf("%s.Ended() = %v", s, s.Ended())
		}
	}
}
