package throttle

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

type greens struct{ asked []time.Duration }

func (g *greens) PruneGreens(_ context.Context, older time.Duration) (int64, error) {
	g.asked = append(g.asked, older)
	return 0, errors.New("away, now and then")
}

func TestOldSuccessesAreForgottenEachHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &greens{}
		ctx, stop := context.WithTimeout(t.Context(), 3*forgetEvery-time.Second)
		defer stop()
		forgetGreens(ctx, g, 7*24*time.Hour, slog.New(slog.DiscardHandler))
		if len(g.asked) != 3 || g.asked[0] != 7*24*time.Hour {
			t.Errorf("asked %v", g.asked)
		}
	})
}
