package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// incident is a real system on this machine that a scenario brings into a state: NATS, PostgreSQL and redis-server of its
// own, the four services, and the demo's forge. Nothing of a real installation is read or touched.
type incident struct {
	dir   string
	logs  *os.File
	scene *demo.Scene
	// environ is what the services and the operator's commands are given.
	environ map[string]string
	// mend does what a person does outside of the operator's commands.
	mend func(context.Context) error
	// work is where the tests' shells are.
	work string

	natsPort int
	nats     *embedded.NATS
	pg       *embedded.Postgres
	redis    *embedded.RedisServer
	services *allInOne
	end      context.CancelFunc
	served   chan error
	base     string
	st       *store.Store
	sent     int
}

// incidentKnobs are short: nobody wants to wait for an incident.
var incidentKnobs = map[string]string{
	"LEASE_TTL_SECONDS": "5", "SWEEP_INTERVAL_SECONDS": "1", "COOLDOWN_SECONDS": "1", "BASE_BACKOFF_SECONDS": "1", "MAX_BACKOFF_SECONDS": "1",
	"REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "10", "DELIVERIES_MAX_BYTES": "268435456", "SHUTDOWN_GRACE_SECONDS": "5", "LOG_FORMAT": "text",
}

// newIncident starts everything below dir.
func newIncident(ctx context.Context, dir string, extra map[string]string) (*incident, error) {
	n := &incident{dir: dir, environ: maps.Clone(incidentKnobs), mend: func(context.Context) error { return nil }}
	if err := n.start(ctx, extra); err != nil {
		return nil, errors.Join(fmt.Errorf("start the system: %w", err), n.close())
	}
	return n, nil
}

func (n *incident) start(ctx context.Context, extra map[string]string) (err error) {
	// PostgreSQL and the sandbox run as other users when we are root; each folder below has its own mode.
	if err := os.Chmod(n.dir, 0o711); err != nil {
		return err
	}
	if n.logs, err = os.OpenFile(filepath.Join(n.dir, "services.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	if n.scene, err = demo.NewScene(ctx, filepath.Join(n.dir, "scene")); err != nil {
		return err
	}
	maps.Copy(n.environ, n.scene.Environ())
	maps.Copy(n.environ, extra)
	n.environ["DATA_DIR"] = filepath.Join(n.dir, "data")
	if err := os.Mkdir(n.environ["DATA_DIR"], 0o711); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{n.startNATS, n.startPostgres, n.startRedis, n.startServices} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	n.st, err = store.Open(ctx, n.environ["DATABASE_URL"], store.Options{MaxConns: 2})
	return err
}

func (n *incident) natsDir() string { return filepath.Join(n.dir, "nats") }

func (n *incident) startNATS(context.Context) (err error) {
	if n.nats, err = embedded.StartNATS(embedded.NATSOptions{Dir: n.natsDir(), SyncAlways: true, Port: n.natsPort}); err != nil {
		return err
	}
	n.environ["NATS_URL"] = n.nats.URL()
	u, err := url.Parse(n.nats.URL())
	if err != nil {
		return err
	}
	_, err = fmt.Sscan(u.Port(), &n.natsPort) // the same again after an outage
	return err
}

func (n *incident) startPostgres(ctx context.Context) (err error) {
	if n.pg, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: filepath.Join(n.dir, "postgres"), Fsync: true}); err == nil {
		n.environ["DATABASE_URL"] = n.pg.URL()
	}
	return err
}

func (n *incident) startRedis(ctx context.Context) (err error) {
	if n.redis, err = embedded.StartRedisServer(ctx, filepath.Join(n.dir, "redis"), nil); err == nil {
		n.environ["REDIS_URL"] = n.redis.URL()
	}
	return err
}

// startServices runs the four services until stopServices.
func (n *incident) startServices(ctx context.Context) error {
	environ := maps.Clone(n.environ)
	environ["HTTP_ADDR"] = "127.0.0.1:0"
	cfg, err := config.Load(config.All, environ)
	if err != nil {
		return err
	}
	all, err := startAllInOne(ctx, cfg, n.logs)
	if err != nil {
		return err
	}
	var running context.Context
	running, n.end = context.WithCancel(context.Background())
	n.services, n.served = all, make(chan error, 1)
	go func() {
		err := all.serve(running)
		close(all.listening)
		n.served <- err
	}()
	addr, ok := <-all.listening
	if !ok {
		return errors.New("the services ended by themselves")
	}
	n.base = "http://" + addr
	// /readyz says too early that all is well: it asks the parts that have been opened so far.
	return n.await(ctx, time.Minute, "the services are not ready", n.atWork)
}

// atWork says whether every stage asks for work.
func (n *incident) atWork(ctx context.Context) bool {
	idle := false
	err := n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		lags, err := bus.Lags(ctx)
		idle = slices.ContainsFunc(lags, func(l streams.Lag) bool { return l.Consumer != "" && l.Workers == 0 })
		return err
	})
	return err == nil && !idle
}

func (n *incident) stopServices() error {
	if n.services == nil {
		return nil
	}
	n.end()
	err := errors.Join(<-n.served, n.services.close())
	n.services = nil
	return err
}

// close ends everything, the last thing started first.
func (n *incident) close() error {
	errs := []error{n.stopServices()}
	if n.st != nil {
		n.st.Close()
	}
	if n.redis != nil {
		errs = append(errs, n.redis.Stop())
	}
	if n.pg != nil {
		errs = append(errs, n.pg.Stop())
	}
	if n.nats != nil {
		n.nats.Shutdown()
	}
	if n.scene != nil {
		errs = append(errs, n.scene.Close())
	}
	if n.logs != nil {
		errs = append(errs, n.logs.Close())
	}
	return errors.Join(errs...)
}

// await asks until it is so.
func (n *incident) await(ctx context.Context, within time.Duration, complaint string, so func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !so(ctx) {
		if !rest(ctx, 100*time.Millisecond) {
			return errors.New(complaint)
		}
	}
	return nil
}

// fail makes another workflow of the scene's repository red and returns its webhook's facts.
func (n *incident) fail() (githubtest.Params, error) {
	n.sent++
	id := int64(demo.RunID + 1000 + n.sent)
	if _, err := n.scene.Forge.AddJob(demo.Owner, demo.Name, id, 1, forgetest.Job{Name: demo.JobName, Conclusion: "failure"}, n.scene.Log); err != nil {
		return githubtest.Params{}, err
	}
	return githubtest.Params{
		RepositoryID: n.scene.Repo.ID, Owner: demo.Owner, Name: demo.Name, CloneURL: n.scene.Repo.CloneURL, WebURL: n.scene.Repo.WebURL,
		DefaultBranch: demo.Branch, Branch: demo.Branch, SHA: n.scene.Commit, WorkflowName: fmt.Sprintf("Check %d", n.sent), RunID: id, SuiteID: id, Attempt: 1,
		Actor: "dev", Workflow: fmt.Sprintf(".github/workflows/check-%d.yml", n.sent),
	}, nil
}

// failAndSend is fail, and its webhook.
func (n *incident) failAndSend(ctx context.Context) error {
	p, err := n.fail()
	if err != nil {
		return err
	}
	return n.send(ctx, "workflow_run", fmt.Sprint("failure-", n.sent), githubtest.FailedRun(p))
}

// send sends one signed webhook.
func (n *incident) send(ctx context.Context, event, delivery string, body []byte) error {
	req := githubtest.Request(n.base+"/webhooks/github", n.environ["GITHUB_WEBHOOK_SECRETS"], event, delivery, body)
	res, err := (&http.Client{Timeout: 20 * time.Second}).Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s is answered %d", delivery, res.StatusCode)
	}
	return nil
}

// published says whether this many pull requests are open, and every run of the scene's repository has ended.
func (n *incident) published(ctx context.Context, pulls int) bool {
	if len(n.scene.PullRequests()) != pulls {
		return false
	}
	runs, err := n.st.Runs(ctx, "", 200)
	return err == nil && !slices.ContainsFunc(runs, func(r store.Run) bool { return r.Failure.Repository.Name == demo.Name && r.EndedAt == nil })
}

// withBus looks at the streams as an operator does.
func (n *incident) withBus(ctx context.Context, do func(context.Context, *streams.Bus) error) error {
	cfg, err := config.Load(config.Operator, n.environ)
	if err != nil {
		return err
	}
	bus, err := streams.ConnectWith(cfg, "scenario", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	defer bus.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := bus.AwaitConnected(ctx); err != nil {
		return err
	}
	return do(ctx, bus)
}
