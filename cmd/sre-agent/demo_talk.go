package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// demoScenes names the scenes, right before the demo's last line.
const demoScenes = "scene 1: a red check becomes a pull request\n" +
	"scene 2: the same trouble again makes no second one, a person's no stands, and /sre-agent retry lifts it\n"

// talk plays the second scene: what people do with the pull request.
func (s *stage) talk(ctx context.Context, pr forgetest.PR) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoEndWithin, fmt.Errorf("the second scene did not end within %s", demoEndWithin))
	defer cancel()
	st, err := store.Open(ctx, s.all.cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2})
	if err != nil {
		return err
	}
	defer st.Close()
	for _, step := range []func(context.Context, *store.Store, forgetest.PR) error{s.sameTrouble, s.personSaysNo, s.personSaysRetry} {
		if err := step(ctx, st, pr); err != nil {
			return err
		}
	}
	s.term.printf("\n")
	return nil
}

func (s *stage) sameTrouble(ctx context.Context, st *store.Store, _ forgetest.PR) error {
	s.term.printf("%s a new commit on %s that mends nothing\n\n", s.term.bold("the same trouble again:"), demo.Branch)
	r, err := s.failsAgain(ctx, st)
	if err != nil {
		return err
	}
	if r.Reason != store.ReasonPROpen {
		return fmt.Errorf("the same trouble again ended %s: %s", withReason(r.State, r.Reason), r.Explanation)
	}
	return s.pullRequestsAre("open")
}

// personSaysNo closes the pull request. From then on the trouble is refused.
func (s *stage) personSaysNo(ctx context.Context, st *store.Store, pr forgetest.PR) error {
	s.term.printf("\n%s %s closes the pull request; then one more commit\n\n", s.term.bold("a person's no:"), demo.Person)
	req, err := s.scene.ClosedByPerson(s.base, pr)
	if err := errors.Join(err, s.post(ctx, req)); err != nil {
		return err
	}
	runs, err := st.Runs(ctx, "", 10)
	if err != nil {
		return err
	}
	fingerprint := runs[len(runs)-1].Fingerprint
	if fingerprint == nil {
		return errors.New("the first run has no fingerprint")
	}
	err = until(ctx, func() (bool, error) {
		url, err := st.Refused(ctx, *fingerprint)
		return url != "", err
	})
	if err != nil {
		return err
	}
	r, err := s.failsAgain(ctx, st)
	if err != nil {
		return err
	}
	if r.Reason != store.ReasonPRClosed {
		return fmt.Errorf("the refused trouble ended %s: %s", withReason(r.State, r.Reason), r.Explanation)
	}
	return s.pullRequestsAre("closed")
}

// personSaysRetry lifts the no: the newest run is tried again, and has a pull request of its own.
func (s *stage) personSaysRetry(ctx context.Context, st *store.Store, pr forgetest.PR) error {
	const command = "/sre-agent retry"
	s.term.printf("\n%s %s comments %s\n\n", s.term.bold("a second thought:"), demo.Person, command)
	req, err := s.scene.CommentByPerson(s.base, pr, command)
	if err := errors.Join(err, s.post(ctx, req)); err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) {
		runs, err := st.Runs(ctx, "", 1)
		return err == nil && len(runs) == 1 && runs[0].State == string(run.Published), err
	})
	if err != nil {
		return err
	}
	return s.pullRequestsAre("closed", "open")
}

// failsAgain pushes a commit that fails too, and waits for the end of its run.
func (s *stage) failsAgain(ctx context.Context, st *store.Store) (store.Run, error) {
	known, err := st.Runs(ctx, "", 10)
	if err != nil {
		return store.Run{}, err
	}
	req, err := s.scene.AnotherCommit(ctx, s.base)
	if err := errors.Join(err, s.post(ctx, req)); err != nil {
		return store.Run{}, err
	}
	var newest store.Run
	return newest, until(ctx, func() (bool, error) {
		runs, err := st.Runs(ctx, "", 10)
		if err != nil || len(runs) == len(known) {
			return false, err
		}
		newest = runs[0]
		return run.State(newest.State).Ended(), nil
	})
}

func (s *stage) post(ctx context.Context, req *http.Request) error {
	if req == nil {
		return nil
	}
	_, err := post(ctx, &http.Client{Timeout: answerWithin}, req)
	return err
}

// pullRequestsAre checks in which states the pull requests are, the oldest first.
func (s *stage) pullRequestsAre(want ...string) error {
	var are []string
	for _, pr := range s.scene.PullRequests() {
		are = append(are, pr.State)
	}
	if !slices.Equal(are, want) {
		return fmt.Errorf("the pull requests are %q; they have to be %q", are, want)
	}
	return nil
}

// until asks again and again whether something is so.
func until(ctx context.Context, so func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := so(); ok || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
