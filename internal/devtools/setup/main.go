// Command setup sees to it that the machine has what the README's two commands need, and that its sandbox works.
//
// It installs what is missing with apt-get when it may (as root, or with a sudo that asks for no password);
// otherwise it exits 1 and prints the lines to run. It changes nothing when nothing is missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// probeWithin bounds each look at the machine; installing has no bound but Ctrl-C.
const probeWithin = 30 * time.Second

func main() {
	goal := flag.String("for", string(forTest), "what to set up for: demo or test")
	flag.Parse()
	if p := purpose(*goal); p != forDemo && p != forTest || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), purpose(*goal)); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, goal purpose) error {
	m := machine{os: runtime.GOOS, uid: os.Getuid(), missing: missingFor(goal, have)}
	if len(m.missing) > 0 {
		m.apt = onPath("apt-get")
		m.sudo = m.uid != 0 && onPath("sudo") && probe(ctx, "sudo", "-n", "true") == nil
	}
	p := makePlan(m)
	if p.message != "" {
		return errors.New(p.message)
	}
	if p.install {
		fmt.Fprintln(os.Stderr, "setup: missing:", strings.Join(m.missing, ", "))
		if err := install(ctx, p); err != nil {
			return err
		}
		if still := missingFor(goal, have); len(still) > 0 {
			return fmt.Errorf("still missing after the installation: %s", strings.Join(still, ", "))
		}
	}
	return checkSandbox(ctx)
}

// have says whether the named tool is on the machine.
func have(name string) bool {
	switch name {
	case "CA certificates":
		return runtime.GOOS != "linux" || anyFile("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
	case "bubblewrap":
		return onPath("bwrap")
	case "PostgreSQL server":
		return onPath("postgres") && onPath("initdb") || anyFile("/usr/lib/postgresql/*/bin/initdb",
			"/opt/homebrew/opt/postgresql*/bin/initdb", "/usr/local/opt/postgresql*/bin/initdb")
	case "C compiler":
		return onPath("gcc") && (runtime.GOOS != "linux" || anyFile("/usr/include/stdlib.h")) || onPath("clang")
	}
	return onPath(name)
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func anyFile(patterns ...string) bool {
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 { // only a bad pattern is an error
			return true
		}
	}
	return false
}

func probe(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// checkSandbox makes a sandbox like the runner's: finding the program says nothing about whether it may.
func checkSandbox(ctx context.Context) error {
	err := probe(ctx, "bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
		"--unshare-all", "--die-with-parent", "--new-session", "true")
	if err == nil {
		return nil
	}
	read := func(path string) string {
		b, _ := os.ReadFile(path) // "" where the kernel has no such setting
		return strings.TrimSpace(string(b))
	}
	return fmt.Errorf("%w\n%s", err, sandboxAdvice(read, anyFile("/.dockerenv", "/run/.containerenv")))
}
