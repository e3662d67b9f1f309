package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// oracle is a language model's API that keeps what it is asked. It has no answer.
type oracle struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newOracle(t *testing.T) *oracle {
	o := &oracle{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.asked = append(o.asked, r.URL.String()+"\n"+string(body))
		_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"no"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	t.Cleanup(o.Close)
	return o
}

// startCanaries starts everything with a secret of its own in each variable, each program with those that it reads.
func startCanaries(t *testing.T) (*system, *canaries, *messages, *oracle) {
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
	t.Cleanup(func() { _ = scene.Close() })
	s := &system{t: t, scene: scene, procs: map[string]*process{}}
	c, model := newCanaries(t, scene.Environ()), newOracle(t)
	address := s.startNATS(bin, dir)
	heard := listen(t, address)
	for _, name := range cluster.Programs {
		env := map[string]string{
			"NATS_URL": address, "BASE_BACKOFF_SECONDS": "1", "MAX_BACKOFF_SECONDS": "1", "COOLDOWN_SECONDS": "1",
			"WEBHOOK_TRUSTED_PROXIES": "192.0.2.1", "GITHUB_HOOKS": "repo:acme/hello:123,app", "GITHUB_APP_ID": "1", "GITLAB_HOOKS": "project:acme/shop:7",
			"GITLAB_API_URL": "http://127.0.0.1:1/api/v4", "JENKINS_URL": "http://127.0.0.1:1", "AZURE_DEVOPS_URL": "http://127.0.0.1:1",
			"PLAIN_GIT_URL": "http://127.0.0.1:1", "PLAIN_GIT_PATCH_DIR": t.TempDir(),
			"GITEA_URL": "http://127.0.0.1:1", "FORGEJO_URL": "http://127.0.0.1:1", "MODEL_URL": model.URL + "/v1", "MODEL_NAME": "m",
			"AGENT_COMMAND": `env; cat "$SRE_AGENT_PROMPT"`, "AGENT_ALLOWED_HOSTS": "models.example.com",
		}
		maps.Copy(env, scene.Environ())
		maps.Copy(env, c.needed(name))
		addr := s.freeAddr()
		p := cluster.Program(bin, dir, name, name, addr, nil)
		p.Env = append(p.Env, onlyRead(name, env)...)
		s.add(p)
		if name == "ingest" {
			s.url = "http://" + addr
		}
	}
	if s.st, err = store.Open(t.Context(), c.environ["DATABASE_URL"], store.Options{MaxConns: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.st.Close)
	return s, c, heard, model
}

// onlyRead are those variables that a program reads.
func onlyRead(program string, env map[string]string) []string {
	var out []string
	for _, v := range config.Describe() {
		if text, set := env[v.Name]; set && slices.Contains(v.Programs, config.Program(program)) {
			out = append(out, v.Name+"="+text)
		}
	}
	return out
}

// leakyLog is a log in which a job has printed the runner's secrets in every encoding, and in long lines at the places
// where those may be cut.
func leakyLog(c *canaries) string {
	var out []string
	for _, v := range config.Describe() {
		secret, known := c.values[v.Name]
		if !known || !slices.Contains(v.Programs, config.Runner) {
			continue
		}
		for shift := range 3 {
			text := []byte("secret="[:shift] + secret + "; and more")
			out = append(out, "ERROR: "+base64.StdEncoding.EncodeToString(text), "ERROR: "+base64.URLEncoding.EncodeToString(text))
		}
		for _, how := range []string{"plain", "hex", "URL-encoded", "JSON"} {
			out = append(out, fmt.Sprintf("ERROR: %s as %s: >%s<", v.Name, how, encoded(secret)[how]))
		}
		for _, before := range []int{480, 490, 990, 1010, 1990, 2030, 3990, 4080, 8180} {
			out = append(out, "error: "+strings.Repeat("x", before)+" "+secret+" "+strings.Repeat("y", 9000))
		}
	}
	return stepLog("./check-all --with-everything", out...)
}

// addsSecret is a repository whose own fixer writes the read token, which its files have the other way round.
func addsSecret(t *testing.T, c *canaries) func(dir string) {
	backwards := []byte(c.values["GITHUB_READ_TOKEN"])
	slices.Reverse(backwards)
	return func(dir string) {
		write(t, dir, "seed", string(backwards)+"\n")
		write(t, dir, "out.txt", "nothing\n")
		write(t, dir, ".sre-agent.yaml", `version: 1
custom_fixers:
  - name: leak
    when: {commands: ['^\./tools/leak'], files: ['seed']}
    fix: rev seed > out.txt
    touches: ['out.txt']
    check: grep -q / out.txt || grep -q read out.txt
`)
	}
}

// TestNoSecretOfOursIsAnywhere gives every program a canary for each secret that it reads, has it publish, decline, fail
// and refuse, and then looks for the canaries wherever anything of a run is written, sent or shown.
func TestNoSecretOfOursIsAnywhere(t *testing.T) {
	s, c, heard, model := startCanaries(t)
	watched := c.watch(t.Context(), s.procs["runner"], s.procs["publisher"])

	published := s.fail(0)
	s.send("workflow_run", "canary-1", githubtest.FailedRun(published.params))
	if r := s.ended(published, time.Minute); r.State != "published" {
		t.Errorf("%s(%s) %s", r.State, r.Reason, r.Explanation)
	}

	declined := s.repository("declines", 1, stepLog("./no-such-tool", "error: nobody knows this"), func(dir string) { write(t, dir, "README.md", "hello\n") })
	s.send("workflow_run", "canary-2", githubtest.FailedRun(declined.params))
	if r := s.ended(declined, time.Minute); r.State != "declined" {
		t.Errorf("%s(%s) %s", r.State, r.Reason, r.Explanation)
	}

	leaky := s.repository("leaky", 2, leakyLog(c), func(dir string) { write(t, dir, "README.md", "hello\n") })
	s.send("workflow_run", "canary-3", githubtest.FailedRun(leaky.params))
	r := s.ended(leaky, time.Minute)
	if h, err := s.st.History(t.Context(), r.ID); err != nil || r.State != "declined" || !strings.Contains(string(h.Attempts[0].Evidence), redact.Mark) {
		t.Errorf("%s(%s) %s, %v: nothing of the log is on record", r.State, r.Reason, r.Explanation, err)
	}

	adds := s.repository("adds", 3, stepLog("./tools/leak", "out.txt is stale"), addsSecret(t, c))
	s.send("workflow_run", "canary-4", githubtest.FailedRun(adds.params))
	if r := s.ended(adds, time.Minute); r.State != "blocked" || r.Reason != "secret_found" {
		t.Errorf("%s(%s) %s", r.State, r.Reason, r.Explanation)
	}

	echoed := s.failOnTheForge(t)
	s.sendWithABadSignature(t)

	for _, name := range []string{"declines", "leaky", "adds"} {
		if prs := s.scene.Forge.PullRequests(demo.Owner, name); len(prs) > 0 {
			t.Errorf("%s has pull requests: %+v", name, prs)
		}
	}
	watched.look(t)
	heard.look(t, c)
	c.lookAtRows(t)
	c.lookAtPrograms(t, s)
	c.lookAtForge(t, s, demo.Name, "declines", "leaky", "adds", echoed)
	model.mu.Lock()
	defer model.mu.Unlock()
	for _, question := range model.asked {
		c.look(t, "a question to the model", question)
	}
}

// failOnTheForge has the forge answer to the runner and to the publisher with 500 and the token that they sent.
func (c *system) failOnTheForge(t *testing.T) (repository string) {
	t.Helper()
	const name = "broken"
	f := c.repository(name, 4, gofmtLog("hello.go"), func(dir string) {
		write(t, dir, "go.mod", "module example.com/hello\n\ngo 1.22\n")
		write(t, dir, "hello.go", ugly)
	})
	var mu sync.Mutex
	failed := map[string]int{}
	c.scene.Forge.SetFault(func(r *http.Request) *forgetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		// The first of these the runner can do without; for the second the publisher comes back.
		kind := r.Method + " " + path.Base(r.URL.Path)
		if kind != "GET runs" && kind != "POST pulls" || failed[kind] > 0 {
			return nil
		}
		failed[kind]++
		return &forgetest.Fault{Status: http.StatusInternalServerError, Body: fmt.Sprintf(`{"message":"%s"}`, r.Header.Get("Authorization"))}
	})
	defer c.scene.Forge.SetFault(nil)
	c.send("workflow_run", "canary-5", githubtest.FailedRun(f.params))
	if r := c.ended(f, 2*time.Minute); r.State != "published" {
		t.Errorf("%s(%s) %s", r.State, r.Reason, r.Explanation)
	}
	if len(failed) != 2 {
		t.Errorf("the forge has failed only for %v", failed)
	}
	return name
}

// sendWithABadSignature sends what is signed by another key than ours, and by ours for something else.
func (c *system) sendWithABadSignature(t *testing.T) {
	t.Helper()
	body := githubtest.FailedRun(c.fail(9).params)
	r := githubtest.Request(c.url+"/webhooks/github", "somebody else's secret", "workflow_run", "canary-6", body)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a bad signature is answered by %d", res.StatusCode)
	}
	testenv.Eventually(t, 10*time.Second, func() bool {
		counts, err := c.st.DeliveryCounts(t.Context())
		return err == nil && counts["run"] == 5
	})
}
