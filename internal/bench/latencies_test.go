package bench_test

import (
	"math"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
)

func TestQuantilesAreExact(t *testing.T) {
	t.Parallel()
	var a, b bench.Latencies
	// 1 to 2,000 ms, in an order that is not theirs, in two parts.
	for n := range 2000 {
		part := &a
		if n%3 == 0 {
			part = &b
		}
		part.Add(time.Duration(n*7919%2000+1) * time.Millisecond)
	}
	if got := b.Quantile(0); got < time.Millisecond || got > 5*time.Millisecond {
		t.Errorf("the least of a part is %s", got)
	}
	a.Merge(&b)
	for perThousand, want := range map[int]time.Duration{
		0: time.Millisecond, 1: 2 * time.Millisecond, 500: time.Second, 990: 1980 * time.Millisecond, 999: 1998 * time.Millisecond, 1000: 2 * time.Second,
	} {
		if got := a.Quantile(perThousand); got != want {
			t.Errorf("quantile %d of 1,000: %s, want %s", perThousand, got, want)
		}
	}
	if a.Count() != 2000 {
		t.Errorf("%d values", a.Count())
	}
	a.Add(time.Minute) // after it was sorted
	if got := a.Quantile(1000); got != time.Minute {
		t.Errorf("the longest is %s", got)
	}
}

func TestAQuantileOfFewIsOneOfThem(t *testing.T) {
	t.Parallel()
	var none, one bench.Latencies
	one.Add(time.Second)
	for _, perThousand := range []int{0, 500, 990, 1000} {
		if got := none.Quantile(perThousand); got != 0 {
			t.Errorf("of none: %s", got)
		}
		if got := one.Quantile(perThousand); got != time.Second {
			t.Errorf("of one: %s", got)
		}
	}
}

func TestThePaceDoesNotDriftOrWait(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000, 0)
	p := bench.Pace{Start: start, Rate: 300}
	for n, want := range map[int]time.Duration{0: 0, 3: 10 * time.Millisecond, 300: time.Second, 180_000: 10 * time.Minute} {
		if got := p.Due(n).Sub(start); got < want-time.Microsecond || got > want+time.Microsecond {
			t.Errorf("request %d is due after %s, want %s", n, got, want)
		}
	}
	if got := p.Count(10 * time.Second); got != 3000 {
		t.Errorf("%d requests in ten seconds", got)
	}
	if got := (bench.Pace{Start: start}).Due(7); !got.Equal(start) {
		t.Errorf("without a rate the seventh is due %s", got)
	}
}

func TestTheMedianIsInTheMiddle(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{3: {9, 1, 3}, 2: {3, 1, 0, 9}, 5: {5}} {
		if got := bench.Median(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
	if got := bench.Median(nil); !math.IsNaN(got) {
		t.Errorf("of nothing it is %v", got)
	}
}
