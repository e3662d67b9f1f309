package world

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

func (s storeOf) ResumeFix(ctx context.Context, id, fence int64) (r store.Run, resumed bool, err error) {
	err = s.p.step(ctx, op{dep: pg, name: fmt.Sprintf("resume fix of %d fence %d", id, fence)}, func() error {
		before, _ := s.p.w.store.Peek(id)
		r, resumed, err = s.p.w.store.ResumeFix(ctx, id, fence)
		if err == nil && resumed {
			s.p.w.wrote("resume fix", before, fence)
		}
		return err
	})
	return r, resumed, err
}

func (s storeOf) OpenPublications(ctx context.Context, repository int64, n int32) ([]db.Publication, error) {
	return call(ctx, s.p, op{dep: pg, name: "open publications"}, func() ([]db.Publication, error) {
		return s.p.w.store.OpenPublications(ctx, repository, n)
	})
}

func (s storeOf) Acceptance(ctx context.Context, repository int64, class string, days int) (store.Acceptance, error) {
	return call(ctx, s.p, op{dep: pg, name: "acceptance"}, func() (store.Acceptance, error) {
		return s.p.w.store.Acceptance(ctx, repository, class, days)
	})
}

func (s storeOf) Follow(ctx context.Context, id, fence, leader int64, e store.End) error {
	return s.write(ctx, fmt.Sprintf("follow %d:", leader), id, fence, false, func() error { return s.p.w.store.Follow(ctx, id, fence, leader, e) })
}

func (s storeOf) IntendSuggestion(ctx context.Context, id, fence int64, n store.Suggestion) (row db.Suggestion, err error) {
	err = s.write(ctx, "intend suggestion", id, fence, false, func() error {
		row, err = s.p.w.store.IntendSuggestion(ctx, id, fence, n)
		return err
	})
	return row, err
}

func (s storeOf) Suggest(ctx context.Context, id, fence int64, state, commentID string, e store.End) error {
	return s.write(ctx, "suggest", id, fence, false, func() error { return s.p.w.store.Suggest(ctx, id, fence, state, commentID, e) })
}
