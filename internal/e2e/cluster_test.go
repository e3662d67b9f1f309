package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// binaries builds the four programs and a NATS server once for all tests.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sre-agent-e2e-")
	if err != nil {
		return "", err
	}
	return dir, cluster.Build(context.Background(), dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaries(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// process is a program that can be killed and started again, and fails its test when it can't.
type process struct {
	t *testing.T
	*cluster.Process
}

func (p *process) start() {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) stop() {
	if err := p.Stop(30 * time.Second); err != nil {
		p.t.Error(err)
	}
}

// system is the whole system as processes.
type system struct {
	t     *testing.T
	scene *demo.Scene
	st    *store.Store
	// bin and dir are where the programs are, and where each keeps its log and data.
	bin, dir string
	// url is ingest's, nats the NATS server's address.
	url, nats string
	procs     map[string]*process
}

// startCluster starts everything; knobs override the configuration.
func startCluster(t *testing.T, knobs map[string]string) *system {
	t.Helper()
	return startClusterOn(t, testenv.Postgres(t), testenv.RedisURL(t), knobs)
}

// startClusterOn starts everything on a PostgreSQL and a Redis of the test's own.
func startClusterOn(t *testing.T, database, redis string, knobs map[string]string) *system {
	t.Helper()
	c := newSystem(t, database, "../../deploy/nats.conf")
	env := c.environ(map[string]string{"DATABASE_URL": database, "REDIS_URL": redis}, knobs)
	for _, name := range cluster.Programs {
		c.startProgram(c.bin, c.dir, name, env)
	}
	return c
}

// newSystem is the forge's double and a NATS server with this configuration; the programs are yet to be started.
func newSystem(t *testing.T, database, natsConf string, natsEnv ...string) *system {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	scene, err := demo.NewScene(t.Context(), filepath.Join(dir, "scene"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v := scene.Forge.Violations(); len(v) > 0 {
			t.Errorf("requests that GitHub's description does not allow: %v", v)
		}
		_ = scene.Close()
	})
	c := &system{t: t, scene: scene, bin: bin, dir: dir, procs: map[string]*process{}}
	c.startNATS(natsConf, natsEnv...)
	if c.st, err = store.Open(t.Context(), database, store.Options{MaxConns: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.st.Close)
	return c
}

// environ is what the programs are configured with; each later map wins.
func (c *system) environ(more ...map[string]string) map[string]string {
	env := map[string]string{"NATS_URL": c.nats}
	for _, m := range append([]map[string]string{c.scene.Environ()}, more...) {
		maps.Copy(env, m)
	}
	return env
}

func (c *system) startNATS(conf string, env ...string) {
	addr := c.freeAddr()
	p, err := cluster.NATS(c.bin, c.dir, conf, addr, env...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.add(p)
	c.nats = "nats://" + addr
}

func (c *system) startProgram(bin, dir, name string, env map[string]string) {
	addr := c.freeAddr()
	c.add(cluster.Program(bin, dir, name, name, addr, env))
	if name == "ingest" {
		c.url = "http://" + addr
	}
}

// add starts a process and stops it with the test.
func (c *system) add(started *cluster.Process) {
	p := &process{t: c.t, Process: started}
	p.start()
	c.procs[p.Name] = p
	c.t.Cleanup(func() {
		p.stop()
		if c.t.Failed() {
			if text, err := os.ReadFile(p.Log); err == nil {
				c.t.Logf("--- %s\n%s", p.Name, tail(string(text), 40))
			}
		}
	})
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (c *system) freeAddr() string {
	c.t.Helper()
	addr, err := cluster.FreeAddr(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return addr
}

// failed is one red workflow of the scene's repository.
type failed struct {
	workflow string
	params   githubtest.Params
}

// fail makes another workflow of the scene's commit red, with the same log.
func (c *system) fail(n int) failed {
	c.t.Helper()
	runID := int64(demo.RunID + 1000 + n)
	name := fmt.Sprintf("Check %d", n)
	if _, err := c.scene.Forge.AddJob(demo.Owner, demo.Name, runID, 1, forgetest.Job{Name: demo.JobName, Conclusion: "failure"}, c.scene.Log); err != nil {
		c.t.Fatal(err)
	}
	return failed{workflow: name, params: githubtest.Params{
		RepositoryID: c.scene.Repo.ID, Owner: demo.Owner, Name: demo.Name, CloneURL: c.scene.Repo.CloneURL, WebURL: c.scene.Repo.WebURL,
		DefaultBranch: demo.Branch, Branch: demo.Branch, SHA: c.scene.Commit, WorkflowName: name, RunID: runID, SuiteID: runID, Attempt: 1, Actor: "dev",
		Workflow: fmt.Sprintf(".github/workflows/check-%d.yml", n),
	}}
}

// send sends an event until it is answered 2xx, as somebody who redelivers failed deliveries does.
func (c *system) send(event, delivery string, body []byte) {
	c.t.Helper()
	secret := c.scene.Environ()["GITHUB_WEBHOOK_SECRETS"]
	client := &http.Client{Timeout: 10 * time.Second}
	testenv.Eventually(c.t, 30*time.Second, func() bool {
		res, err := client.Do(githubtest.Request(c.url+"/webhooks/github", secret, event, delivery, body))
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode/100 == 2
	})
}

// ended waits until the run of a workflow has ended.
func (c *system) ended(f failed, within time.Duration) store.Run {
	c.t.Helper()
	var last store.Run
	deadline := time.Now().Add(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		runs, err := c.st.Runs(c.t.Context(), "", 200)
		if err != nil && !errors.Is(err, store.ErrNotFound) && !strings.Contains(err.Error(), "does not exist") {
			c.t.Fatal(err)
		}
		for _, r := range runs {
			if r.Failure.WorkflowName == f.workflow {
				last = r
			}
		}
		if last.EndedAt != nil {
			return last
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s has not ended after %v: %s(%s), attempt %d, fence %d, %s", f.workflow, within, last.State, last.Reason, last.AttemptCount, last.Fence, last.Explanation)
		}
	}
	return last
}

// prs are the pull requests of a workflow's run.
func (c *system) prs(r store.Run) (n int) {
	key := r.RunKey
	for _, pr := range c.scene.PullRequests() {
		if strings.Contains(pr.Body, key) {
			n++
		}
	}
	return n
}
