package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
	"github.com/sre-agent/sre-agent/internal/model"
	"github.com/sre-agent/sre-agent/internal/model/modeltest"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

const modelKey = "sk-key-of-the-model-0123456789"

// broken is a repository that doesn't compile, for no tool's lack.
var broken = map[string]string{
	"main.go":                  "package main\n\nfunc main() { println(greting) }\n\nvar greeting = \"hello\"\n",
	"main_test.go":             "package main\n\nimport \"testing\"\n\nfunc TestGreeting(t *testing.T) {\n\tif greeting == \"\" {\n\t\tt.Fatal()\n\t}\n}\n",
	".github/workflows/ci.yml": "on: push\n",
	"app/pyproject.toml":       "[project]\nname = \"app\"\ndependencies = [\"requests\"]\n",
	"app/poetry.lock":          "# by poetry\n",
}

// compiles is the check: the compiler alone, without a cache.
const compiles = "go tool compile -o /dev/null -p main main.go"

// unmended is a pipeline in the real sandbox whose work no tool of the catalogue knows.
func unmended(t *testing.T) (*FixPipeline, *work) {
	t.Helper()
	p, w := classified(t, actions("make build", "./main.go:3:23: undefined: greting", "make: *** [Makefile:2: build] Error 1"), "", "main.go", "main_test.go", ".github/workflows/ci.yml", "app/pyproject.toml", "app/poetry.lock")
	repo := gittest.New(t).Repo(t, "public.git", broken)
	git, err := gitrepo.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.mirror, err = git.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "mirror"), gitrepo.Remote{URL: repo.URL}); err != nil {
		t.Fatal(err)
	}
	commit := repo.Push("main")
	if err := w.mirror.Fetch(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	if p.Scanner, err = scan.New(modelKey); err != nil {
		t.Fatal(err)
	}
	if p.Sandbox, err = sandbox.New(t.Context(), sandbox.Options{Toolchains: sandbox.Find(t.Context(), "go")}); err != nil {
		t.Fatal(err)
	}
	p.Git, p.Rules, p.Dir, p.Redact, p.PromptBytes = git, policy.Default(), t.TempDir(), redact.New([]string{modelKey}), 32<<10
	w.dir = t.TempDir()
	for _, dir := range []string{w.dir, filepath.Dir(w.dir)} { // the sandbox's user is another one
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	w.run = store.Run{Run: db.Run{ID: 1, RepositoryID: 1}, Failure: ci.Failure{Commit: commit, Branch: "main", BaseBranch: "main", WorkflowName: "CI"}}
	w.settings = &repoconfig.Config{Mode: repoconfig.ModePR, Checks: []repoconfig.Check{{Run: compiles}}}
	return p, w
}

// askedModel gives the pipeline a model that answers so, on a real ledger.
func askedModel(t *testing.T, p *FixPipeline, w *work, replies ...modeltest.Reply) *modeltest.Server {
	t.Helper()
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	rec, err := st.RecordFailure(t.Context(), store.Delivery{Provider: "github", ID: "d", Event: "workflow_run", BodySHA256: strings.Repeat("0", 64), ReceivedAt: time.Now()}, ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: "1", Owner: "acme", Name: "api"}, Branch: "main", Commit: w.run.Failure.Commit, Workflow: "ci.yml", WorkflowName: "CI",
	}, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := st.Run(t.Context(), rec.RunID)
	if err != nil {
		t.Fatal(err)
	}
	w.run.ID, w.run.RepositoryID = r.ID, r.RepositoryID
	srv := modeltest.OpenAI(t, modelKey, modeltest.Replies(replies...))
	p.Model, err = model.New(model.Options{
		Config: config.Model{
			ModelURL: srv.URL, ModelAPI: config.ModelOpenAI, ModelName: "double", ModelAPIKey: config.NewSecret(modelKey), ModelMode: config.ModelRecord,
			ModelTimeoutSeconds: 20, ModelMaxInputBytes: 32 << 10, ModelMaxOutput: 1000, ModelRunTokens: 400_000, ModelRepositoryDay: 1_000_000, ModelDay: 2_000_000, ModelKeepDays: 30,
		},
		Ledger: st, Parse: fixplan.Parse, Schema: fixplan.Schema(), Secrets: []string{modelKey}, Redact: p.Redact.String, Counters: p.Counters, Log: telemetry.NewTest().Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// edits is a plan of exact changes: file, old, new.
func edits(t *testing.T, changes ...[3]string) modeltest.Reply {
	t.Helper()
	plan := fixplan.Plan{RootCause: "A name is misspelt. " + modelKey, Category: "compile", Confidence: 0.9}
	for _, c := range changes {
		plan.Files = append(plan.Files, c[0])
		plan.Operations = append(plan.Operations, fixplan.Operation{
			Kind: fixplan.ModifyCode, File: c[0], Details: fixplan.Details{Old: c[1], New: c[2]}, Rationale: "it is spelt so below", Evidence: "undefined: greting",
		})
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	return modeltest.Reply{Text: string(text)}
}

// through takes the work through all stages but the first, and returns the state and the reason that it ends with.
func through(t *testing.T, p *FixPipeline, w *work) string {
	t.Helper()
	for _, s := range p.stages()[1:] {
		err := s.do(t.Context(), w)
		p.note(t.Context(), w, s, err, 0)
		if err != nil {
			reason, permanent := fault.Reason(err)
			if !permanent {
				return "waits: " + err.Error()
			}
			return string(stateOf(s, err)) + " " + reason
		}
	}
	return "fixed"
}

var spelt = [3]string{"main.go", "println(greting)", "println(greeting)"}

func TestAModelsPlanGoesThroughTheSameGates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reply  func(t *testing.T) modeltest.Reply
		want   string
		change func(w *work)
	}{
		"a true fix": {func(t *testing.T) modeltest.Reply { return edits(t, spelt) }, "fixed", nil},
		"it changes a CI definition too": {func(t *testing.T) modeltest.Reply {
			return edits(t, spelt, [3]string{".github/workflows/ci.yml", "on: push", "on: pull_request"})
		}, "declined forbidden_path", nil},
		"it takes a test away": {func(t *testing.T) modeltest.Reply {
			return edits(t, spelt, [3]string{"main_test.go", "func TestGreeting(t *testing.T) {\n\tif greeting == \"\" {\n\t\tt.Fatal()\n\t}\n}\n", ""})
		}, "blocked test_deleted", nil},
		"it mends nothing":                {func(t *testing.T) modeltest.Reply { return edits(t, [3]string{"main.go", "greting", "gruss"}) }, "declined still_red", nil},
		"it names text that is not there": {func(t *testing.T) modeltest.Reply { return edits(t, [3]string{"main.go", "nowhere", "gruss"}) }, "declined plan_not_found", nil},
		"it refuses":                      {func(*testing.T) modeltest.Reply { return modeltest.Reply{Refused: true, Text: "no"} }, "declined model_refused", nil},
		"nothing says how to check":       {nil, "declined no_check", func(w *work) { w.settings = repoconfig.Default() }},
		"the repository wants no model":   {nil, "declined no_fixer", func(w *work) { w.settings.Fixers = []string{"gofmt"} }},
		"its server is overloaded for now": {func(*testing.T) modeltest.Reply {
			return modeltest.Reply{Status: http.StatusServiceUnavailable, Text: "busy"}
		}, "waits: ", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w := unmended(t)
			var replies []modeltest.Reply
			if tc.reply != nil {
				replies = append(replies, tc.reply(t))
			}
			srv := askedModel(t, p, w, replies...)
			if tc.change != nil {
				tc.change(w)
			}
			if got := through(t, p, w); !strings.HasPrefix(got, tc.want) {
				t.Fatalf("%s, want %s: %s", got, tc.want, w.report.JSON())
			}
			if (len(srv.Asked()) > 0) != (tc.reply != nil) || (w.report.Model != nil) != (tc.reply != nil) {
				t.Errorf("asked %d times, evidence %+v", len(srv.Asked()), w.report.Model)
			}
			if strings.Contains(string(w.report.JSON()), modelKey) {
				t.Errorf("the model's key is in the evidence: %s", w.report.JSON())
			}
			if tc.want == "fixed" && (w.report.Plan == nil || w.report.Model.Tokens == 0 || !strings.Contains(fmt.Sprint(w.report.Policy.Parts), "operation: modify_code") || w.report.Check.Before.ExitCode == 0) {
				t.Errorf("evidence %s", w.report.JSON())
			}
		})
	}
}

func TestAnAgentsEditGoesThroughTheSameGates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ command, want string }{
		"a true fix":                 {`grep -q greting "$SRE_AGENT_PROMPT" && sed -i 's/(greting)/(greeting)/' main.go`, "fixed"},
		"it changes a CI definition": {`sed -i 's/(greting)/(greeting)/' main.go; echo x >>.github/workflows/ci.yml`, "blocked forbidden_path"},
		"it takes a test away":       {`sed -i 's/(greting)/(greeting)/' main.go; rm main_test.go`, "blocked test_deleted"},
		"it changes nothing":         {"true", "declined nothing_changed"},
		"it fails":                   {"exit 3", "declined agent_failed"},
		"it looks for the key":       {`env; cat /proc/*/environ; sed -i 's/(greting)/(greeting)/' main.go`, "fixed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w := unmended(t)
			cfg := &config.Config{}
			cfg.AgentCommand, cfg.AgentTimeoutSeconds = tc.command, 60
			cfg.AgentAllowedHosts, cfg.AgentCredential, cfg.AgentHeader = config.List{"models.example.com"}, config.NewSecret(modelKey), "x-api-key"
			if tc.command == "true" || tc.command == "exit 3" {
				cfg.AgentAllowedHosts, cfg.AgentCredential = nil, config.Secret{}
			}
			var err error
			p.Agent, err = agent(&program.Env{Config: cfg, Redact: redact.New([]string{modelKey})}, p.Sandbox, p.Limits)
			if err != nil {
				t.Fatal(err)
			}
			if got := through(t, p, w); got != tc.want {
				t.Fatalf("%s, want %s: %s", got, tc.want, w.report.JSON())
			}
			if w.report.Agent == nil || strings.Contains(string(w.report.JSON()), modelKey) {
				t.Errorf("evidence %s", w.report.JSON())
			}
		})
	}
}

func TestTheAgentIsAskedWhereTheModelHasNoPlan(t *testing.T) {
	t.Parallel()
	p, w := unmended(t)
	askedModel(t, p, w, modeltest.Reply{Refused: true, Text: "no"})
	cfg := &config.Config{}
	cfg.AgentCommand, cfg.AgentTimeoutSeconds = `sed -i 's/(greting)/(greeting)/' main.go`, 60
	var err error
	if p.Agent, err = agent(&program.Env{Config: cfg, Redact: redact.New(nil)}, p.Sandbox, p.Limits); err != nil {
		t.Fatal(err)
	}
	if got := through(t, p, w); got != "fixed" || w.fixPlan.Fixer != byAgent || w.report.Model == nil || w.report.Agent == nil {
		t.Errorf("%s by %s: %s", got, w.fixPlan.Fixer, w.report.JSON())
	}
}

func TestAnAgentThatIsAskedInsteadFindsNothingOfTheModelsPlan(t *testing.T) {
	t.Parallel()
	p, w := unmended(t) // its sandbox has no poetry, so that the lock can't be refreshed
	askedModel(t, p, w, edits(t, spelt, [3]string{"app/pyproject.toml", "requests", "requests2"}))
	cfg := &config.Config{}
	cfg.AgentCommand, cfg.AgentTimeoutSeconds = `sed -i 's/(greting)/(greeting)/' main.go`, 60
	var err error
	if p.Agent, err = agent(&program.Env{Config: cfg, Redact: redact.New(nil)}, p.Sandbox, p.Limits); err != nil {
		t.Fatal(err)
	}
	if got := through(t, p, w); got != "fixed" || w.fixPlan.Fixer != byAgent || w.report.Plan == nil || strings.Contains(string(w.diff), "requests2") {
		t.Errorf("%s by %s: %s\n%s", got, w.fixPlan.Fixer, w.report.JSON(), w.diff)
	}
}
