package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/streams"
)

// collector reads what is to be known of the system from the outside, past the proxies. What has been read once, of
// logs and streams, is not read again.
type collector struct {
	s *system

	logAt     map[string]int64
	streamAt  map[string]uint64
	streamIDs []string
	leaks     []chaos.Leak
	broken    []string
	checked   map[string]chaos.PullRequest
	diffs     map[int64][]byte
	hurts     map[string]int // by repository
	seenRepos []string
	// logged are the moments that only the logs hold.
	logged []chaos.Entry
	// putOffs is how often a fix has been put off because of a cap.
	putOffs int
	// counted and unknown are what the last round left: the counters, and how many records had no moment.
	counted map[chaos.Series]int
	unknown map[chaos.Series]int
}

func newCollector(s *system) *collector {
	return &collector{
		s: s, logAt: map[string]int64{}, streamAt: map[string]uint64{}, checked: map[string]chaos.PullRequest{},
		diffs: map[int64][]byte{}, hurts: map[string]int{},
	}
}

func (c *collector) connect(ctx context.Context) (*pgx.Conn, error) {
	c.s.pg.mu.Lock()
	url := c.s.pg.url
	c.s.pg.mu.Unlock()
	return pgx.Connect(ctx, url)
}

// settled says how much is not finished yet; empty means that all is.
func (c *collector) settled(ctx context.Context, accepted []string) (open string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	var runs, recorded int
	if err := conn.QueryRow(ctx, "select count(*) from runs where ended_at is null").Scan(&runs); err != nil {
		return "", err
	}
	if err := conn.QueryRow(ctx, "select count(*) from deliveries where delivery_id = any($1)", accepted).Scan(&recorded); err != nil {
		return "", err
	}
	if runs == 0 && recorded == len(accepted) {
		return "", nil
	}
	return fmt.Sprintf("%d runs have not ended, %d of %d deliveries are not recorded", runs, len(accepted)-recorded, len(accepted)), nil
}

// slowest says how long the deliveries of one round took from the stream to their record, where that was long.
func (c *collector) slowest(ctx context.Context, ids []string) (string, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	var n int
	var most float64
	err = conn.QueryRow(ctx, `select count(*), coalesce(max(extract(epoch from recorded_at - received_at)), 0)::float8 from deliveries
		where delivery_id = any($1) and recorded_at > received_at + interval '10 seconds'`, ids).Scan(&n, &most)
	if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprintf("%d deliveries were recorded late, the last one %.1f s after it was received", n, most), nil
}

// collect fills in what the rows, streams, logs and the forge say.
func (c *collector) collect(ctx context.Context, h *chaos.History) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := errors.Join(c.rows(ctx, conn, h), c.scanRows(ctx, conn), c.streams(ctx), c.logs()); err != nil {
		return err
	}
	if err := c.forge(ctx, h); err != nil {
		return err
	}
	h.StreamIDs, h.Leaks, h.Limits = c.streamIDs, c.leaks, limits
	h.Broken = append(h.Broken, c.broken...)
	return nil
}

func (c *collector) leak(where string, text []byte) {
	c.leaks = append(c.leaks, chaos.FindSecrets(where, text, c.s.secrets)...)
}

// holderPID takes the process id out of a holder's name: host/pid/....
func holderPID(holder string) int {
	parts := strings.Split(holder, "/")
	if len(parts) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(parts[1])
	return pid
}

func (c *collector) rows(ctx context.Context, conn *pgx.Conn, h *chaos.History) error {
	each := func(sql string, scan func(pgx.Rows) error) error {
		rows, err := conn.Query(ctx, sql)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	return errors.Join(
		each("select delivery_id, outcome, reason, coalesce(run_id, 0) from deliveries", func(r pgx.Rows) error {
			var d chaos.Delivery
			err := r.Scan(&d.ID, &d.Outcome, &d.Reason, &d.RunID)
			h.Deliveries = append(h.Deliveries, d)
			return err
		}),
		each(`select r.id, r.run_key, p.owner || '/' || p.name, r.state, r.reason, r.explanation, coalesce(r.fingerprint, ''), r.fence,
			r.attempt_count, r.ended_at is not null from runs r join repositories p on p.id = r.repository_id`, func(r pgx.Rows) error {
			var x chaos.Run
			err := r.Scan(&x.ID, &x.Key, &x.Repository, &x.State, &x.Reason, &x.Explanation, &x.Fingerprint, &x.Fence, &x.AttemptCount, &x.Ended)
			h.Runs = append(h.Runs, x)
			return err
		}),
		each("select run_id, fence, coalesce(number, 0), holder, started_at, ended_at, coalesce(outcome, ''), reason from attempts order by run_id, fence", func(r pgx.Rows) error {
			var a chaos.Attempt
			var holder string
			var ended *time.Time
			err := r.Scan(&a.RunID, &a.Fence, &a.Number, &holder, &a.Started, &ended, &a.Outcome, &a.Reason)
			if ended != nil {
				a.Ended = *ended
			}
			a.PID = holderPID(holder)
			h.Attempts = append(h.Attempts, a)
			return err
		}),
		each("select run_id, fence, digest, base_commit, diff from fixes", func(r pgx.Rows) error {
			var f chaos.Fix
			var diff []byte
			err := r.Scan(&f.RunID, &f.Fence, &f.Digest, &f.Base, &diff)
			sum := sha256.Sum256(diff)
			f.Sum = "sha256:" + hex.EncodeToString(sum[:])
			if c.diffs[f.RunID] == nil {
				c.leak(fmt.Sprintf("the fix of run %d", f.RunID), diff)
			}
			c.diffs[f.RunID] = diff
			h.Fixes = append(h.Fixes, f)
			return err
		}),
		each("select run_id, state, branch, commit_id, digest, coalesce(pr_number, 0) from publications", func(r pgx.Rows) error {
			var p chaos.Publication
			err := r.Scan(&p.RunID, &p.State, &p.Branch, &p.Commit, &p.Digest, &p.PRNumber)
			h.Publications = append(h.Publications, p)
			return err
		}),
	)
}

// scanRows looks for secrets in every column of every table.
func (c *collector) scanRows(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "select table_name from information_schema.tables where table_schema = 'public'")
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, table := range tables {
		rows, err := conn.Query(ctx, "select t::text from "+pgx.Identifier{table}.Sanitize()+" t")
		if err != nil {
			return err
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		c.leak("the table "+table, []byte(strings.Join(texts, "\n")))
	}
	return nil
}

// streams reads the streams that keep their messages.
func (c *collector) streams(ctx context.Context) error {
	nc, err := nats.Connect(c.s.nats, nats.Timeout(10*time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, name := range []string{streams.Deliveries, streams.Events, streams.DeadStream} {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return err
		}
		state := stream.CachedInfo().State
		for seq := max(c.streamAt[name]+1, state.FirstSeq); seq <= state.LastSeq; seq++ {
			msg, err := stream.GetMsg(ctx, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if name == streams.Deliveries {
				c.streamIDs = append(c.streamIDs, msg.Header.Get(streams.HdrDeliveryID))
			}
			c.leak("the stream "+name, fmt.Appendf(nil, "%s %v %s", msg.Subject, msg.Header, msg.Data))
		}
		c.streamAt[name] = state.LastSeq
	}
	return nil
}

var panicked = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*)$|handler panicked`)

// logs reads what the processes have written since the last time.
func (c *collector) logs() error {
	files, err := filepath.Glob(filepath.Join(c.s.dir, "*.log"))
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		_, err = f.Seek(c.logAt[file], 0)
		if err == nil {
			_, err = text.ReadFrom(f)
		}
		_ = f.Close()
		if err != nil {
			return err
		}
		c.logAt[file] += int64(text.Len())
		c.leak("the log "+filepath.Base(file), text.Bytes())
		for _, e := range logged(text.Bytes()) {
			c.logged = append(c.logged, e)
			if e.Series == putOff {
				c.putOffs++
			}
		}
		if found := panicked.Find(text.Bytes()); found != nil {
			c.broken = append(c.broken, fmt.Sprintf("%s: %s", filepath.Base(file), found))
		}
	}
	return nil
}

var bodyKey = regexp.MustCompile(`<!-- sre-agent run=\d+ fence=\d+ digest=\S+ key=(\S+) -->`)

// forge reads the pull requests and what was asked of the forge.
func (c *collector) forge(ctx context.Context, h *chaos.History) error {
	byKey := map[string]int64{}
	for _, r := range h.Runs {
		byKey[r.Key] = r.ID
	}
	creations := map[string]*chaos.Creation{}
	for _, repo := range c.seenRepos {
		creations[repo] = &chaos.Creation{Repository: repo, Hurts: c.hurts[repo]}
		owner, name, _ := strings.Cut(repo, "/")
		for _, pr := range c.s.scene.Forge.PullRequests(owner, name) {
			seen, err := c.pullRequest(ctx, repo, pr, byKey)
			if err != nil {
				return err
			}
			h.PullRequests = append(h.PullRequests, seen)
		}
	}
	for _, r := range c.s.scene.Forge.Requests() {
		if repo, ok := pullsOf(r.Method, r.Path); ok && creations[repo] != nil {
			creations[repo].Asked++
			if r.Status == http.StatusCreated {
				creations[repo].Opened++
			}
		}
		for _, u := range r.Updates {
			repo, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), ".git/")
			if creations[repo] == nil {
				continue // the scene's own repository, filled before anything ran
			}
			h.Pushes = append(h.Pushes, chaos.Push{Repository: repo, Ref: u.Ref, Old: u.Old, New: u.New, Applied: u.Applied})
		}
	}
	for _, cr := range creations {
		h.Creations = append(h.Creations, *cr)
	}
	for _, v := range c.s.scene.Forge.Violations() {
		h.Broken = append(h.Broken, "a request that GitHub's description does not allow: "+v)
	}
	return nil
}

func (c *collector) pullRequest(ctx context.Context, repo string, pr forgetest.PR, byKey map[string]int64) (chaos.PullRequest, error) {
	id := fmt.Sprintf("%s#%d@%s", repo, pr.Number, pr.HeadSHA)
	out, known := c.checked[id]
	if !known {
		out = chaos.PullRequest{Repository: repo, Number: pr.Number, Head: pr.Head, HeadSHA: pr.HeadSHA}
		if m := bodyKey.FindStringSubmatch(pr.Body); m != nil {
			out.RunKey = m[1]
		}
		bare := filepath.Join(c.s.dir, "scene", "forge", demo.Owner, strings.TrimPrefix(repo, demo.Owner+"/")+".git")
		var err error
		if out.Parent, out.Applied, err = applied(ctx, bare, pr.HeadSHA, c.diffs[byKey[out.RunKey]]); err != nil {
			return out, err
		}
		message, err := git(ctx, bare, nil, nil, "log", "--format=%B", "-n", "1", pr.HeadSHA)
		if err != nil {
			return out, err
		}
		c.leak("pull request "+id, []byte(pr.Title+"\n"+pr.Body+"\n"+message))
		c.checked[id] = out
	}
	out.Open, out.Merged, out.Created, out.Ended = pr.State == "open", pr.Merged, pr.Created, pr.Ended
	return out, nil
}
