package throttle

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestARateOfOperatorsOnlySlowsDownAndStandsWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	var none *Rates
	if got := none.least("github:1", 30); got != 30 {
		t.Errorf("without rates: %d", got)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		answers := []func() (map[string]int, error){
			func() (map[string]int, error) { return map[string]int{"github:1": 5, "github:2": 500}, nil },
			func() (map[string]int, error) { return nil, errors.New("away") },
			func() (map[string]int, error) { return map[string]int{}, nil },
		}
		asked := 0
		r := &Rates{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.keep(ctx, func(context.Context) (map[string]int, error) {
				asked++
				return answers[min(asked, len(answers))-1]()
			}, time.Second, slog.New(slog.DiscardHandler))
		}()
		for round, want := range []int{5, 5, 30} {
			synctest.Wait()
			if got := r.least("github:1", 30); got != want {
				t.Errorf("round %d: %d, want %d", round, got, want)
			}
			if got := r.least("github:2", 30); got != 30 {
				t.Errorf("round %d: a higher rate than the knob's: %d", round, got)
			}
			<-time.After(time.Second)
		}
		cancel()
		<-done
	})
}
