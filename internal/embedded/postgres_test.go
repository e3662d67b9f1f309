package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// serverDir is a folder that PostgreSQL's user can reach: below t.TempDir() it could not when the test runs as root.
func serverDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sre-embedded-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func startPostgres(t *testing.T, dir string) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresKeepsItsDataAcrossAStop(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	first := startPostgres(t, dir)
	exec1(t, first.URL(), "CREATE TABLE kept (n int)")
	if _, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second start on the same directory: got %v, want ErrInUse", err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	exec1(t, startPostgres(t, dir).URL(), "INSERT INTO kept VALUES (1)")
}

func TestPostgresListensOnItsPrivateSocketOnly(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, serverDir(t))
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var addresses, fsync, user string
	err = conn.QueryRow(t.Context(), "SELECT current_setting('listen_addresses'), current_setting('fsync'), current_user").
		Scan(&addresses, &fsync, &user)
	if err != nil {
		t.Fatal(err)
	}
	if addresses != "" || fsync != "off" || user != "sre_agent" {
		t.Errorf("listen_addresses %q, fsync %q, user %q", addresses, fsync, user)
	}
	for _, dir := range []string{p.Dir(), p.socket.path, p.dataDir()} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", dir, info.Mode())
		}
	}
}

func TestPostgresStartsAfterItsServerWasKilled(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	first := startPostgres(t, dir)
	exec1(t, first.URL(), "CREATE TABLE kept (n int)")
	if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.proc.done
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	exec1(t, startPostgres(t, dir).URL(), "INSERT INTO kept VALUES (1)")
}

func TestPostgresStartsWhenTheStaleProcessIDIsSomebodyElsesNow(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	first := startPostgres(t, dir)
	// Another live server of the same user: the case in which PostgreSQL itself refuses.
	other := startPostgres(t, serverDir(t))
	if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.proc.done
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(first.dataDir(), "postmaster.pid")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(other.PID())+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	exec1(t, startPostgres(t, dir).URL(), "SELECT 1")
	exec1(t, other.URL(), "SELECT 1")
}

func TestPostgresInADirectoryTooDeepForASocket(t *testing.T) {
	t.Parallel()
	base := serverDir(t)
	dir := filepath.Join(base, strings.Repeat("deep/", 20))
	// As root, the folder above has to be open to the server's user; what is missing below it is made so.
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	p := startPostgres(t, dir)
	exec1(t, p.URL(), "SELECT 1")
	socket := p.socket.path
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary socket folder %s is still there: %v", socket, err)
	}
}

func TestBlockedBy(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	open, closed := filepath.Join(root, "open"), filepath.Join(root, "open", "closed")
	if err := os.MkdirAll(filepath.Join(closed, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, mode := range map[string]os.FileMode{
		filepath.Dir(root): 0o755, root: 0o755, open: 0o711, closed: 0o700,
	} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	stranger := &syscall.Credential{Uid: 4_000_000, Gid: 4_000_000}
	tests := []struct {
		name, dir, want string
		cred            *syscall.Credential
	}{
		{"a folder below open ones can be reached", filepath.Join(open, "data"), "", stranger},
		{"the directory itself does not count", closed, "", stranger},
		{"a closed parent blocks", filepath.Join(closed, "data"), closed, stranger},
		{"a closed grandparent blocks", filepath.Join(closed, "below", "data"), closed, stranger},
		{"the owner passes", filepath.Join(closed, "data"), "", &syscall.Credential{Uid: uint32(os.Getuid()), Gid: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := blockedBy(tt.dir, tt.cred)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestFindPostgres(t *testing.T) {
	t.Parallel()
	majors := map[string]int{"/a/9": 9, "/a/15": 15, "/a/17": 17}
	majorOf := func(dir string) (int, error) {
		if n, ok := majors[dir]; ok {
			return n, nil
		}
		return 0, fmt.Errorf("%s is broken", dir)
	}
	all := []string{"/a/9", "/broken", "/a/17", "/a/15"}
	tests := []struct {
		name    string
		dirs    []string
		version string
		want    string
		wantErr string
	}{
		{"the highest version wins, as a number", all, "", "/a/17", ""},
		{"data of an older version gets that version", all, "15", "/a/15", ""},
		{"data of a missing version says what to install", all, "16", "", "postgresql-16"},
		{"nothing installed says what to install", []string{"/broken"}, "", "", "apt-get install postgresql"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findPostgresIn(tt.dirs, majorOf, tt.version)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("got error %v, want %q", err, tt.wantErr)
			}
		})
	}
}
