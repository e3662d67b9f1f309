package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// What is checked of the servers.

// mostSkew is how far a server's clock may be from ours.
const mostSkew = 2 * time.Second

// clock compares a server's time with ours, as it was in the middle of the question.
func (d *doctor) clock(check string, asked time.Time, theirs time.Time) {
	now := d.now()
	ours := asked.Add(now.Sub(asked) / 2)
	if skew := theirs.Sub(ours); skew.Abs() > mostSkew {
		d.fail(check, "have both machines follow the same time server (chrony, systemd-timesyncd)", "its clock is %s from ours", skew.Round(100*time.Millisecond))
		return
	}
	d.ok(check, "its clock is ours")
}

const oldestPostgres = 140_000

func (d *doctor) postgres(ctx context.Context) {
	const check = "PostgreSQL"
	if !d.cfg.DatabaseURL.IsSet() {
		d.skip(check, "DATABASE_URL")
		return
	}
	url := d.cfg.DatabaseURL.Reveal()
	st, err := store.Open(ctx, url, store.Options{MaxConns: 1})
	if err != nil {
		d.fail(check, "correct DATABASE_URL", "%s", err)
		return
	}
	defer st.Close()
	asked := d.now()
	theirs, err := st.Clock(ctx)
	if err != nil {
		d.fail(check, "start it, or correct DATABASE_URL", "%s", err)
		return
	}
	d.clock(check, asked, theirs)
	server, err := st.Server(ctx)
	if err != nil {
		d.fail(check, "let the role read the settings", "%s", err)
		return
	}
	if server.Version < oldestPostgres {
		d.fail(check, "upgrade to PostgreSQL 14 or newer", "it is version %d", server.Version/10_000)
	}
	if server.Fsync != "on" || server.FullPageWrites != "on" || server.SynchronousCommit == "off" {
		d.fail(check, "set fsync, full_page_writes and synchronous_commit to on: it holds the truth",
			"a power cut may lose commits: fsync=%s, full_page_writes=%s, synchronous_commit=%s", server.Fsync, server.FullPageWrites, server.SynchronousCommit)
	} else {
		d.ok(check, "a commit outlives a power cut")
	}
	d.schema(ctx, url)
	if server.Superuser {
		d.warn("role", rolesCure, "the database's role is a superuser")
		return
	}
	d.role(ctx, st)
}

func (d *doctor) schema(ctx context.Context, url string) {
	has, knows, err := store.SchemaVersions(ctx, url)
	switch {
	case err != nil:
		d.warn("schema", "let the role read goose_db_version", "%s", err)
	case has < knows:
		d.fail("schema", "sre-agent migrate", "the database has version %d, this program wants %d", has, knows)
	case has > knows:
		d.warn("schema", "nothing, during a roll-out or after a roll-back: an older program can live with the next schema", "the database has version %d, this program knows %d", has, knows)
	default:
		d.ok("schema", "version %d", has)
	}
}

func (d *doctor) nats(ctx context.Context) {
	const check = "NATS"
	if d.cfg.NATSURL == "" {
		d.skip(check, "NATS_URL")
		return
	}
	bus, err := streams.ConnectWith(d.cfg, d.natsRole(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		d.fail(check, "correct NATS_URL", "%s", err)
		return
	}
	defer bus.Close()
	if err := bus.AwaitConnected(ctx); err != nil {
		d.fail(check, "start it, or correct NATS_URL and NATS_CREDS_FILE", "it does not answer")
		return
	}
	version, _, err := bus.Server()
	if err != nil {
		d.fail(check, "see that the network is sound", "%s", err)
		return
	}
	if !newEnough(version, 2, 12) {
		d.fail(check, "upgrade to nats-server 2.12 or newer", "it is version %s", version)
	} else {
		d.ok(check, "version %s", version)
	}
	if d.natsRole() != streams.OperatorRole {
		d.home(ctx, bus)
		return
	}
	if _, err := bus.JetStream().AccountInfo(ctx); err != nil {
		d.fail(check, "switch JetStream on, and let the user ask for its account's information", "JetStream: %s", err)
		return
	}
	d.streams(ctx, bus)
}

// natsRole is whose NATS user the environment names.
func (d *doctor) natsRole() streams.Role {
	if role := streams.Role(d.cfg.Program()); slices.Contains(streams.Roles(), role) {
		return role
	}
	return streams.OperatorRole
}

// home checks what a service's user may see: the stream that it can't do without.
func (d *doctor) home(ctx context.Context, bus *streams.Bus) {
	if err := bus.Ready(ctx); err != nil {
		d.fail("streams", "start the throttle, which makes them, or: sre-agent streams apply; if they are there, give the user its rights (deploy/nats/accounts.conf)", "%s", err)
		return
	}
	d.ok("streams", "the %s finds its own; the operator's user sees the others", d.cfg.Program())
}

func (d *doctor) streams(ctx context.Context, bus *streams.Bus) {
	const check = "streams"
	changes, err := streams.Diff(ctx, bus.JetStream(), streams.SettingsFrom(d.cfg))
	if err != nil {
		d.fail(check, "let the user ask for streams and consumers", "%s", err)
		return
	}
	for _, c := range changes {
		cure := "sre-agent streams apply"
		if c.Refused != "" {
			cure = "change it by hand, with nats stream edit, if that is meant: docs/ops.md#rolling-back-a-release"
		}
		d.fail(check, cure, "%s", c)
	}
	if len(changes) == 0 {
		d.ok(check, "as the table of this version says")
	}
	asked := d.now()
	s, err := bus.JetStream().Stream(ctx, streams.Deliveries)
	if err != nil {
		return // told above
	}
	info := s.CachedInfo()
	d.clock("NATS", asked, info.TimeStamp)
	if info.Config.Storage != jetstream.FileStorage {
		d.fail(check, "make the stream anew with file storage", "%s is kept in memory", streams.Deliveries)
	}
	if info.Config.Replicas < 2 {
		d.warn(check, "run the server with deploy/nats.conf (sync_interval: always), which no client can ask for, or a cluster with NATS_REPLICAS=3", "there is one copy of %s", streams.Deliveries)
	}
}

func (d *doctor) redis(ctx context.Context) {
	const check = "Redis"
	if !d.cfg.RedisURL.IsSet() {
		d.skip(check, "REDIS_URL")
		return
	}
	client, err := redisClient(d.cfg)
	if err != nil {
		d.fail(check, "correct REDIS_URL", "%s", err)
		return
	}
	defer func() { _ = client.Close() }()
	asked := d.now()
	theirs, err := client.Time(ctx).Result()
	if err != nil {
		d.fail(check, "start it, or correct REDIS_URL", "%s", err)
		return
	}
	d.clock(check, asked, theirs)
	policy, err := client.ConfigGet(ctx, "maxmemory-policy").Result()
	switch p := policy["maxmemory-policy"]; {
	case err != nil || p == "":
		d.warn(check, "see that its maxmemory-policy is noeviction", "it does not tell its settings")
	case p != "noeviction":
		d.fail(check, "set maxmemory-policy to noeviction: an evicted lock is a lost lock", "its maxmemory-policy is %s", p)
	default:
		d.ok(check, "it evicts nothing")
	}
}

// newEnough compares the first two numbers of a version.
func newEnough(version string, major, minor int) bool {
	var a, b int
	if n, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil || n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}
