package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresUser        = "sre_agent"
	postgresDatabase    = "sre_agent"
	postgresReadyWithin = 60 * time.Second // crash recovery may have to run first
	postgresStopWithin  = 30 * time.Second
	// postgresHandover is how long a server left by a killed process may take to end.
	postgresHandover = 15 * time.Second
)

// PostgresOptions says how the private PostgreSQL runs.
type PostgresOptions struct {
	// Dir keeps the data. As root it is handed to the user that the server runs as.
	Dir string
	// Fsync makes commits survive a power cut; a killed process loses none in any case. Tests go without.
	Fsync bool
	// Statements loads pg_stat_statements, which counts what is asked.
	Statements bool
	Log        *slog.Logger
}

// Postgres is a private PostgreSQL server on a unix socket that only this user can reach.
type Postgres struct {
	opts   PostgresOptions
	log    *slog.Logger
	dir    string
	bin    string
	cred   *syscall.Credential // nil: run as ourselves
	lock   *os.File
	socket socketDir
	proc   *proc
}

// StartPostgres starts the server, on the data of an earlier run where there is some, and waits until its database
// answers. The server outlives ctx: end it with Stop.
func StartPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	p := &Postgres{opts: opts, log: orDiscard(opts.Log).With("part", "postgres")}
	if err := p.start(ctx); err != nil {
		p.release()
		return nil, fmt.Errorf("start private PostgreSQL: %w", err)
	}
	return p, nil
}

func (p *Postgres) start(ctx context.Context) error {
	if err := p.prepareDir(); err != nil {
		return err
	}
	var err error
	if p.bin, err = findPostgres(dataVersion(p.dataDir())); err != nil {
		return err
	}
	if err := p.initData(ctx); err != nil {
		return err
	}
	if p.socket, err = newSocketDir(p.dir, ".s.PGSQL.5432.lock", p.cred); err != nil {
		return err
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	if err := p.ensureDatabase(ctx); err != nil {
		_ = p.proc.stop(syscall.SIGINT, postgresStopWithin)
		return err
	}
	return nil
}

// prepareDir settles which folder and which user the server gets, and takes the folder for this process.
func (p *Postgres) prepareDir() error {
	if p.opts.Dir == "" {
		return errors.New("no directory")
	}
	dir, err := filepath.Abs(p.opts.Dir)
	if err != nil {
		return err
	}
	if p.cred, err = serverUser(os.Getuid()); err != nil {
		return err
	}
	if p.cred != nil {
		if dir, err = p.reachableDir(dir); err != nil {
			return err
		}
	}
	p.dir = dir
	if p.lock, err = lockDir(dir); err != nil {
		return err
	}
	return ownedDir(dir, p.cred)
}

func (p *Postgres) dataDir() string { return filepath.Join(p.dir, "data") }

// initData makes the data directory under another name first, so that one whose making was cut short is never used.
func (p *Postgres) initData(ctx context.Context) error {
	if dataVersion(p.dataDir()) != "" {
		return nil
	}
	fresh := filepath.Join(p.dir, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear %s: %w", fresh, err)
	}
	args := []string{
		"-D", fresh, "-U", postgresUser, "-A", "trust", "-E", "UTF8", "--locale=C",
	}
	if !p.opts.Fsync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), args...)
	cmd.Dir, cmd.Env = p.dir, bareEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(fresh, p.dataDir()); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return nil
}

// run starts the server; while one that a killed process left behind is still ending, it waits for it.
func (p *Postgres) run(ctx context.Context) error {
	deadline := time.Now().Add(postgresHandover)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := p.clearStale(); err != nil {
			return err
		}
		err := p.runOnce(ctx)
		if err == nil || !stillInUse(err) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %w", ErrInUse, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Postgres) runOnce(ctx context.Context) error {
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), p.settings()...) //nolint:noctx // it outlives ctx; Stop ends it
	cmd.Dir, cmd.Env = p.dataDir(), bareEnv()
	var err error
	// SIGINT is PostgreSQL's fast shutdown: sessions end, everything is written, the files are clean.
	if p.proc, err = startProc(cmd, p.cred, syscall.SIGINT, p.log); err != nil {
		return err
	}
	err = waitReady(ctx, p.proc, postgresReadyWithin, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.urlFor("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		_ = p.proc.stop(syscall.SIGINT, postgresStopWithin)
	}
	return err
}

func (p *Postgres) settings() []string {
	onOff := map[bool]string{true: "on", false: "off"}[p.opts.Fsync]
	args := []string{"-D", p.dataDir()}
	for _, s := range []string{
		"listen_addresses=", "unix_socket_directories=" + p.socket.path, "unix_socket_permissions=0700", "port=5432",
		"max_connections=300", "shared_buffers=64MB", "jit=off", "timezone=UTC", "log_timezone=UTC",
		"logging_collector=off", "log_destination=stderr", "log_min_messages=warning",
		"log_min_error_statement=panic", // statements hold content that is not for the log
		"fsync=" + onOff, "synchronous_commit=on", "full_page_writes=" + onOff,
	} {
		args = append(args, "-c", s)
	}
	if p.opts.Statements {
		args = append(args, "-c", "shared_preload_libraries=pg_stat_statements")
	}
	return args
}

func (p *Postgres) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.urlFor("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var have bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", postgresDatabase).Scan(&have)
	if err != nil || have {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{postgresDatabase}.Sanitize())
	return err
}

func (p *Postgres) urlFor(database string) string {
	query := url.Values{"host": {p.socket.path}, "user": {postgresUser}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + query.Encode()
}

// URL is where clients connect, such as postgres:///sre_agent?host=/dir/run&user=sre_agent.
func (p *Postgres) URL() string { return p.urlFor(postgresDatabase) }

// Dir is where the data is; it differs from the one asked for when the server's user could not have reached that.
func (p *Postgres) Dir() string { return p.dir }

// PID is the server's process id.
func (p *Postgres) PID() int { return p.proc.cmd.Process.Pid }

// Stop ends the server by a fast shutdown: open sessions are cut, everything committed is on disk.
func (p *Postgres) Stop() error {
	defer p.release()
	return p.proc.stop(syscall.SIGINT, postgresStopWithin)
}

func (p *Postgres) release() {
	p.socket.remove()
	if p.lock != nil {
		_ = p.lock.Close()
	}
}
