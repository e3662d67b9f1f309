package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// templateLock is the advisory lock under which templates are made, so that many test programs make each once.
const templateLock = 0x73726574

// Migrate brings the database at url to the current schema, and closes what it opened.
type Migrate = func(ctx context.Context, url string) error

// Postgres returns the URL of a new, empty database that is dropped at the test's end.
func Postgres(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "template0")
}

// PostgresWithSchema returns the URL of a new database with the schema of migrate, which runs once for all tests:
// they get copies of its result. The copies are kept apart by migrate's name and the module's migrations folder, so
// migrate has to do the same thing each time.
func PostgresWithSchema(t testing.TB, migrate Migrate) string {
	t.Helper()
	name, err := templateName(migrate)
	if err != nil {
		t.Fatalf("name the template database: %v", err)
	}
	ctx, cancel := setUpContext(t)
	defer cancel()
	if err := ensureTemplate(ctx, postgresServer.get(t), name, migrate); err != nil {
		t.Fatalf("make the template database: %v", err)
	}
	return newDatabase(t, name)
}

func newDatabase(t testing.TB, template string) string {
	t.Helper()
	base := postgresServer.get(t)
	name := "sre_test_" + randomName(8)
	ctx, cancel := setUpContext(t)
	defer cancel()
	if err := execute(ctx, base, "CREATE DATABASE "+ident(name)+" TEMPLATE "+ident(template)); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := setUpContext(t)
		defer cancel()
		if err := execute(ctx, base, "DROP DATABASE "+ident(name)+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	own, err := withDatabaseName(base, name)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// ensureTemplate makes the template under another name and renames it when it is complete: a template that exists
// is a whole one.
func ensureTemplate(ctx context.Context, base, name string, migrate Migrate) error {
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return err
	}
	// Closing the connection gives the lock back.
	var have bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&have); err != nil || have {
		return err
	}
	draft := name + "_draft"
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + ident(draft) + " WITH (FORCE)",
		"CREATE DATABASE " + ident(draft) + " TEMPLATE template0",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	draftURL, err := withDatabaseName(base, draft)
	if err != nil {
		return err
	}
	if err := migrate(ctx, draftURL); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return publish(ctx, conn, draft, name)
}

// publish closes the draft to sessions (one that lingers would block copies) and gives it its name.
func publish(ctx context.Context, conn *pgx.Conn, draft, name string) error {
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+ident(draft)+" WITH ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", draft); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "ALTER DATABASE "+ident(draft)+" RENAME TO "+ident(name))
	return err
}

// templateName is different for each migrate function and each state of the migrations folder.
func templateName(migrate Migrate) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.FuncForPC(reflect.ValueOf(migrate).Pointer()).Name())
	dir, err := moduleRoot()
	if err != nil {
		return "", err
	}
	migrations := filepath.Join(dir, "migrations")
	err = filepath.WalkDir(migrations, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path[len(migrations):], len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	return "sre_template_" + hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// moduleRoot is the folder of go.mod above the working directory: go test runs in the package's own folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the working directory: %w", fs.ErrNotExist)
		}
		dir = filepath.Dir(dir)
	}
}

func execute(ctx context.Context, base, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabaseName(base, name string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", fmt.Errorf("%s must be a postgres:// URL", DatabaseURLVar)
	}
	u.Path = "/" + name
	return u.String(), nil
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }
