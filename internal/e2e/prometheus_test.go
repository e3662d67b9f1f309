package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// prometheus is a real one that scrapes the four programs and has our rules.
type prometheus struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, c *system) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: make setup installs it", err)
	}
	dir := t.TempDir()
	rules, err := filepath.Abs("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" + rules + "]\nscrape_configs:\n"
	for _, name := range cluster.Programs {
		config += fmt.Sprintf("  - job_name: sre-agent-%s\n    static_configs: [{targets: ['%s']}]\n", name, c.address(name))
	}
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := c.freeAddr()
	c.add(&cluster.Process{
		Name: "prometheus", Path: path, Log: filepath.Join(dir, "log"), Env: os.Environ(),
		Args: []string{"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + addr},
	})
	return &prometheus{t, "http://" + addr}
}

// address is where a program listens.
func (c *system) address(name string) string {
	for _, e := range c.procs[name].Env {
		if addr, ok := strings.CutPrefix(e, "HTTP_ADDR="); ok {
			return addr
		}
	}
	c.t.Fatalf("%s has no address", name)
	return ""
}

// ask decodes the data of an answer, and says whether it was one.
func (p *prometheus) ask(path string, data any) error {
	res, err := http.Get(p.url + path)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// names are the metrics that it has.
func (p *prometheus) names() (names []string) {
	_ = p.ask("/api/v1/label/__name__/values", &names) // none yet
	return names
}

// expressions are those of all dashboards and rules, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, "../../deploy/prometheus/rules.yaml") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Panels []struct {
				Title   string
				Targets []struct{ RefID, Expr string }
			}
			Groups []struct {
				Rules []struct{ Record, Alert, Expr string }
			}
		}
		if err := yaml.Unmarshal(text, &file); err != nil { // JSON is YAML
			t.Fatal(err)
		}
		for _, panel := range file.Panels {
			for i, target := range panel.Targets {
				all[fmt.Sprintf("%s: %s %d", filepath.Base(name), panel.Title, i)] = target.Expr
			}
		}
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				all["rules: "+r.Record+r.Alert] = r.Expr
			}
		}
	}
	return all
}

var (
	labels  = regexp.MustCompile(`\{[^}]*\}|\bby \([^)]*\)`)
	metrics = regexp.MustCompile(`\b(sre_agent|http|messaging|db|process|go)_\w+\b`)
)

// unseen are metrics of which the test's forge has nothing to tell, and that the tests of the HTTP client show.
var unseen = []string{"sre_agent_forge_rate_limit", "sre_agent_forge_rate_limit_remaining"}

func TestAPrometheusAnswersWhatDashboardsAndRulesAsk(t *testing.T) {
	c := startCluster(t, map[string]string{"METRICS_REPOSITORIES": "5", "AUDIT_INTERVAL_SECONDS": "1"})
	p := startPrometheus(t, c)
	f := c.fail(0)
	c.send("workflow_run", "scraped-1", githubtest.FailedRun(f.params))
	if run := c.ended(f, time.Minute); run.State != "published" {
		t.Fatalf("%s(%s) %s", run.State, run.Reason, run.Explanation)
	}
	asked := expressions(t)
	if len(asked) < 80 {
		t.Errorf("only %d expressions", len(asked))
	}
	wanted := map[string]bool{}
	for _, expr := range asked {
		for _, name := range metrics.FindAllString(labels.ReplaceAllString(expr, ""), -1) {
			if !slices.Contains(unseen, name) {
				wanted[name] = true
			}
		}
	}
	var missing []string
	testenv.Eventually(t, time.Minute, func() bool {
		have := p.names()
		missing = slices.DeleteFunc(slices.Sorted(maps.Keys(wanted)), func(name string) bool { return slices.Contains(have, name) })
		if len(missing) > 0 {
			t.Logf("not there yet: %v", missing)
		}
		return len(missing) == 0
	})
	for where, expr := range asked {
		if err := p.ask("/api/v1/query?query="+url.QueryEscape(expr), nil); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	var groups struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.ask("/api/v1/rules", &groups); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Health == "err" {
				t.Errorf("rule %s: %s", r.Name, r.LastError)
			}
		}
	}
}
