// Package about says, in a context, what a piece of work is about, so that every log line of it can say so too.
//
// It promises that nothing decides by it: what a context is about is for people to read, never for code to act on.
package about

import (
	"cmp"
	"context"
	"log/slog"
)

// Work is what is known of a piece of work. Zero fields are not known.
type Work struct {
	DeliveryID string
	RunKey     string
	RunID      int64
	Repository string
	Attempt    int
}

type key struct{}

// With returns a context that is about w, and for what w does not know about what ctx was.
func With(ctx context.Context, w Work) context.Context {
	was := From(ctx)
	return context.WithValue(ctx, key{}, Work{
		DeliveryID: cmp.Or(w.DeliveryID, was.DeliveryID),
		RunKey:     cmp.Or(w.RunKey, was.RunKey),
		RunID:      cmp.Or(w.RunID, was.RunID),
		Repository: cmp.Or(w.Repository, was.Repository),
		Attempt:    cmp.Or(w.Attempt, was.Attempt),
	})
}

// From returns what ctx is about.
func From(ctx context.Context) Work {
	w, _ := ctx.Value(key{}).(Work)
	return w
}

// Attrs are the known fields, as every log line names them.
func (w Work) Attrs() []slog.Attr {
	var out []slog.Attr
	add := func(name, value string) {
		if value != "" {
			out = append(out, slog.String(name, value))
		}
	}
	add("delivery_id", w.DeliveryID)
	add("run_key", w.RunKey)
	if w.RunID != 0 {
		out = append(out, slog.Int64("run_id", w.RunID))
	}
	add("repository", w.Repository)
	if w.Attempt != 0 {
		out = append(out, slog.Int("attempt", w.Attempt))
	}
	return out
}
