package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// lookWithin is how long one look at a dependency may take.
const lookWithin = 5 * time.Second

// statusView is everything on the one screen, and what --json prints.
type statusView struct {
	Dependencies []dependencyView `json:"dependencies"`
	Stages       []stageView      `json:"stages"`
	Open         []openView       `json:"open"`
	Oldest       *waitingView     `json:"oldest_waiting,omitempty"`
	BlockedToday []reasonView     `json:"blocked_today"`
	DeadLetters  *int64           `json:"dead_letters"`
	Paused       *int64           `json:"paused_repositories"`
}

// dependencyView is one server's health. State is up, down or not_set.
type dependencyView struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

const (
	depUp     = "up"
	depDown   = "down"
	depNotSet = "not_set"
)

type stageView struct {
	Stage       string `json:"stage"`
	Stream      string `json:"stream"`
	Pending     int64  `json:"pending"`
	AckPending  int64  `json:"ack_pending"`
	Redelivered int64  `json:"redelivered"`
	Workers     int    `json:"workers"`
	// PerSecond is how many were finished a second while it was looked at.
	PerSecond     float64 `json:"per_second"`
	OldestSeconds int64   `json:"oldest_seconds"`
	PausedSeconds int64   `json:"paused_seconds,omitempty"`

	finished uint64
}

type openView struct {
	State         string `json:"state"`
	Reason        string `json:"reason,omitempty"`
	Count         int64  `json:"count"`
	OldestSeconds int64  `json:"oldest_seconds"`
}

type waitingView struct {
	RunID      int64  `json:"run_id"`
	Repository string `json:"repository"`
	Reason     string `json:"reason"`
	Seconds    int64  `json:"seconds"`
}

type reasonView struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// bad says whether a dependency is down.
func (v statusView) bad() bool {
	return slices.ContainsFunc(v.Dependencies, func(d dependencyView) bool { return d.State == depDown })
}

// observer keeps its connections between looks, for --watch.
type observer struct {
	cfg *config.Config
	bus *streams.Bus
	st  *store.Store

	last   map[string]uint64
	lastAt time.Time
}

func (o *observer) close() {
	if o.bus != nil {
		o.bus.Close()
	}
	if o.st != nil {
		o.st.Close()
	}
}

// sampleFor is the time between the two looks that a rate needs.
const sampleFor = time.Second

// sample looks twice, so that there are rates; where no stage is seen there are none.
func (o *observer) sample(ctx context.Context) statusView {
	v := o.look(ctx)
	if len(v.Stages) > 0 && rest(ctx, sampleFor) {
		v = o.look(ctx)
	}
	return v
}

// look asks every server at once: one that does not answer takes nothing from what the others say.
func (o *observer) look(ctx context.Context) statusView {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	v := statusView{Stages: []stageView{}, Open: []openView{}, BlockedToday: []reasonView{}, Dependencies: make([]dependencyView, 4)}
	var wg sync.WaitGroup
	for i, d := range []struct {
		name  string
		isSet bool
		ask   func(context.Context, *statusView) (string, error)
	}{
		{"NATS", o.cfg.NATSURL != "", o.lookAtNATS},
		{"PostgreSQL", o.cfg.DatabaseURL.IsSet(), o.lookAtPostgres},
		{"Redis", o.cfg.RedisURL.IsSet(), o.lookAtRedis},
		{"forge", true, o.lookAtForge},
	} {
		v.Dependencies[i] = dependencyView{Name: d.name, State: depNotSet}
		if !d.isSet {
			continue
		}
		wg.Go(func() {
			state, detail := depUp, ""
			var err error
			if detail, err = d.ask(ctx, &v); err != nil {
				state, detail = depDown, strings.Join(strings.Fields(err.Error()), " ")
			}
			v.Dependencies[i] = dependencyView{Name: d.name, State: state, Detail: detail}
		})
	}
	wg.Wait()
	o.rates(&v, time.Now())
	return v
}

func (o *observer) lookAtNATS(ctx context.Context, v *statusView) (string, error) {
	if err := o.bus.AwaitConnected(ctx); err != nil {
		return "", errors.New("it does not answer")
	}
	version, rtt, err := o.bus.Server()
	if err != nil {
		return "", err
	}
	detail := fmt.Sprintf("%s, %s", version, rtt.Round(10*time.Microsecond))
	lags, err := o.bus.Lags(ctx)
	if err != nil {
		return "", err
	}
	for _, l := range lags {
		if l.Stream == streams.DeadStream {
			v.DeadLetters = &l.Messages
		}
		if l.MaxBytes > 0 && l.Bytes > l.MaxBytes/10*9 && l.Stream != streams.Events {
			detail += fmt.Sprintf("; %s is nearly full", l.Stream)
		}
		if l.Consumer == "" {
			continue
		}
		oldest, err := o.bus.Oldest(ctx, l)
		if err != nil {
			return "", err
		}
		v.Stages = append(v.Stages, viewOfStage(l, oldest))
	}
	return detail, nil
}

func viewOfStage(l streams.Lag, oldest time.Time) stageView {
	v := stageView{
		Stage: l.Consumer, Stream: l.Stream, Pending: l.Pending, AckPending: l.AckPending, Redelivered: l.Redelivered, Workers: l.Workers,
		PausedSeconds: int64(l.PausedFor.Seconds()), finished: l.Finished,
	}
	if !oldest.IsZero() {
		v.OldestSeconds = int64(max(0, time.Since(oldest).Seconds()))
	}
	return v
}

func (o *observer) lookAtPostgres(ctx context.Context, v *statusView) (string, error) {
	began := time.Now()
	server, err := o.st.Server(ctx)
	if err != nil {
		return "", err
	}
	detail := fmt.Sprintf("%d.%d, %s", server.Version/10_000, server.Version%10_000, time.Since(began).Round(10*time.Microsecond))
	open, err := o.st.OpenRuns(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range open {
		v.Open = append(v.Open, openView{c.State, c.Reason, c.Count, int64(c.Age)})
	}
	blocked, err := o.st.BlockedSince(ctx, 24*time.Hour)
	if err != nil {
		return "", err
	}
	for _, b := range blocked {
		v.BlockedToday = append(v.BlockedToday, reasonView(b))
	}
	oldest, err := o.st.OldestWaiting(ctx, 1)
	if err != nil {
		return "", err
	}
	for _, w := range oldest {
		v.Oldest = &waitingView{w.ID, fullName(w.Owner, w.Name), w.Reason, int64(w.Seconds)}
	}
	paused, err := o.st.Paused(ctx)
	v.Paused = &paused
	return detail, err
}

func (o *observer) lookAtRedis(ctx context.Context, _ *statusView) (string, error) {
	client, err := redisClient(o.cfg)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	began := time.Now()
	if err := client.Ping(ctx).Err(); err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	return time.Since(began).Round(10 * time.Microsecond).String(), nil
}

func redisClient(cfg *config.Config) (*redis.Client, error) {
	opts, err := redis.ParseURL(cfg.RedisURL.Reveal())
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL") // the parser's error may quote the password
	}
	opts.MaxRetries, opts.ContextTimeoutEnabled = -1, true
	return redis.NewClient(opts), nil
}

// lookAtForge only connects: an operator has no token, and this must not count against the services' limits.
func (o *observer) lookAtForge(ctx context.Context, _ *statusView) (string, error) {
	u, err := url.Parse(o.cfg.GitHubAPIURL)
	if err != nil {
		return "", errors.New("GITHUB_API_URL is no URL")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	began := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("%s: %w", u.Host, err)
	}
	_ = conn.Close()
	return fmt.Sprintf("%s, %s", u.Host, time.Since(began).Round(10*time.Microsecond)), nil
}

// rates fills in what was finished a second since the last look.
func (o *observer) rates(v *statusView, now time.Time) {
	seconds := now.Sub(o.lastAt).Seconds()
	last := o.last
	o.last, o.lastAt = map[string]uint64{}, now
	for i := range v.Stages {
		s := &v.Stages[i]
		if was, ok := last[s.Stage]; ok && s.finished > was && seconds > 0 {
			s.PerSecond = float64(s.finished-was) / seconds
		}
		o.last[s.Stage] = s.finished
	}
}
