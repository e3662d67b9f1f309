package telemetry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// incidents are the sections of the runbook that alerts point to.
var incidents = []string{
	"webhook-storm", "queue-backlog", "pull-request-spam-loop", "scanner-failures", "dead-letters-growing", "one-repository-stuck",
	"a-dependency-is-down", "lost-disk", "secret-leaked", "rolling-back-a-release",
}

type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// dashboards returns the expressions of each dashboard, by its file.
func dashboards(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all[filepath.Base(name)] = append(all[filepath.Base(name)], target.Expr)
			}
		}
	}
	return all
}

// named are our own metrics that an expression names.
func named(expr string) []string {
	return regexp.MustCompile(`\bsre_agent[a-z0-9_:]*`).FindAllString(expr, -1)
}

func TestDashboardsAndRulesNameOnlyWhatIsThere(t *testing.T) {
	known := map[string]bool{}
	for _, m := range telemetry.Metrics() {
		known[m.Name] = m.Kind != "histogram"
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			known[m.Name+suffix] = m.Kind == "histogram"
		}
	}
	for _, r := range rules(t) {
		if r.Record != "" {
			known[r.Record] = true
		}
	}
	used := map[string]bool{}
	look := func(where, expr string) {
		for _, name := range named(expr) {
			if used[name] = true; !known[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
	}
	for _, r := range rules(t) {
		look("rules.yaml", r.Expr)
	}
	boards := dashboards(t)
	for name, exprs := range boards {
		for _, expr := range exprs {
			look(name, expr)
		}
	}
	if len(boards) != 5 || len(used) < 40 {
		t.Errorf("%d dashboards, %d metrics in use", len(boards), len(used))
	}
	for _, m := range telemetry.Metrics() {
		if !used[m.Name] && !used[m.Name+"_bucket"] && !used[m.Name+"_count"] {
			t.Errorf("no dashboard shows %s", m.Name)
		}
	}
}

func TestEveryAlertHasItsPageOfTheRunbookAndATest(t *testing.T) {
	tests, err := os.ReadFile("../../deploy/prometheus/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pointed := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		_, anchor, ok := strings.Cut(r.Annotations["runbook_url"], "/docs/ops.md#")
		if pointed[anchor] = true; !ok || !slices.Contains(incidents, anchor) {
			t.Errorf("%s points to %q", r.Alert, r.Annotations["runbook_url"])
		}
		if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s: severity %q, summary %q", r.Alert, r.Labels["severity"], r.Annotations["summary"])
		}
		if !regexp.MustCompile(`alertname: ` + r.Alert + `\n\s+exp_alerts:\n`).Match(tests) {
			t.Errorf("no test shows %s fire", r.Alert)
		}
	}
	for _, anchor := range incidents {
		if !pointed[anchor] {
			t.Errorf("no alert points to %s", anchor)
		}
	}
}
