package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
)

// TestMain lets the test program stand in for one that is killed in the middle of its tests.
func TestMain(m *testing.M) {
	if os.Getenv("TESTENV_KILL_ME") != "" {
		startAndDie()
	}
	os.Exit(m.Run())
}

func startAndDie() {
	ctx, cancel := context.WithTimeout(context.Background(), setUpWithin)
	defer cancel()
	for _, s := range []*server{&postgresServer, &redisServer} {
		if _, err := s.private(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "both are up", postgresServer.pid, redisServer.pid)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

var migrated atomic.Int32

func migrateCounted(ctx context.Context, url string) error {
	migrated.Add(1)
	return migrateThings(ctx, url)
}

func migrateThings(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url) // left open on purpose: a lingering session must not block copies
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE things (n int PRIMARY KEY)")
	return err
}

func TestEachTestGetsItsOwnCopyOfTheSchema(t *testing.T) {
	t.Parallel()
	t.Run("group", func(t *testing.T) {
		for range 8 {
			t.Run("copy", func(t *testing.T) {
				t.Parallel()
				conn := connect(t, PostgresWithSchema(t, migrateCounted))
				if _, err := conn.Exec(t.Context(), "INSERT INTO things VALUES (1)"); err != nil {
					t.Error(err)
				}
			})
		}
	})
	// Not even once, when the servers outlive this program and an earlier one has made the template.
	if n := migrated.Load(); n > 1 {
		t.Errorf("migrated %d times, want once", n)
	}
}

func TestAFailedMigrationLeavesNoTemplate(t *testing.T) {
	t.Parallel()
	base := postgresServer.get(t)
	name := "sre_template_broken_" + randomName(4)
	broken := errors.New("broken")
	err := ensureTemplate(t.Context(), base, name, func(context.Context, string) error { return broken })
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	t.Cleanup(func() { _ = execute(context.Background(), base, "DROP DATABASE "+ident(name)+" WITH (FORCE)") })
	if err := ensureTemplate(t.Context(), base, name, migrateThings); err != nil {
		t.Errorf("the next try: %v", err)
	}
}

func TestADatabaseIsDroppedAtTheTestsEnd(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) {
		url = Postgres(t)
		connect(t, url)
	})
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("it is still there")
	}
}

func TestRedisDatabasesAreApartAndEmpty(t *testing.T) {
	t.Parallel()
	a, b := Redis(t), Redis(t)
	if err := a.Set(t.Context(), "k", "a", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Exists(t.Context(), "k").Result(); err != nil || n != 0 {
		t.Errorf("another test sees the key: %d, %v", n, err)
	}
	var db int
	t.Run("inner", func(t *testing.T) {
		c := Redis(t)
		db = c.Options().DB
		if err := c.Set(t.Context(), "k", "c", 0).Err(); err != nil {
			t.Fatal(err)
		}
	})
	again, err := redisAt(redisServer.get(t), db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if n, err := again.Exists(t.Context(), "k").Result(); err != nil || n != 0 {
		t.Errorf("a database was given back full: %d, %v", n, err)
	}
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"unix:///run/x/redis.sock?db=0":        "unix:///run/x/redis.sock?db=7",
		"redis://user:pw@localhost:6379/0":     "redis://user:pw@localhost:6379/7",
		"rediss://localhost?protocol=3":        "rediss://localhost/7?protocol=3",
		"unix://:pw@/run/x/redis.sock?timeout": "unix://:pw@/run/x/redis.sock?db=7&timeout=",
	} {
		if got, err := withDatabase(base, 7); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", base, got, err, want)
		}
	}
}

func TestNATSIsTheTestsOwn(t *testing.T) {
	t.Parallel()
	url, nc := NATS(t)
	other, _ := NATS(t)
	if url == other {
		t.Error("two tests share a server")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AccountInfo(t.Context()); err != nil {
		t.Errorf("no JetStream: %v", err)
	}
}

func TestPoll(t *testing.T) {
	t.Parallel()
	n := 0
	if !poll(time.Minute, func() bool { n++; return n == 3 }) || n != 3 {
		t.Errorf("polled %d times, want 3", n)
	}
	if poll(30*time.Millisecond, func() bool { return false }) {
		t.Error("what never holds was said to hold")
	}
}

func TestCanariesDiffer(t *testing.T) {
	t.Parallel()
	if a, b := Canary(), Canary(); a == b || len(a) < 40 {
		t.Errorf("%s, %s", a, b)
	}
}

// TestPrivateServersEndWithTheProgram runs this test program once more, on its own servers, and lets it be killed.
func TestPrivateServersEndWithTheProgram(t *testing.T) {
	t.Parallel()
	home, err := os.MkdirTemp("", "sre-testenv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = []string{"TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "TESTENV_KILL_ME=1"}
	out, err := child.CombinedOutput()
	if child.ProcessState.ExitCode() != -1 || !bytes.Contains(out, []byte("both are up")) {
		t.Fatalf("the child was not killed with both servers up: %v\n%s", err, out)
	}
	Eventually(t, 30*time.Second, func() bool {
		left, err := os.ReadDir(home)
		return err == nil && len(left) == 0
	})
	_, pids, _ := strings.Cut(string(out), "both are up ")
	for _, word := range strings.Fields(pids)[:2] {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		Eventually(t, 10*time.Second, func() bool { return gone(pid) })
	}
}

// gone also holds for a zombie: inside a container nobody may be there to read its status.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
