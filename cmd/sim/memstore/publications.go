package memstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

func digest(diff []byte) string {
	sum := sha256.Sum256(diff)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ClaimPublication is store.Store.ClaimPublication.
func (s *Store) ClaimPublication(_ context.Context, id, fence int64, holder string, ttl time.Duration) (claimed store.Run, refused string, err error) {
	defer s.lock()()
	r := s.held(id, fence, run.Fixed)
	now := s.now()
	if r == nil || r.NotBefore.After(now) || s.paused(r.RepositoryID) {
		return store.Run{}, store.RefusedStale, nil
	}
	r.State, r.Reason, r.UpdatedAt = string(run.Publishing), "", now
	r.Fence++
	r.Holder, r.LeaseExpiresAt = ptr(holder), ptr(now.Add(micros(ttl)))
	return s.view(r), "", nil
}

func (s *Store) current(id int64) (generation, error) {
	r, err := s.row(id)
	if err != nil {
		return generation{}, err
	}
	return generation{id, r.Generation}, nil
}

// Fix is store.Store.Fix.
func (s *Store) Fix(_ context.Context, id int64) (db.Fix, error) {
	defer s.lock()()
	key, err := s.current(id)
	if err != nil || s.fixes[key] == nil {
		return db.Fix{}, fmt.Errorf("fix of run %d: %w", id, store.ErrNotFound)
	}
	return *s.fixes[key], nil
}

// Publication is store.Store.Publication.
func (s *Store) Publication(_ context.Context, id int64) (*db.Publication, error) {
	defer s.lock()()
	key, err := s.current(id)
	if err != nil || s.byPub[key] == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	return ptr(*s.byPub[key]), nil
}

// stands says whether a publication stands for its fingerprint: its pull request is open, or on its way.
func stands(p *db.Publication, fingerprint string) bool {
	return fingerprint != "" && p.Fingerprint == fingerprint && p.State != store.PubRefused && (p.PrState == store.PRNone || p.PrState == store.PROpen)
}

// Intend is store.Store.Intend.
func (s *Store) Intend(_ context.Context, id, fence int64, i store.Intent) (db.Publication, error) {
	defer s.lock()()
	r := s.held(id, fence, run.Publishing)
	if r == nil {
		return db.Publication{}, store.ErrFenced
	}
	key, now := generation{id, r.Generation}, s.now()
	if p := s.byPub[key]; p != nil && s.off.On(guard.StoreIntent) {
		if no := s.refusals[p.Fingerprint]; no != nil && no.LiftedAt == nil {
			return db.Publication{}, &store.FingerprintRefusedError{PRURL: no.PrUrl}
		}
		p.UpdatedAt = now
		return *p, nil
	}
	fingerprint := ""
	if r.Fingerprint != nil {
		fingerprint = *r.Fingerprint
	}
	if err := s.restrain(r, fingerprint, i); err != nil {
		return db.Publication{}, err
	}
	if s.off.On(guard.StoreFingerprint) {
		for _, p := range s.pubs {
			if stands(p, fingerprint) {
				return db.Publication{}, &store.FingerprintTakenError{Holder: *p}
			}
		}
	}
	if no := s.refusals[fingerprint]; no != nil && no.LiftedAt == nil {
		return db.Publication{}, &store.FingerprintRefusedError{PRURL: no.PrUrl}
	}
	if s.fixes[key] == nil {
		return db.Publication{}, fmt.Errorf("intend publication of run %d: no fix", id)
	}
	p := &db.Publication{
		RunID: id, Generation: r.Generation, Fingerprint: fingerprint, Digest: i.Digest, Branch: i.Branch, BaseBranch: i.BaseBranch,
		CommitID: i.CommitID, State: store.PubIntended, PrState: store.PRNone, CreatedAt: now, UpdatedAt: now,
		RepositoryID: r.RepositoryID, Incident: i.Incident,
	}
	s.pubs = append(s.pubs, p)
	s.byPub[key] = p
	return *p, nil
}

// advance moves a publication on and says whether it did.
func (s *Store) advance(id, fence int64, state, reason string, number *int64, url *string, pr string) bool {
	r := s.held(id, fence, run.Publishing)
	if r == nil {
		return false
	}
	p := s.byPub[generation{id, r.Generation}]
	if p == nil || (p.State != store.PubIntended && p.State != store.PubPushed) {
		return false
	}
	p.State, p.Reason, p.PrNumber, p.PrUrl, p.PrState, p.UpdatedAt = state, reason, number, url, pr, s.now()
	return true
}

// Pushed is store.Store.Pushed.
func (s *Store) Pushed(_ context.Context, id, fence int64) error {
	defer s.lock()()
	if !s.advance(id, fence, store.PubPushed, "", nil, nil, store.PRNone) {
		return store.ErrFenced
	}
	return nil
}

// Publish is store.Store.Publish.
func (s *Store) Publish(_ context.Context, id, fence int64, r store.Receipt, e store.End) error {
	defer s.lock()()
	pr := store.PROpen
	if r.Merged {
		pr = store.PRMerged
	}
	if !s.advance(id, fence, r.State, "", &r.Number, &r.URL, pr) {
		return store.ErrFenced
	}
	s.endRun(s.held(id, fence, run.Publishing), e)
	return nil
}

// Refuse is store.Store.Refuse.
func (s *Store) Refuse(_ context.Context, id, fence int64, e store.End, closedPR string) error {
	defer s.lock()()
	return s.refuse(id, fence, e, closedPR)
}

func (s *Store) refuse(id, fence int64, e store.End, closedPR string) error {
	r := s.held(id, fence, run.Running, run.Publishing)
	if r == nil {
		return store.ErrFenced
	}
	if n := s.suggestions[generation{id, r.Generation}]; n != nil && n.State == store.SuggestionIntended {
		n.State, n.Reason, n.UpdatedAt = store.SuggestionRefused, e.Reason, s.now()
	}
	s.advance(id, fence, store.PubRefused, e.Reason, nil, nil, store.PRNone)
	s.endRun(r, e)
	if closedPR == "" || r.Fingerprint == nil || *r.Fingerprint == "" {
		return nil
	}
	for _, p := range s.pubs {
		if p.PrUrl != nil && *p.PrUrl == closedPR && p.PrState == store.PROpen {
			p.PrState, p.UpdatedAt = store.PRClosed, s.now()
		}
	}
	if s.off[guard.StoreRefusals] {
		return nil
	}
	if old := s.refusals[*r.Fingerprint]; old == nil || old.LiftedAt != nil {
		s.refusals[*r.Fingerprint] = &db.Refusal{Fingerprint: *r.Fingerprint, RunID: id, PrUrl: closedPR, RefusedAt: s.now()}
	}
	return nil
}

// Refused is store.Store.Refused.
func (s *Store) Refused(_ context.Context, fingerprint string) (string, error) {
	defer s.lock()()
	if r := s.refusals[fingerprint]; r != nil && r.LiftedAt == nil {
		return r.PrUrl, nil
	}
	return "", nil
}

// Merged is store.Store.Merged.
func (s *Store) Merged(_ context.Context, fingerprint string) (int64, error) {
	defer s.lock()()
	n := int64(0)
	for _, p := range s.pubs {
		if fingerprint != "" && p.Fingerprint == fingerprint && p.PrState == store.PRMerged {
			n++
		}
	}
	return n, nil
}

// ClosedPublications is store.Store.ClosedPublications.
func (s *Store) ClosedPublications(_ context.Context, fingerprint string, n int32) ([]db.Publication, error) {
	defer s.lock()()
	var out []db.Publication
	for _, p := range s.pubs {
		if fingerprint != "" && p.Fingerprint == fingerprint && p.PrState == store.PRClosed {
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b db.Publication) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(b.RunID, a.RunID))
	})
	return out[:min(len(out), int(n))], nil
}

// SetPRState is store.Store.SetPRState.
func (s *Store) SetPRState(_ context.Context, p db.Publication, state string) error {
	defer s.lock()()
	row := s.byPub[generation{p.RunID, p.Generation}]
	taken := func(other *db.Publication) bool { return other != row && stands(other, p.Fingerprint) }
	if row != nil && row.PrState != store.PRNone && (state != store.PROpen || !slices.ContainsFunc(s.pubs, taken)) {
		row.PrState, row.UpdatedAt = state, s.now()
	}
	return nil
}

// GiveBackPublication is store.Store.GiveBackPublication.
func (s *Store) GiveBackPublication(_ context.Context, id, fence int64, g store.GiveBack) error {
	defer s.lock()()
	r := s.held(id, fence, run.Publishing)
	if r == nil {
		return store.ErrFenced
	}
	if g.Reason == run.WaitPRCap {
		s.waitForCap(r, g)
		return nil
	}
	s.giveBackPublication(r, g)
	return nil
}

func (s *Store) giveBackPublication(r *db.Run, g store.GiveBack) {
	now := s.now()
	r.State, r.Reason, r.Explanation, r.RungAt = string(run.Fixed), "dependency", g.Explanation, nil
	r.NotBefore = ptr(now.Add(micros(g.Delay)))
	if g.Transient {
		r.TransientCount++
	}
	release(r, now)
}
