package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const natsReadyWithin = 15 * time.Second

// NATSOptions says how the in-process NATS server runs.
type NATSOptions struct {
	// Dir keeps the JetStream files.
	Dir string
	// SyncAlways syncs each write to disk before it is acknowledged.
	SyncAlways bool
	// MaxPayload is the largest message in bytes; 0 is the server's default of 1 MiB.
	MaxPayload int
	// Port on loopback; 0 picks a free one.
	Port int
	Log  *slog.Logger
}

// NATS is an in-process NATS server with JetStream on files, listening on loopback.
type NATS struct {
	srv  *server.Server
	lock *os.File
}

// StartNATS starts the server and waits until it takes connections.
func StartNATS(opts NATSOptions) (*NATS, error) {
	if opts.Dir == "" {
		return nil, errors.New("start NATS: no directory")
	}
	if opts.MaxPayload < 0 || opts.MaxPayload > math.MaxInt32 {
		return nil, fmt.Errorf("start NATS: max payload %d out of range", opts.MaxPayload)
	}
	lock, err := lockDir(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	srv, err := runNATS(opts)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	return &NATS{srv: srv, lock: lock}, nil
}

func runNATS(opts NATSOptions) (*server.Server, error) {
	port := opts.Port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(&server.Options{
		ServerName:             "sre-agent",
		Host:                   "127.0.0.1",
		Port:                   port,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               opts.Dir,
		SyncAlways:             opts.SyncAlways,
		MaxPayload:             int32(opts.MaxPayload),
		DisableJetStreamBanner: true,
		// By default the server reserves at most three quarters of the disk that is free now, and refuses streams
		// whose caps add up to more. The caps are bounds, not sizes: a small disk must not stop a first start.
		JetStreamMaxStore: 1 << 50,
	})
	if err != nil {
		return nil, err
	}
	log := &natsLog{log: orDiscard(opts.Log).With("part", "nats")}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(natsReadyWithin) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("not ready within %s: %w", natsReadyWithin, log.lastError())
	}
	return srv, nil
}

// MessagesIn is how many messages clients have sent so far, requests and acknowledgements among them.
func (n *NATS) MessagesIn() int64 {
	v, err := n.srv.Varz(nil)
	if err != nil {
		return 0
	}
	return v.InMsgs
}

// URL is where clients connect, such as nats://127.0.0.1:41234.
func (n *NATS) URL() string { return n.srv.ClientURL() }

// Shutdown stops the server and waits until its files are closed. It may be called more than once.
func (n *NATS) Shutdown() {
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
	_ = n.lock.Close()
}
