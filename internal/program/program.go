// Package program is how every program of sre-agent starts and stops: configuration, telemetry, signals, and one
// HTTP server with /healthz, /readyz and /metrics.
//
// It promises that a program with a bad configuration says everything that is wrong and exits 2; that the first
// signal stops taking work and a second one ends at once; and that the log never holds a configured secret.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// Env is what a service is given to build its parts from.
type Env struct {
	Config    *config.Config
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
	// Redact removes secrets from a text that is stored or shown.
	Redact *redact.Redactor
	HTTP   *Server
	// Holder names this process in leases.
	Holder string
}

// Exit codes.
const (
	exitFailed    = 1
	exitBadConfig = 2
)

// Main runs one service's program and returns its exit code.
func Main(p config.Program, serve func(context.Context, *Env) error) int {
	cfg, err := config.Load(p, config.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitBadConfig
	}
	ctx, stop := Signals(context.Background())
	defer stop()
	if err := Run(ctx, cfg, os.Stderr, serve); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p, err)
		return exitFailed
	}
	return 0
}

// Signals returns a context that ends at the first SIGINT or SIGTERM. A second one ends the process at once.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // the next signal has its default effect
	}()
	return ctx, stop
}

// Run builds the environment, serves until ctx ends or a service fails, and flushes telemetry.
func Run(ctx context.Context, cfg *config.Config, logs io.Writer, serve func(context.Context, *Env) error) error {
	env, err := NewEnv(ctx, cfg, logs)
	if err != nil {
		return err
	}
	defer env.Close()
	for _, w := range cfg.Warnings() {
		env.Log.WarnContext(ctx, w)
	}
	return env.Serve(ctx, serve)
}

// NewEnv starts telemetry and prepares the HTTP server.
func NewEnv(ctx context.Context, cfg *config.Config, logs io.Writer) (*Env, error) {
	r := redact.New(cfg.KnownSecrets())
	tel, err := telemetry.Start(ctx, telemetry.Options{
		Service: "sre-agent-" + string(cfg.Program()), Version: Version(), LogFormat: cfg.LogFormat, LogLevel: cfg.LogLevel,
		Writer: logs, Redact: r.Handler, Repositories: cfg.MetricsRepositories,
	})
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	host, _ := os.Hostname()
	env := &Env{
		Config: cfg, Telemetry: tel, Log: tel.Log, Redact: r,
		Holder: fmt.Sprintf("%s/%d/%.8s", host, os.Getpid(), uuid.NewString()),
	}
	env.HTTP = newServer(cfg, tel)
	return env, nil
}

// Serve runs the HTTP server and the services until ctx ends.
func (e *Env) Serve(ctx context.Context, serve func(context.Context, *Env) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := e.HTTP.start(cancel); err != nil {
		return err
	}
	e.Log.InfoContext(ctx, "started", "program", e.Config.Program(), "version", Version(), "address", e.HTTP.Addr(), "holder", e.Holder)
	err := serve(ctx, e)
	e.HTTP.stop(e.Config.ShutdownGrace())
	if err == nil || errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	e.Log.InfoContext(ctx, "stopped", "error", err)
	return err
}

// Close flushes telemetry.
func (e *Env) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.Telemetry.Shutdown(ctx); err != nil {
		e.Log.Warn("telemetry not flushed", "error", err)
	}
}

// Version is the module's version and commit as the build recorded them.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && v == "(devel)" {
			return "devel-" + s.Value[:12]
		}
	}
	return v
}
