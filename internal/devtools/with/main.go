// Command with runs a command beside private test servers: PostgreSQL (without fsync) and redis-server on unix
// sockets, named to it as SRE_TEST_DATABASE_URL and SRE_TEST_REDIS_URL. A server whose variable is set already is
// not started. It ends with the command's own exit code, and the servers end with it.
//
//	go run ./internal/devtools/with go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: with command [argument ...]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with:", err)
	}
	os.Exit(code)
}

// run returns the command's exit code, or 1 and an error when something else went wrong.
func run(args []string) (code int, err error) {
	// From here on signals go to the command; the servers have to outlive it.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	dir, err := os.MkdirTemp("", "sre-with-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil {
		return 1, err
	}
	env, stop, err := servers(dir)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return 1, err
	}
	return command(args, env, signals)
}

// servers starts what is not named yet. stop is never nil.
func servers(dir string) (env []string, stop func() error, err error) {
	var stops []func() error
	stop = func() error {
		var errs []error
		for _, s := range stops {
			errs = append(errs, s())
		}
		return errors.Join(errs...)
	}
	ctx := context.Background()
	if os.Getenv(testenv.DatabaseURLVar) == "" {
		p, err := embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: filepath.Join(dir, "postgres")})
		if err != nil {
			return nil, stop, err
		}
		stops = append(stops, p.Stop)
		env = append(env, testenv.DatabaseURLVar+"="+p.URL())
	}
	if os.Getenv(testenv.RedisURLVar) == "" {
		r, err := embedded.StartRedisServer(ctx, filepath.Join(dir, "redis"), nil)
		if err != nil {
			return nil, stop, err
		}
		stops = append(stops, r.Stop)
		env = append(env, testenv.RedisURLVar+"="+r.URL())
	}
	return env, stop, nil
}

// command runs args to its end and hands it the signals that come in meanwhile.
func command(args, env []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // running what it is told is its purpose
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A group of its own: a Ctrl-C reaches it once, through us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = syscall.Kill(-cmd.Process.Pid, sig.(syscall.Signal)) // it may have ended already
		case err := <-done:
			return exitCode(err)
		}
	}
}

// exitCode follows the shell: 128 + n for a command that signal n ended.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return 1, err
		}
		return 0, nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
