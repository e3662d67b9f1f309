// Package cluster runs the four programs and their servers as processes of their own, for the end-to-end tests and
// the chaos runs.
//
// It promises that each program is given the addresses and secrets that it needs and no others, and that every
// process ends with the one that started it, however that one ends.
package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Programs are the four programs.
var Programs = []string{"ingest", "throttle", "runner", "publisher"}

const module = "github.com/sre-agent/sre-agent"

// Build builds the four programs and a NATS server into dir.
func Build(ctx context.Context, dir string) error {
	args := []string{"build", "-o", dir + "/"}
	for _, p := range Programs {
		args = append(args, module+"/cmd/"+p)
	}
	args = append(args, "github.com/nats-io/nats-server/v2")
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// needs says which addresses and secrets each program is given, and no more.
var needs = map[string][]string{
	"ingest":    {"NATS_URL", "GITHUB_WEBHOOK_SECRETS"},
	"throttle":  {"NATS_URL", "DATABASE_URL", "REDIS_URL"},
	"runner":    {"NATS_URL", "DATABASE_URL", "REDIS_URL", "GITHUB_API_URL", "GITHUB_GIT_URL", "GITHUB_READ_TOKEN"},
	"publisher": {"NATS_URL", "DATABASE_URL", "GITHUB_API_URL", "GITHUB_GIT_URL", "GITHUB_WRITE_TOKEN"},
}

// Program is one process of one of the four programs. It keeps its log and its data in dir under its name, which
// may be another than the program's: there may be two runners.
func Program(bin, dir, program, name, addr string, settings map[string]string) *Process {
	p := &Process{
		Name: name, Path: filepath.Join(bin, program), Log: filepath.Join(dir, name+".log"),
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HTTP_ADDR=" + addr, "DATA_DIR=" + filepath.Join(dir, name),
			"LOG_LEVEL=debug",
		},
	}
	for k, v := range settings {
		if !isPart(k) || slices.Contains(needs[program], k) {
			p.Env = append(p.Env, k+"="+v)
		}
	}
	return p
}

func isPart(name string) bool {
	for _, list := range needs {
		if slices.Contains(list, name) {
			return true
		}
	}
	return false
}

// NATS is a NATS server on the configuration file conf, which may name the variables of env.
func NATS(bin, dir, conf, addr string, env ...string) (*Process, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("NATS server: %w", err)
	}
	return &Process{
		Name: "nats", Path: filepath.Join(bin, "nats-server"), Log: filepath.Join(dir, "nats.log"), Env: append(os.Environ(), env...),
		Args: []string{"-c", conf, "-a", "127.0.0.1", "-p", port, "-m", "0", "-sd", filepath.Join(dir, "nats")},
	}, nil
}

// FreeAddr is a loopback address that nobody listens on now.
func FreeAddr(ctx context.Context) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}
