package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// guarded is a PostgreSQL with the roles of deploy/postgres, and a Redis.
func guarded(t *testing.T) *servers {
	t.Helper()
	s := startServers(t)
	if _, err := store.Migrate(t.Context(), s.pg.URL()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be run again
		s.sql(rolesSQL(t))
	}
	return s
}

func rolesSQL(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *servers) sql(text string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.pg.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) }()
	if _, err := conn.PgConn().Exec(s.t.Context(), text).ReadAll(); err != nil {
		s.t.Fatal(err)
	}
}

// as is the database's address for a role.
func (s *servers) as(role string) string {
	s.t.Helper()
	u, err := url.Parse(s.pg.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	q := u.Query()
	q.Set("user", "sre_agent_"+role)
	u.RawQuery = q.Encode()
	return u.String()
}

const natsPassword = "p-for-"

// natsUsers are the variables that deploy/nats/server.conf wants.
func natsUsers() []string {
	env := []string{"NATS_SERVER_NAME=e2e"}
	for _, r := range streams.Roles() {
		env = append(env, "NATS_"+strings.ToUpper(string(r))+"_PASSWORD="+natsPassword+string(r))
	}
	return env
}

// startGuardedCluster starts everything, each program as its own NATS user and database role and as nobody else.
func startGuardedCluster(t *testing.T, s *servers, knobs map[string]string) *system {
	t.Helper()
	c := newSystem(t, s.pg.URL(), "../../deploy/nats/server.conf", append(natsUsers(), "NATS_MONITOR=127.0.0.1:-1")...)
	for _, name := range cluster.Programs {
		c.startProgram(c.bin, c.dir, name, c.environ(map[string]string{
			"DATABASE_URL": s.as(name), "REDIS_URL": s.redis.URL(), "NATS_USER": name, "NATS_PASSWORD": natsPassword + name,
		}, knobs))
	}
	return c
}

// operator is a connection as a person with the plain nats CLI has it.
func (c *system) operator() jetstream.JetStream {
	c.t.Helper()
	nc, err := nats.Connect(c.nats, nats.UserInfo("operator", natsPassword+"operator"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

func (c *system) onlyRun(state run.State) (r store.Run) {
	c.t.Helper()
	testenv.Eventually(c.t, 30*time.Second, func() bool {
		runs, err := c.st.Runs(c.t.Context(), string(state), 2)
		if err != nil || len(runs) != 1 {
			return false
		}
		r = runs[0]
		return true
	})
	return r
}

func TestEverythingWorksUnderTheLeastPermissions(t *testing.T) {
	c := startGuardedCluster(t, guarded(t), quick)
	c.expectReady(everybody...)
	js := c.operator()

	plain := c.fail(0)
	c.send("workflow_run", "plain", githubtest.FailedRun(plain.params))
	c.published(plain)

	// A runner is killed while it works: the sweeper takes the run back, and it is tried again after its backoff.
	c.scene.Forge.SetFault(func(*http.Request) *forgetest.Fault { return &forgetest.Fault{Hang: true} })
	crashed := c.fail(1)
	c.send("workflow_run", "crashed", githubtest.FailedRun(crashed.params))
	c.onlyRun(run.Running)
	c.procs["runner"].Kill()
	c.scene.Forge.SetFault(nil)

	// Its doorbell, and that of another run, are lost with the stream's messages: both are rung again.
	lost := c.fail(2)
	c.send("workflow_run", "lost", githubtest.FailedRun(lost.params))
	testenv.Eventually(t, 30*time.Second, func() bool { return c.messages(js, streams.Runs) > 0 })
	stream, err := js.Stream(t.Context(), streams.Runs)
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	c.procs["runner"].start()
	c.published(lost)
	if r := c.ended(crashed, 90*time.Second); r.State != "published" || c.prs(r) != 1 || r.AttemptCount != 2 {
		t.Errorf("%s(%s) %s, %d pull requests, %d attempts", r.State, r.Reason, r.Explanation, c.prs(r), r.AttemptCount)
	}

	// What can't be read ends in DEAD, from whichever service had it.
	for n, subject := range []string{"deliveries.github.a.b", "runs.ready.github.a.b", "fixes.ready.github.a.b"} {
		if _, err := js.Publish(t.Context(), subject, []byte("no envelope")); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, 30*time.Second, func() bool { return c.messages(js, streams.DeadStream) == uint64(n+1) })
	}
	c.nobodyWasRefused()
}

// nobodyWasRefused looks at what the programs say of their servers.
func (c *system) nobodyWasRefused() {
	c.t.Helper()
	for _, name := range cluster.Programs {
		text, err := os.ReadFile(c.procs[name].Log)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, bad := range []string{"ermissions violation", "permission denied"} {
			if strings.Contains(strings.ToLower(string(text)), strings.ToLower(bad)) {
				c.t.Errorf("%s was refused something that it wants: %s", name, lineWith(string(text), bad))
			}
		}
	}
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(strings.ToLower(line), strings.ToLower(part)) {
			return line
		}
	}
	return ""
}

func (c *system) messages(js jetstream.JetStream, stream string) uint64 {
	s, err := js.Stream(c.t.Context(), stream)
	if err != nil {
		return 0
	}
	return s.CachedInfo().State.Msgs
}

// crossings are what a role must not do, most of them what another role may.
var crossings = map[string][]string{
	"throttle": {
		"update runs set run_key = 'x'", "update runs set failure = '{}'", "update runs set fence = fence + 1", "delete from runs",
		"insert into attempts (run_id, fence, number, holder) values (1, 1, 1, 'x')", "select diff from fixes", "select commit_id from publications",
		"update publications set state = 'opened'", "insert into refusals (fingerprint, run_id, pr_url) values ('x', 1, 'x')",
		"select from model_exchanges", "insert into actions (run_id, action, who, why, before_state, before_reason) values (1, 'retry', 'x', 'x', 'x', '')",
	},
	"runner": {
		"update runs set run_key = 'x'", "update runs set generation = 2", "update runs set attempts_forgiven = attempt_count",
		"insert into runs (run_key, repository_id, failure, state) values ('x', 1, '{}', 'waiting')", "delete from runs",
		"select from deliveries", "update deliveries set outcome = 'dead'", "update repositories set owner = 'x'",
		"update fixes set diff = 'x'", "delete from fixes", "update publications set state = 'opened'",
		"insert into publications (run_id, generation, fingerprint, digest, branch, base_branch, commit_id, state) values (1, 1, '', '', '', '', '', 'intended')",
		"delete from refusals", "update reruns set state = 'asked'", "select from checkpoints", "select from actions",
		"update repository_settings set mode = 'pr'", "insert into switches (repository_id, off_by, off_why) values (1, 'x', 'x')",
	},
	"publisher": {
		"update runs set failure = '{}'", "delete from runs", "insert into runs (run_key, repository_id, failure, state) values ('x', 1, '{}', 'waiting')",
		"update fixes set diff = 'x'", "insert into fixes (run_id, generation, fence, base_commit, diff, digest, fixer, title, evidence) values (1, 1, 1, '', '', '', '', '', '{}')",
		"update attempts set outcome = 'fixed'", "update publications set commit_id = 'x'", "update publications set digest = 'x'", "delete from publications",
		"delete from refusals", "insert into reruns (run_id, why) values (1, 'flaky')", "update deliveries set outcome = 'dead'",
		"select from model_calls", "select from actions", "update turns set due = now()", "delete from turns",
		"update switches set on_at = now(), on_by = 'x', on_why = 'x'", "delete from repository_settings", "select from operations",
	},
	"operator": {
		"drop table runs", "alter table runs add column x text", "create table x (y text)", "create role x", "truncate runs",
		"update goose_db_version set version_id = 1", "drop function claim_run",
	},
}

func TestARoleIsRefusedWhatAnotherOneMay(t *testing.T) {
	s := guarded(t)
	for role, statements := range crossings {
		for _, sql := range append(statements, "create table sneaked (x text)", "create temporary table sneaked (x text)") {
			conn, err := pgx.Connect(t.Context(), s.as(role))
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(t.Context(), sql)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "42501" { // insufficient_privilege
				t.Errorf("%s: %s: %v", role, sql, err)
			}
			_ = conn.Close(t.Context())
		}
	}
	if conn, err := pgx.Connect(t.Context(), s.as("ingest")); err == nil {
		_ = conn.Close(t.Context())
		t.Error("ingest may log in to the database")
	}
}

// TestGrantSetsEachRolesPassword runs what the containers run; changing a password is running it again.
func TestGrantSetsEachRolesPassword(t *testing.T) {
	s := startServers(t)
	if _, err := store.Migrate(t.Context(), s.pg.URL()); err != nil {
		t.Fatal(err)
	}
	hashes := map[string]int{}
	for range 2 {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "../../deploy/postgres/grant.sh")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "OWNER_URL=" + s.pg.URL()}
		for _, role := range []string{"THROTTLE", "RUNNER", "PUBLISHER", "OPERATOR"} {
			cmd.Env = append(cmd.Env, role+"_PASSWORD="+testenv.Canary()+"'; drop table runs; --")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		conn, err := pgx.Connect(t.Context(), s.pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := conn.Query(t.Context(), "select rolpassword from pg_authid where rolname like 'sre_agent_%' and rolpassword is not null")
		if err != nil {
			t.Fatal(err)
		}
		set, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, hash := range set {
			hashes[hash]++
		}
		_ = conn.Close(t.Context())
	}
	if len(hashes) != 8 {
		t.Errorf("%d different passwords after two rounds of four", len(hashes))
	}
}

// TestEveryTableIsDecided: a new table has to be given to somebody, or named as what only people touch.
func TestEveryTableIsDecided(t *testing.T) {
	s := guarded(t)
	conn, err := pgx.Connect(t.Context(), s.pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), "select tablename from pg_tables where schemaname = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) < 10 {
		t.Fatalf("only %v", tables)
	}
	text := rolesSQL(t)
	for _, table := range tables {
		if !strings.Contains(text, table) {
			t.Errorf("deploy/postgres/roles.sql does not say who may use %s", table)
		}
	}
}

func TestAServiceThatMayNotMigrateWaitsForTheOwner(t *testing.T) {
	s := guarded(t)
	current, err := store.Current(t.Context(), s.as("runner"))
	if err != nil || !current {
		t.Errorf("with the whole schema: %v, %v", current, err)
	}
	s.sql("delete from goose_db_version where version_id = (select max(version_id) from goose_db_version)")
	if current, err := store.Current(t.Context(), s.as("runner")); err != nil || current {
		t.Errorf("with one migration missing: %v, %v", current, err)
	}
	s.sql("insert into goose_db_version (version_id, is_applied) values (99998, true)")
	if current, err := store.Current(t.Context(), s.as("runner")); err != nil || current {
		t.Errorf("with a newer one and one missing: %v, %v", current, err)
	}
	s.sql("drop table goose_db_version")
	if current, err := store.Current(t.Context(), s.as("runner")); err != nil || current {
		t.Errorf("with an empty database: %v, %v", current, err)
	}
}
