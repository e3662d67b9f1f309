package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// benchPartCommand runs one server of a bench. It prints where it listens, and ends with its standard input, and so
// with whoever started it.
func (a *app) benchPartCommand() *cobra.Command {
	var dir, profile string
	var syncAlways bool
	cmd := &cobra.Command{
		Use: "part NAME", Short: "Run one server of a bench", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := bench.EndWithInput(cmd.Context())
			defer cancel()
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			defer stop()
			switch args[0] {
			case "nats":
				return a.natsPart(ctx, dir, syncAlways)
			case "ingest":
				return a.servicePart(ctx, config.Ingest, a.environ, ingest.Serve)
			case "throttle":
				return a.throttlePart(ctx)
			case "bare":
				return a.barePart(ctx)
			default:
				return &usageError{"no such part"}
			}
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "")
	cmd.Flags().StringVar(&profile, "cpuprofile", "", "")
	cmd.Flags().BoolVar(&syncAlways, "sync-always", false, "")
	return cmd
}

func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return pprof.StopCPUProfile, pprof.StartCPUProfile(out)
}

func (a *app) natsPart(ctx context.Context, dir string, syncAlways bool) error {
	srv, err := embedded.StartNATS(embedded.NATSOptions{Dir: dir, SyncAlways: syncAlways})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, srv.URL())
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

// servicePart runs a service as its own program does.
func (a *app) servicePart(ctx context.Context, p config.Program, environ map[string]string, serve func(context.Context, *program.Env) error) error {
	cfg, err := config.Load(p, environ)
	if err != nil {
		return err
	}
	return program.Run(ctx, cfg, a.stderr, func(ctx context.Context, env *program.Env) error {
		fmt.Fprintln(a.stdout, env.HTTP.Addr())
		return serve(ctx, env)
	})
}

func (a *app) throttlePart(ctx context.Context) error {
	rdb, err := embedded.StartRedis()
	if err != nil {
		return err
	}
	defer rdb.Close()
	a.environ["REDIS_URL"] = rdb.URL()
	return a.servicePart(ctx, config.Throttle, a.environ, throttle.Serve)
}

// barePart serves the control: an HTTP server that verifies each request and publishes it, and does nothing else.
func (a *app) barePart(ctx context.Context) error {
	cfg, err := config.Load(config.Ingest, a.environ)
	if err != nil {
		return err
	}
	bus, err := streams.ConnectWith(cfg, "bare", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	defer bus.Close()
	if err := bus.AwaitConnected(ctx); err != nil {
		return err
	}
	h := &bareHandler{js: bus.JetStream(), providers: map[string]webhook.Provider{}, keys: map[string]webhook.Keys{}}
	for _, p := range providers.Table() {
		h.providers["/webhooks/"+p.Name] = p
	}
	for _, k := range cfg.WebhookKeys() {
		h.keys[k.Provider] = webhook.Keys{Signing: k.Secrets.Bytes(), Tokens: k.Tokens.Bytes()}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.HTTPAddr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	fmt.Fprintln(a.stdout, ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type bareHandler struct {
	js        jetstream.JetStream
	providers map[string]webhook.Provider // by path
	keys      map[string]webhook.Keys
}

func (h *bareHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := h.providers[r.URL.Path]
	if !ok || r.ContentLength < 0 || r.ContentLength > 1<<25 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	req := &webhook.Request{Header: r.Header, Body: body, Received: time.Now()}
	if strings.Contains(r.RequestURI, "?") {
		req.Query = r.URL.Query()
	}
	if p.Verify(req, h.keys[p.Name]) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m := &nats.Msg{Subject: "deliveries.bare", Header: nats.Header{nats.MsgIdHdr: {bareID(p, req)}}, Data: body}
	switch ack, err := h.js.PublishMsg(r.Context(), m); {
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
	case ack.Duplicate:
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func bareID(p webhook.Provider, r *webhook.Request) string {
	id := r.Header.Get("X-GitHub-Delivery")
	if id == "" {
		id, _, _ = p.Identify(r)
	}
	if id == "" {
		id = bench.BodyID(r.Body)
	}
	return p.Name + "-" + id
}
