package model

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fixplan"
	"github.com/sre-agent/sre-agent/internal/model/modeltest"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

const key = "sk-key-of-the-model-0123456789"

// rig is a Proposer on a real ledger, with a double as its model.
type rig struct {
	t      *testing.T
	st     *store.Store
	tel    *telemetry.Test
	cfg    config.Model
	ledger Ledger
	known  []string
	n      int
	run    int64
	repo   int64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	r := &rig{t: t, st: st, tel: telemetry.NewTest(), ledger: st, cfg: config.Model{
		ModelAPI: config.ModelOpenAI, ModelName: "double", ModelAPIKey: config.NewSecret(key), ModelMode: config.ModelRecord,
		ModelTimeoutSeconds: 20, ModelMaxInputBytes: 32 << 10, ModelMaxOutput: 1000,
		ModelRunTokens: 400_000, ModelRepositoryDay: 1_000_000, ModelDay: 2_000_000,
		ModelPrices: config.List{"double=2/10"}, ModelKeepDays: 30,
	}}
	return r.fresh(t, 1)
}

// fresh is a rig with a run of its own on the same database; n tells them and their questions apart.
func (r *rig) fresh(t *testing.T, n int) *rig {
	t.Helper()
	other := *r
	other.t, other.n, other.tel = t, n, telemetry.NewTest()
	other.run = other.record(n)
	other.repo = other.row("select repository_id from runs where id = $1", other.run)
	return &other
}

func (r *rig) record(n int) int64 {
	r.t.Helper()
	f := ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: "1", Owner: "acme", Name: "api"}, Branch: "main", BaseBranch: "main",
		Commit: fmt.Sprintf("%040x", n), Workflow: "ci.yml", WorkflowName: "CI",
	}
	id := fmt.Sprint("d", n)
	d := store.Delivery{Provider: "github", ID: id, Event: "workflow_run", BodySHA256: strings.TrimPrefix(patch.Digest([]byte(id)), "sha256:"), ReceivedAt: time.Now()}
	rec, err := r.st.RecordFailure(r.t.Context(), d, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return rec.RunID
}

// outcome is how the run's only call was settled.
func (r *rig) outcome() string {
	r.t.Helper()
	return r.text("select outcome from model_calls where run_id = $1", r.run)
}

// row reads one number.
func (r *rig) row(sql string, args ...any) (n int64) {
	r.t.Helper()
	if err := r.st.Pool().QueryRow(r.t.Context(), sql, args...).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (r *rig) text(sql string, args ...any) (s string) {
	r.t.Helper()
	if err := r.st.Pool().QueryRow(r.t.Context(), sql, args...).Scan(&s); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
	return s
}

func (r *rig) proposer(url string) *Proposer {
	r.t.Helper()
	r.cfg.ModelURL = url
	p, err := New(Options{
		Config: r.cfg, Ledger: r.ledger, Parse: fixplan.Parse, Schema: fixplan.Schema(), Secrets: r.known, Redact: redact.New(r.known).String,
		Counters: r.tel.Counters, Log: r.tel.Log,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) input() Input {
	return Input{
		RunID: r.run, RepositoryID: r.repo, Class: "compile", Command: fmt.Sprintf("go build -p %d ./...", r.n),
		Excerpt:     []Line{{10, "./main.go:3:2: undefined: fmtt"}},
		Diagnostics: []Diagnostic{{"go", "main.go", 3, "", "undefined: fmtt"}},
		Files:       map[string][]byte{"main.go": []byte("package main\n\nfunc main() { fmtt.Println() }\n")},
	}
}

// start starts a double of the configured API.
func (r *rig) start(reply func(int, modeltest.Request) modeltest.Reply) *modeltest.Server {
	if r.cfg.ModelAPI == config.ModelAnthropic {
		return modeltest.Anthropic(r.t, r.cfg.ModelAPIKey.Reveal(), reply)
	}
	return modeltest.OpenAI(r.t, r.cfg.ModelAPIKey.Reveal(), reply)
}

const goodPlan = `{"root_cause":"a misspelt package","category":"compile","confidence":0.9,"files":["main.go"],"operations":[{"kind":"modify_code","file":"main.go","details":{"old":"fmtt","new":"fmt"},"rationale":"the package is fmt","evidence":"undefined: fmtt"}]}`
