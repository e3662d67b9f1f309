package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// live says whether a publication's pull request is open, or on its way.
func live(p *db.Publication) bool {
	return p.State != store.PubRefused && (p.PrState == store.PRNone || p.PrState == store.PROpen)
}

// restrain is what intent_restraint does in the database.
func (s *Store) restrain(r *db.Run, fingerprint string, i store.Intent) error {
	now := s.now()
	for _, p := range s.pubs {
		if s.off.On(guard.StoreIncident) && i.Incident != "" && p.Incident == i.Incident && p.RunID != r.ID && live(p) && p.CreatedAt.After(now.Add(-micros(i.Window))) &&
			(p.Fingerprint == "" || p.Fingerprint != fingerprint) && !slices.Contains(i.Caps.Gone, p.RunID) {
			return &store.IncidentError{Holder: *p}
		}
	}
	if s.off[guard.StoreCaps] {
		return nil
	}
	over := &store.CapError{Caps: i.Caps}
	var began []time.Time
	for _, p := range s.pubs {
		if p.RepositoryID != r.RepositoryID || p.State == store.PubRefused {
			continue
		}
		began = append(began, p.CreatedAt)
		if live(p) && !slices.Contains(i.Caps.Gone, p.RunID) {
			over.Standing++
		}
		if p.CreatedAt.After(now.Add(-time.Hour)) {
			over.Recent++
		}
	}
	over.Full = i.Caps.Open > 0 && over.Standing >= int64(i.Caps.Open)
	if i.Caps.PerHour > 0 && over.Recent >= int64(i.Caps.PerHour) {
		slices.SortFunc(began, func(a, b time.Time) int { return b.Compare(a) })
		over.After = began[i.Caps.PerHour-1].Add(time.Hour).Sub(now)
		return over
	}
	if over.Full {
		return over
	}
	return nil
}

func (s *Store) waitForCap(r *db.Run, g store.GiveBack) {
	now := s.now()
	key := generation{r.ID, r.Generation}
	r.State = string(run.Waiting)
	if p := s.byPub[key]; p != nil && (p.State == store.PubIntended || p.State == store.PubPushed) {
		r.State = string(run.Fixed)
	}
	if n := s.suggestions[key]; n != nil && n.State == store.SuggestionIntended {
		r.State = string(run.Fixed)
	}
	r.Reason, r.Explanation, r.RungAt, r.NotBefore = run.WaitPRCap, g.Explanation, nil, ptr(now.Add(micros(g.Delay)))
	release(r, now)
}

// PutOff lists the runs whose fix waits for a cap.
func (s *Store) PutOff() (ids []int64) {
	defer s.lock()()
	for _, r := range s.runs {
		if r.Reason == run.WaitPRCap && !run.State(r.State).Ended() {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// ResumeFix is store.Store.ResumeFix.
func (s *Store) ResumeFix(_ context.Context, id, fence int64) (store.Run, bool, error) {
	defer s.lock()()
	r := s.held(id, fence, run.Ready)
	if r == nil || s.fixes[generation{id, r.Generation}] == nil || s.off[guard.StoreResume] {
		return store.Run{}, false, nil
	}
	now := s.now()
	r.State, r.Reason, r.NotBefore = string(run.Fixed), "", ptr(now)
	ring(r, now)
	return s.view(r), true, nil
}

// OpenPublications is store.Store.OpenPublications.
func (s *Store) OpenPublications(_ context.Context, repository int64, n int32) ([]db.Publication, error) {
	defer s.lock()()
	out := []db.Publication{}
	for _, p := range s.pubs {
		if p.RepositoryID == repository && p.State != store.PubRefused && p.PrState == store.PROpen {
			out = append(out, *p)
		}
	}
	return out[:min(len(out), int(n))], nil
}

// Acceptance is store.Store.Acceptance.
func (s *Store) Acceptance(_ context.Context, repository int64, class string, days int) (store.Acceptance, error) {
	defer s.lock()()
	var a store.Acceptance
	since := s.now().Add(-time.Duration(days) * 24 * time.Hour)
	for _, p := range s.pubs {
		fix := s.fixes[generation{p.RunID, p.Generation}]
		if p.RepositoryID != repository || p.PrNumber == nil || !p.CreatedAt.After(since) || fix == nil {
			continue
		}
		report, err := evidence.Parse(fix.Evidence)
		if err != nil {
			return a, err
		}
		if cmp.Or(report.Class, "unknown") != cmp.Or(class, "unknown") {
			continue
		}
		a.Opened++
		if p.PrState == store.PRClosed || p.RevertedAt != nil {
			a.Refused++
		}
	}
	return a, nil
}

// Follow is store.Store.Follow.
func (s *Store) Follow(_ context.Context, id, fence, leader int64, e store.End) error {
	defer s.lock()()
	r := s.held(id, fence, run.Publishing)
	if r == nil || id == leader {
		return store.ErrFenced
	}
	r.Follows = ptr(leader)
	return s.refuse(id, fence, e, "")
}

// IntendSuggestion is store.Store.IntendSuggestion.
func (s *Store) IntendSuggestion(_ context.Context, id, fence int64, n store.Suggestion) (db.Suggestion, error) {
	defer s.lock()()
	r := s.held(id, fence, run.Publishing)
	if r == nil {
		return db.Suggestion{}, store.ErrFenced
	}
	fingerprint := ""
	if r.Fingerprint != nil {
		fingerprint = *r.Fingerprint
	}
	key, now := generation{id, r.Generation}, s.now()
	row := s.suggestions[key]
	if row == nil {
		for _, other := range s.suggestions {
			if fingerprint != "" && other.PrUrl == n.PRURL && other.Fingerprint == fingerprint && other.State != store.SuggestionRefused {
				return db.Suggestion{}, &store.SuggestionTakenError{Holder: *other}
			}
		}
	}
	if no := s.refusals[fingerprint]; no != nil && no.LiftedAt == nil {
		return db.Suggestion{}, &store.FingerprintRefusedError{PRURL: no.PrUrl}
	}
	if row == nil {
		row = &db.Suggestion{
			RunID: id, Generation: r.Generation, Fingerprint: fingerprint, Digest: n.Digest, PrNumber: n.PRNumber, PrUrl: n.PRURL, Mark: n.Mark,
			State: store.SuggestionIntended, CreatedAt: now,
		}
		s.suggestions[key] = row
	}
	row.UpdatedAt = now
	return *row, nil
}

// Suggest is store.Store.Suggest.
func (s *Store) Suggest(_ context.Context, id, fence int64, state, commentID string, e store.End) error {
	defer s.lock()()
	r := s.held(id, fence, run.Publishing)
	if r == nil {
		return store.ErrFenced
	}
	n := s.suggestions[generation{id, r.Generation}]
	if n == nil || n.State != store.SuggestionIntended {
		return store.ErrFenced
	}
	n.State, n.CommentID, n.UpdatedAt = state, ptr(commentID), s.now()
	s.endRun(r, e)
	return nil
}
