package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

const (
	demoStartWithin = time.Minute
	demoEndWithin   = 2 * time.Minute
	demoDelivery    = "demo-failure"
	// demoRecords is how many of the deliveries are not duplicates: the failure and two unrelated events.
	demoRecords = 3
)

// demoResult is how the demo ended well.
type demoResult struct {
	pr         forgetest.PR
	took       time.Duration
	deliveries int
	duplicates int
}

// String is the last line of the demo.
func (r demoResult) String() string {
	return fmt.Sprintf("demo: ok: 1 pull request in %.1fs, %d deliveries, %d duplicates", r.took.Seconds(), r.deliveries, r.duplicates)
}

// play runs the services, sends the webhooks and waits for the one pull request.
func (s *stage) play(ctx context.Context) (demoResult, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := s.serve(cancel); err != nil {
		return demoResult{}, err
	}
	if err := s.live.workersReady(ctx, demoStartWithin); err != nil {
		return demoResult{}, err
	}
	began := time.Now()
	s.live.begin(began)
	s.term.printf("%s the failed run's webhook three times, and two unrelated events\n\n", s.term.bold("sending:"))
	result, err := s.send(ctx)
	if err != nil {
		return result, err
	}
	r, err := s.awaitEnd(ctx)
	if err != nil {
		return result, err
	}
	result.took = time.Since(began)
	s.live.awaitEnd(time.Second)
	if run.State(r.State) != run.Published {
		return result, fmt.Errorf("the run ended %s: %s", withReason(r.State, r.Reason), r.Explanation)
	}
	if result.pr, err = s.onlyPullRequest(); err != nil {
		return result, err
	}
	if err := s.show(ctx, result.pr); err != nil {
		return result, err
	}
	return result, s.talk(ctx, result.pr)
}

// serve runs the services until the stage is closed. Their failure ends the play.
func (s *stage) serve(failed context.CancelCauseFunc) error {
	live, err := newLiveView(s.term, s.all.cfg.NATSURL)
	if err != nil {
		return err
	}
	s.live = live
	var ctx context.Context
	ctx, s.end = context.WithCancel(context.Background())
	go func() {
		err := s.all.serve(ctx)
		if ctx.Err() == nil {
			failed(fmt.Errorf("the services ended by themselves: %w", orNoReason(err)))
			err = nil // told already
		}
		close(s.all.listening)
		s.served <- err
	}()
	s.base = "http://" + <-s.all.listening
	return nil
}

func orNoReason(err error) error {
	if err == nil {
		return errors.New("no reason given")
	}
	return err
}

// send sends all webhooks over HTTP and counts how they were answered.
func (s *stage) send(ctx context.Context) (demoResult, error) {
	var result demoResult
	requests := []*http.Request{s.scene.Webhook(s.base, demoDelivery)}
	requests = append(requests, s.scene.Unrelated(s.base)...)
	requests = append(requests, s.scene.Webhook(s.base, demoDelivery), s.scene.Webhook(s.base, demoDelivery))
	client := &http.Client{Timeout: 30 * time.Second}
	for _, req := range requests {
		status, err := post(ctx, client, req)
		if err != nil {
			return result, err
		}
		result.deliveries++
		if status == "duplicate_ignored" {
			result.duplicates++
		}
	}
	return result, nil
}

func post(ctx context.Context, client *http.Client, req *http.Request) (status string, err error) {
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("send webhook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("send webhook: %w", err)
	}
	var answer struct{ Status, Reason string }
	if err := json.Unmarshal(text, &answer); err != nil || resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("the webhook was answered %s: %.200q", resp.Status, text)
	}
	return answer.Status, nil
}

// awaitEnd waits until the one run has ended and every delivery is recorded.
func (s *stage) awaitEnd(ctx context.Context) (store.Run, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, demoEndWithin, fmt.Errorf("no pull request within %s", demoEndWithin))
	defer cancel()
	st, err := store.Open(ctx, s.all.cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2})
	if err != nil {
		return store.Run{}, err
	}
	defer st.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return store.Run{}, context.Cause(ctx)
		}
		if r, done, err := ended(ctx, st); err != nil && ctx.Err() == nil || done {
			return r, err
		}
	}
}

func ended(ctx context.Context, st *store.Store) (r store.Run, done bool, err error) {
	counts, err := st.DeliveryCounts(ctx)
	if err != nil {
		return r, false, err
	}
	recorded := int64(0)
	for _, n := range counts {
		recorded += n
	}
	runs, err := st.Runs(ctx, "", 2)
	if err != nil {
		return r, false, err
	}
	if len(runs) > 1 {
		return r, false, errors.New("there are two runs; one failure is one run")
	}
	if len(runs) == 0 || recorded < demoRecords || !run.State(runs[0].State).Ended() {
		return r, false, nil
	}
	return runs[0], true, nil
}

func (s *stage) onlyPullRequest() (forgetest.PR, error) {
	prs := s.scene.PullRequests()
	if len(prs) != 1 {
		return forgetest.PR{}, fmt.Errorf("there are %d pull requests; it has to be exactly one", len(prs))
	}
	if v := s.scene.Forge.Violations(); len(v) > 0 {
		return forgetest.PR{}, fmt.Errorf("the forge was asked what GitHub would refuse: %s", v[0])
	}
	return prs[0], nil
}
