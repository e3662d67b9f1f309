package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// senders is how many of the storm's webhooks are on their way at once.
const senders = 8

// commit names the n-th run of a repository.
func commit(repository int64, n int) string {
	return fmt.Sprintf("%s%032x", commitPrefix(repository), n)
}

func commitPrefix(repository int64) string { return fmt.Sprintf("%08x", repository) }

const (
	noisy = 1
	quiet = 2
)

// traffic is what was sent: each quiet webhook's time, by commit, and how long the storm took to be answered.
type traffic struct {
	sent  map[string]time.Time
	begin time.Time
	storm time.Duration
}

// sendAll sends the storm and, from its first webhook on, the quiet repository's.
func (f *fairness) sendAll(ctx context.Context) (t traffic, err error) {
	t.sent = map[string]time.Time{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders + 4}, Timeout: 30 * time.Second}
	// The bodies are made before: making them is the sender's work, on a machine of its own.
	var bodies [][]byte
	if !f.preload {
		for n := range f.storm {
			bodies = append(bodies, body(noisy, n))
		}
	}
	quiets := make([][]byte, 0, int(f.lasts.Seconds()*quietRate))
	for n := range cap(quiets) {
		quiets = append(quiets, body(quiet, n))
	}
	if err := f.send(ctx, client, "warm-up", body(3, 0)); err != nil {
		return t, err
	}
	if err := f.awaitEnd(ctx, commit(3, 0)); err != nil {
		return t, fmt.Errorf("the first run: %w", err)
	}
	g, sending := errgroup.WithContext(ctx)
	t.begin = time.Now()
	g.Go(func() error {
		err := f.sendStorm(sending, client, bodies)
		t.storm = time.Since(t.begin)
		return err
	})
	tick := time.NewTicker(time.Second / quietRate)
	defer tick.Stop()
	for n, b := range quiets {
		t.sent[commit(quiet, n)] = time.Now()
		g.Go(func() error { return f.send(sending, client, fmt.Sprint("quiet-", n), b) })
		select {
		case <-tick.C:
		case <-sending.Done():
		}
	}
	if err := g.Wait(); err != nil {
		return t, err
	}
	for c := range t.sent {
		// What takes longer than this is no measurement any more.
		if err := f.awaitEnd(ctx, c); err != nil && !errors.Is(err, errNotEnded) {
			return t, err
		}
	}
	return t, nil
}

func (f *fairness) sendStorm(ctx context.Context, client *http.Client, bodies [][]byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(senders)
	for n, b := range bodies {
		g.Go(func() error { return f.send(ctx, client, fmt.Sprint("noisy-", n), b) })
	}
	return g.Wait()
}

func body(repository int64, n int) []byte {
	return githubtest.FailedRun(githubtest.Params{
		RepositoryID: repository, Owner: "acme", Name: fmt.Sprint("repo-", repository), SHA: commit(repository, n), RunID: int64(n + 1),
	})
}

func (f *fairness) send(ctx context.Context, client *http.Client, id string, body []byte) error {
	return send(ctx, client, f.url, id, body)
}

func send(ctx context.Context, client *http.Client, url, id string, body []byte) error {
	req := githubtest.Request(url, secret, "workflow_run", id, body).WithContext(ctx)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("webhook %s was answered %s", id, res.Status)
	}
	return nil
}

var errNotEnded = errors.New("not ended within 30 s")

func (f *fairness) awaitEnd(ctx context.Context, commit string) error {
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		f.mu.Lock()
		_, ok := f.ended[commit]
		f.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return errNotEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// result works out the figures.
func (f *fairness) result(ctx context.Context, t traffic) (fairnessResult, error) {
	res := fairnessResult{Tool: "bench-fairness", Storm: f.storm, StormSeconds: round(t.storm.Seconds(), 10)}
	ends, err := f.ends(ctx)
	if err != nil {
		return res, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all, behind []time.Duration
	parts := make([][]time.Duration, len(partNames))
	for c, at := range t.sent {
		end, ok := f.ended[c]
		if !ok {
			return res, fmt.Errorf("the quiet run of commit %s has not ended", c)
		}
		all = append(all, end.Sub(at))
		if at.After(t.begin.Add(t.storm)) {
			behind = append(behind, end.Sub(at))
		}
		last := at
		for i, when := range ends[c] {
			parts[i] = append(parts[i], when.Sub(last))
			last = when
		}
	}
	res.Count, res.StormEnded = len(all), f.noisy
	res.Behind = ms(quantile(behind, 99))
	res.P50, res.P99, res.Max = ms(quantile(all, 50)), ms(quantile(all, 99)), ms(quantile(all, 100))
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "where the time goes\tp50 ms\tp99 ms\t")
	for i, name := range partNames {
		fmt.Fprintf(out, "%s\t%.1f\t%.1f\t\n", name, ms(quantile(parts[i], 50)), ms(quantile(parts[i], 99)))
	}
	return res, out.Flush()
}

// partNames are the stretches of a run's way, each up to the beginning of a transaction of PostgreSQL's.
var partNames = []string{"webhook -> recorded", "-> rung", "-> claimed", "-> ended"}

// ends reads when each quiet run reached the end of each stretch.
func (f *fairness) ends(ctx context.Context) (map[string][]time.Time, error) {
	rows, err := f.st.Pool().Query(ctx, `select failure ->> 'commit', array[created_at, rung_at, attempt_started_at, ended_at]
		from runs where starts_with(failure ->> 'commit', $1) and ended_at is not null`, commitPrefix(quiet))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string][]time.Time{}
	for rows.Next() {
		var c string
		var times []time.Time
		if err := rows.Scan(&c, &times); err != nil {
			return nil, err
		}
		out[c] = times
	}
	return out, rows.Err()
}

func ms(d time.Duration) float64 { return round(d.Seconds()*1000, 10) }

func round(v float64, per float64) float64 { return float64(int64(v*per+0.5)) / per }
