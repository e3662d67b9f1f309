package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// quick are knobs for tests that wait for leases to run out.
var quick = map[string]string{
	"LEASE_TTL_SECONDS": "3", "SWEEP_INTERVAL_SECONDS": "1", "COOLDOWN_SECONDS": "1", "BASE_BACKOFF_SECONDS": "1", "MAX_BACKOFF_SECONDS": "1",
}

// servers are a PostgreSQL and a Redis that the test can take away and bring back.
type servers struct {
	t          *testing.T
	pgDir, dir string
	pg         *embedded.Postgres
	redis      *embedded.RedisServer
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{t: t, pgDir: shortDir(t), dir: shortDir(t)}
	s.startPostgres()
	s.startRedis()
	t.Cleanup(func() { _, _ = s.pg.Stop(), s.redis.Stop() })
	return s
}

// shortDir is a folder whose path leaves room for a socket, and that the database's user can pass through.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *servers) startPostgres() {
	s.t.Helper()
	var err error
	if s.pg, err = embedded.StartPostgres(context.Background(), embedded.PostgresOptions{Dir: s.pgDir, Fsync: true}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *servers) startRedis() {
	s.t.Helper()
	var err error
	if s.redis, err = embedded.StartRedisServer(context.Background(), s.dir, nil); err != nil {
		s.t.Fatal(err)
	}
}

// setting is what a program was given for a variable.
func (c *system) setting(program, variable string) string {
	c.t.Helper()
	for _, e := range c.procs[program].Env {
		if value, ok := strings.CutPrefix(e, variable+"="); ok {
			return value
		}
	}
	c.t.Fatalf("%s has no %s", program, variable)
	return ""
}

// ready asks a program's /readyz.
func (c *system) ready(name string) (code int, says string) {
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.setting(name, "HTTP_ADDR")+"/readyz", http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// expectReady waits until exactly the named programs are ready.
func (c *system) expectReady(names ...string) {
	c.t.Helper()
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	for _, name := range []string{"ingest", "throttle", "runner", "publisher"} {
		testenv.Eventually(c.t, 20*time.Second, func() bool {
			code, _ := c.ready(name)
			return (code == http.StatusOK) == want[name]
		})
	}
}

// post sends one delivery once and returns the answer.
func (c *system) post(delivery string, body []byte) (code int, retryAfter string) {
	c.t.Helper()
	secret := c.scene.Environ()["GITHUB_WEBHOOK_SECRETS"]
	res, err := (&http.Client{Timeout: 15 * time.Second}).Do(githubtest.Request(c.url+"/webhooks/github", secret, "workflow_run", delivery, body))
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Retry-After")
}

// published checks that a run ended with its one pull request, and that what was down cost it no attempt.
func (c *system) published(f failed) {
	c.t.Helper()
	r := c.ended(f, 90*time.Second)
	if r.State != "published" || c.prs(r) != 1 || r.AttemptCount != 1 {
		c.t.Errorf("%s(%s) %s, %d pull requests, %d attempts", r.State, r.Reason, r.Explanation, c.prs(r), r.AttemptCount)
	}
}

var everybody = []string{"ingest", "throttle", "runner", "publisher"}

func TestNATSDown(t *testing.T) {
	c := startCluster(t, quick)
	c.expectReady(everybody...)
	c.procs["nats"].Kill()
	c.expectReady()
	f := c.fail(1)
	body := githubtest.FailedRun(f.params)
	if code, retry := c.post("nats-down", body); code != http.StatusServiceUnavailable || retry == "" {
		t.Errorf("a delivery during the outage: %d, Retry-After %q", code, retry)
	}
	c.procs["nats"].start()
	c.expectReady(everybody...)
	c.send("workflow_run", "nats-down", body) // the sender tries again
	c.published(f)
}

func TestPostgreSQLDown(t *testing.T) {
	s := startServers(t)
	c := startClusterOn(t, s.pg.URL(), s.redis.URL(), quick)
	c.expectReady(everybody...)
	if err := s.pg.Stop(); err != nil {
		t.Fatal(err)
	}
	c.expectReady("ingest")
	f := c.fail(1)
	if code, _ := c.post("pg-down", githubtest.FailedRun(f.params)); code != http.StatusAccepted {
		t.Errorf("ingest needs no database, and answers %d", code)
	}
	if n := len(c.scene.PullRequests()); n != 0 {
		t.Errorf("%d pull requests were opened without the judge", n)
	}
	s.startPostgres()
	c.expectReady(everybody...)
	c.published(f)
}

func TestRedisDown(t *testing.T) {
	s := startServers(t)
	c := startClusterOn(t, s.pg.URL(), s.redis.URL(), quick)
	c.expectReady(everybody...)
	if err := s.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	c.expectReady("ingest", "publisher")
	f := c.fail(1)
	if code, _ := c.post("redis-down", githubtest.FailedRun(f.params)); code != http.StatusAccepted {
		t.Errorf("answered %d", code)
	}
	s.startRedis() // empty: nothing of the locks is left
	c.expectReady(everybody...)
	c.published(f)
}

func TestForgeDown(t *testing.T) {
	c := startCluster(t, quick)
	f := c.fail(1)
	c.scene.Forge.SetFault(func(*http.Request) *forgetest.Fault {
		return &forgetest.Fault{Status: http.StatusBadGateway, Body: "down"}
	})
	c.send("workflow_run", "forge-down", githubtest.FailedRun(f.params))
	var waiting store.Run
	testenv.Eventually(t, 30*time.Second, func() bool {
		runs, err := c.st.Runs(t.Context(), string(run.Waiting), 10)
		if err != nil || len(runs) != 1 || runs[0].Reason != run.WaitDependency {
			return false
		}
		waiting = runs[0]
		return true
	})
	if waiting.AttemptCount != 0 || waiting.Explanation == "" {
		t.Errorf("%d attempts, %q", waiting.AttemptCount, waiting.Explanation)
	}
	c.expectReady(everybody...) // none of them can do without a forge, and none of them is ill
	c.scene.Forge.SetFault(nil)
	c.published(f)
}

// number is a test's size: from the environment, or the default.
func number(t *testing.T, name string, normal int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return normal
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number above 0", name, text)
	}
	return n
}

// TestRollingRestartBurnsNoAttempt: SIGTERM in the middle of the work hands it back, or finishes it. E2E_RESTARTS says
// how many restarts there are.
func TestRollingRestartBurnsNoAttempt(t *testing.T) {
	c := startCluster(t, quick)
	warm := c.fail(0)
	c.send("workflow_run", "warm", githubtest.FailedRun(warm.params))
	c.ended(warm, time.Minute)
	for n := 1; n <= number(t, "E2E_RESTARTS", 8); n++ {
		f := c.fail(n)
		p := c.procs[everybody[n%len(everybody)]]
		moment := time.Duration(1+(n-1)%8) * 50 * time.Millisecond
		restarted := make(chan struct{})
		time.AfterFunc(moment, func() {
			began := time.Now()
			p.stop()
			t.Logf("%s stopped within %v", p.Name, time.Since(began).Round(time.Millisecond))
			p.start()
			close(restarted)
		})
		c.send("workflow_run", fmt.Sprint("rolling-", n), githubtest.FailedRun(f.params))
		<-restarted
		r := c.ended(f, time.Minute)
		if r.State != "published" || c.prs(r) != 1 || r.AttemptCount != 1 || r.TransientCount != 0 {
			t.Errorf("%s restarted after %v: %s(%s), %d pull requests, %d attempts", p.Name, moment, r.State, r.Reason, c.prs(r), r.AttemptCount)
		}
	}
}
