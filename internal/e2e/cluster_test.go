package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

var programs = []string{"ingest", "throttle", "runner", "publisher"}

// binaries builds the four programs and a NATS server once for all tests.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sre-agent-e2e-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", dir + "/"}
	for _, p := range programs {
		args = append(args, "github.com/sre-agent/sre-agent/cmd/"+p)
	}
	args = append(args, "github.com/nats-io/nats-server/v2")
	if out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaries(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// process is a program that can be killed and started again.
type process struct {
	t    *testing.T
	name string
	path string
	args []string
	env  []string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

func (p *process) start() {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.CommandContext(context.Background(), p.path, p.args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		_ = out.Close()
		close(done)
	}(p.cmd, p.done)
}

// kill is kill -9: nothing is flushed, handed back or said.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop is SIGTERM, as an orchestrator would.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Errorf("%s did not stop within 30 s of SIGTERM", p.name)
		p.kill()
	}
}

// cluster is the whole system as processes.
type cluster struct {
	t     *testing.T
	scene *demo.Scene
	st    *store.Store
	url   string
	procs map[string]*process
}

// startCluster starts everything; knobs override the configuration.
func startCluster(t *testing.T, knobs map[string]string) *cluster {
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
	c := &cluster{t: t, scene: scene, procs: map[string]*process{}}
	database := testenv.Postgres(t)
	env := map[string]string{
		"DATABASE_URL": database, "REDIS_URL": testenv.RedisURL(t), "NATS_URL": c.startNATS(bin, dir),
	}
	for k, v := range scene.Environ() {
		env[k] = v
	}
	for k, v := range knobs {
		env[k] = v
	}
	for _, name := range programs {
		c.startProgram(bin, dir, name, env)
	}
	if c.st, err = store.Open(t.Context(), database, store.Options{MaxConns: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.st.Close)
	return c
}

func (c *cluster) startNATS(bin, dir string) string {
	addr := freeAddr(c.t)
	_, port, _ := net.SplitHostPort(addr)
	p := &process{
		t: c.t, name: "nats", path: filepath.Join(bin, "nats-server"), log: filepath.Join(dir, "nats.log"), env: os.Environ(),
		args: []string{"-c", "../../deploy/nats.conf", "-a", "127.0.0.1", "-p", port, "-m", "0", "-sd", filepath.Join(dir, "nats")},
	}
	p.start()
	c.procs["nats"] = p
	c.t.Cleanup(p.stop)
	return "nats://" + addr
}

func (c *cluster) startProgram(bin, dir, name string, env map[string]string) {
	addr := freeAddr(c.t)
	data := filepath.Join(dir, name)
	p := &process{
		t: c.t, name: name, path: filepath.Join(bin, name), log: filepath.Join(dir, name+".log"),
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HTTP_ADDR=" + addr, "DATA_DIR=" + data, "LOG_LEVEL=debug"},
	}
	for _, own := range needs[name] {
		if v, ok := env[own]; ok {
			p.env = append(p.env, own+"="+v)
		}
	}
	for k, v := range env {
		if !isPart(k) {
			p.env = append(p.env, k+"="+v)
		}
	}
	p.start()
	c.procs[name] = p
	c.t.Cleanup(func() {
		p.stop()
		if c.t.Failed() {
			if text, err := os.ReadFile(p.log); err == nil {
				c.t.Logf("--- %s\n%s", name, tail(string(text), 40))
			}
		}
	})
	if name == "ingest" {
		c.url = "http://" + addr
	}
}

// needs says which addresses and secrets each program is given, and no more.
var needs = map[string][]string{
	"ingest":    {"NATS_URL", "GITHUB_WEBHOOK_SECRETS"},
	"throttle":  {"NATS_URL", "DATABASE_URL", "REDIS_URL"},
	"runner":    {"NATS_URL", "DATABASE_URL", "REDIS_URL", "GITHUB_API_URL", "GITHUB_GIT_URL", "GITHUB_READ_TOKEN"},
	"publisher": {"NATS_URL", "DATABASE_URL", "GITHUB_API_URL", "GITHUB_GIT_URL", "GITHUB_WRITE_TOKEN"},
}

func isPart(name string) bool {
	for _, list := range needs {
		for _, n := range list {
			if n == name {
				return true
			}
		}
	}
	return false
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// failed is one red workflow of the scene's repository.
type failed struct {
	workflow string
	params   githubtest.Params
}

// fail makes another workflow of the scene's commit red, with the same log.
func (c *cluster) fail(n int) failed {
	c.t.Helper()
	runID := int64(demo.RunID + 1000 + n)
	name := fmt.Sprintf("Check %d", n)
	if _, err := c.scene.Forge.AddJob(demo.Owner, demo.Name, runID, 1, forgetest.Job{Name: demo.JobName, Conclusion: "failure"}, c.scene.Log); err != nil {
		c.t.Fatal(err)
	}
	return failed{workflow: name, params: githubtest.Params{
		RepositoryID: c.scene.Repo.ID, Owner: demo.Owner, Name: demo.Name, CloneURL: c.scene.Repo.CloneURL, WebURL: c.scene.Repo.WebURL,
		DefaultBranch: demo.Branch, Branch: demo.Branch, SHA: c.scene.Commit, WorkflowName: name, RunID: runID, Attempt: 1, Actor: "dev",
		Workflow: fmt.Sprintf(".github/workflows/check-%d.yml", n),
	}}
}

// send sends an event until it is answered 2xx, as somebody who redelivers failed deliveries does.
func (c *cluster) send(event, delivery string, body []byte) {
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
func (c *cluster) ended(f failed, within time.Duration) store.Run {
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
func (c *cluster) prs(r store.Run) (n int) {
	key := r.RunKey
	for _, pr := range c.scene.PullRequests() {
		if strings.Contains(pr.Body, key) {
			n++
		}
	}
	return n
}
