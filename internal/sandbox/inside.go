package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How a sandbox with a network calls this program again, inside, and what it finds there.
const (
	insideCommand = "sandbox-inside"
	insideDir     = "/run/sre-agent"
	insideHelper  = insideDir + "/helper"
	insideDoor    = insideDir + "/door"
	// proxyAddress is where the script finds its proxy; no other network namespace has it.
	proxyAddress = "127.0.0.1:3128"
)

// Inside must be the first thing that main does in a program that runs sandboxes with a network. Called by a
// sandbox, the program is not itself: it opens the proxy's port in the sandbox's own network, hands it to the runner
// outside, becomes the script, and never returns. Called by anybody else it does nothing.
func Inside() {
	if len(os.Args) < 3 || os.Args[1] != insideCommand {
		return
	}
	err := handOver()
	if err == nil {
		err = syscall.Exec(os.Args[2], os.Args[2:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(125)
}

func handOver() error {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", proxyAddress)
	if err != nil {
		return fmt.Errorf("open the proxy's port: %w", err)
	}
	defer func() { _ = ln.Close() }()
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return errors.New("open the proxy's port: not TCP")
	}
	f, err := tcp.File()
	if err != nil {
		return fmt.Errorf("open the proxy's port: %w", err)
	}
	defer func() { _ = f.Close() }()
	door, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: insideDoor})
	if err != nil {
		return fmt.Errorf("find the runner: %w", err)
	}
	defer func() { _ = door.Close() }()
	if _, _, err := door.WriteMsgUnix([]byte{1}, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return fmt.Errorf("hand over the proxy's port: %w", err)
	}
	// The runner's word, so that the script finds a proxy that answers.
	_ = door.SetDeadline(time.Now().Add(startTime))
	if _, err := door.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the runner: %w", err)
	}
	return nil
}
