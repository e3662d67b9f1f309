package main

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// guardedNATS is a server on the configuration that is deployed, where each user's password is its name.
func guardedNATS(t *testing.T) string {
	t.Helper()
	t.Setenv("NATS_MONITOR", "127.0.0.1:-1")
	t.Setenv("NATS_SERVER_NAME", "doctor")
	for _, r := range streams.Roles() {
		t.Setenv("NATS_"+strings.ToUpper(string(r))+"_PASSWORD", string(r))
	}
	opts, err := server.ProcessConfigFile("../../deploy/nats/server.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.StoreDir, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, t.TempDir(), true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return srv.ClientURL()
}

// guardedPostgres is a server with the deployed roles; as is its address for one of them, and own executes as the owner.
func guardedPostgres(t *testing.T) (as func(role string) string, own func(sql string)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "doctor-") // short enough for a socket, and open for the server's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	pg, err := embedded.StartPostgres(context.WithoutCancel(t.Context()), embedded.PostgresOptions{Dir: dir, Fsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Stop() })
	if _, err := store.Migrate(t.Context(), pg.URL()); err != nil {
		t.Fatal(err)
	}
	own = func(sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	roles, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	own(string(roles))
	return func(role string) string {
		u, err := url.Parse(pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("user", "sre_agent_"+role)
		u.RawQuery = q.Encode()
		return u.String()
	}, own
}

// examined is what the doctor finds of one check of a program.
func examined(t *testing.T, environ map[string]string, program, check string) (found []finding) {
	t.Helper()
	var all []finding
	got := sreAgent(t, environ, "doctor", "--program", program, "--json")
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil {
		t.Fatalf("%v\n%s%s", err, got.stdout, got.stderr)
	}
	for _, f := range all {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

func TestTheDoctorKnowsTheRightsOfEachProgram(t *testing.T) {
	nats := guardedNATS(t)
	as, own := guardedPostgres(t)
	environ := func(program string) map[string]string {
		return map[string]string{"NATS_URL": nats, "NATS_USER": program, "NATS_PASSWORD": program, "DATABASE_URL": as(program)}
	}
	if found := examined(t, environ("runner"), "runner", "streams"); len(found) != 1 || found[0].Level != levelFailed {
		t.Errorf("without streams: %+v", found)
	}
	sreAgent(t, environ("operator"), "streams", "apply").want(t, 0, "", "")
	for _, program := range []string{"throttle", "runner", "publisher", "operator"} {
		for _, check := range []string{"role", "streams", "schema"} {
			found := examined(t, environ(program), program, check)
			if len(found) == 0 || found[0].Level != levelOK {
				t.Errorf("%s: %+v", program, found)
			}
		}
	}
	for _, tt := range []struct{ change, program, level, what string }{
		{"revoke insert on turns from sre_agent_publisher", "publisher", levelFailed, "it may not insert turns"},
		{"grant update (diff) on fixes to sre_agent_runner", "runner", levelWarning, "it may update fixes, which is no work of the runner"},
		{"grant create on schema public to sre_agent_operator", "operator", levelWarning, "it may change the schema"},
	} {
		own(tt.change)
		found := examined(t, environ(tt.program), tt.program, "role")
		if len(found) != 1 || found[0].Level != tt.level || !strings.Contains(found[0].What, tt.what) || !strings.Contains(found[0].Cure, "roles.sql") {
			t.Errorf("%s: %+v", tt.change, found)
		}
	}
}

func TestAClassicTokensScopesSayWhetherItWrites(t *testing.T) {
	t.Parallel()
	for scopes, want := range map[string]bool{
		"": false, "repo": true, "read:org, public_repo": true, "read:repo_hook": false, "repo:status": false, "gist,workflow": true,
	} {
		if got := writes(scopes); got != want {
			t.Errorf("%q writes: %v", scopes, got)
		}
	}
}
