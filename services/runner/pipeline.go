package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/fixplan"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// Sandbox runs what comes from a repository.
type Sandbox interface {
	Run(ctx context.Context, spec sandbox.Spec) (sandbox.Result, error)
}

// Redactor removes secrets from a text.
type Redactor interface{ String(s string) string }

// Scanner looks for secrets in what a patch adds.
type Scanner interface {
	Scan(ctx context.Context, p *patch.Patch) ([]scan.Finding, error)
}

// FixPipeline is the fix pipeline: context, classify, plan, plan policy, patch, patch policy, scan, verify.
type FixPipeline struct {
	Git    *gitrepo.Git
	Logs   Logs
	Greens Greens
	// Modes says what operators have set; nil is nothing.
	Modes Modes
	// Troubles and Pulls say whether the same trouble has its answer already.
	Troubles  Troubles
	Pulls     Pulls
	Catalogue *fix.Catalogue
	Scanner   Scanner
	// Programs are more scanners; nil is none.
	Programs *scan.Programs
	// Rules are the policy that a repository's own settings tighten.
	Rules   policy.Rules
	Sandbox Sandbox
	// Model and Agent are asked for what no tool mends; nil is nobody. PromptBytes bounds an agent's question, which holds
	// none of Secrets.
	Model       Proposer
	Agent       Agent
	PromptBytes int
	Secrets     []string
	// Tools are the programs that the sandbox has, with their versions.
	Tools  map[string]string
	Redact Redactor
	// Dir holds the mirrors, the caches and the throwaway trees.
	Dir string
	// Remote says where a failure's repository is, and how it is fetched from there with the read-only token.
	Remote func(ci.Failure) (gitrepo.Remote, origin.Place, error)
	Limits sandbox.Limits
	// GoProxy is the module proxy of the steps that have a network.
	GoProxy string
	// Rerun says that a failure which no change mends may be run again by its provider.
	Rerun bool
	// OnStage is told of each stage as it ends.
	OnStage  func(ctx context.Context, r store.Run, s evidence.Stage)
	Counters *telemetry.Counters
	Log      *slog.Logger
}

// stage is one step of the pipeline. It says no with a permanent error, whose reason ends the run in the state
// Refusal; any other error is something outside that failed, and the run is tried again.
type stage struct {
	name    telemetry.Stage
	refusal run.State
	do      func(context.Context, *work) error
}

func (p *FixPipeline) stages() []stage {
	return []stage{
		{telemetry.StageContext, run.Declined, p.readContext},
		{telemetry.StageClassify, run.Declined, p.classify},
		{telemetry.StagePlan, run.Declined, p.plan},
		{telemetry.StagePlanPolicy, run.Declined, p.planPolicy},
		{telemetry.StagePatch, run.Declined, p.patch},
		{telemetry.StagePatchPolicy, run.Blocked, p.patchPolicy},
		{telemetry.StageScan, run.Blocked, p.scan},
		{telemetry.StageVerify, run.Declined, p.verify},
	}
}

// work is what the stages find out and hand on.
type work struct {
	run      store.Run
	dir      string
	place    origin.Place
	mirror   *gitrepo.Mirror
	settings *repoconfig.Config
	job      joblog.Job
	// log is what the failed job's log says next to the last green one, and alone what it says by itself. Green logs come
	// and go: what has to be the same from one run to the next, the fingerprint and what a tool says of its version, is
	// from the one alone.
	log, alone failure.Report
	files      []string
	names      *fileIndex
	// base is the head of the branch that the failing one goes into, and here how the check is red without the patch.
	base string
	here outcome
	// catalogue is the pipeline's with the repository's own fixers.
	catalogue *fix.Catalogue
	// candidates are the fixers that apply, cheapest first.
	candidates []fix.Match
	fixPlan    fix.Plan
	// kinds are what the plan does, for the danger score.
	kinds []policy.Kind
	// proposed is what a model's plan comes to, with the plans for the locks that go with it; prompt is an agent's question.
	proposed  *fixplan.Result
	followUps []fix.Plan
	prompt    string
	diff      []byte
	changes   *patch.Patch
	report    evidence.Report
}

// Execute works on one run. Everything it makes on disk is gone when it returns, except mirrors and caches.
func (p *FixPipeline) Execute(ctx context.Context, r store.Run) Result {
	w := &work{run: r, dir: filepath.Join(p.Dir, "work", fmt.Sprintf("%d-%d", r.ID, r.Fence)), settings: repoconfig.Default(), catalogue: p.Catalogue}
	if err := makeWorkDir(w.dir); err != nil {
		return Result{Err: fmt.Errorf("make the work folder: %w", err)}
	}
	defer p.clean(ctx, w.dir)
	defer p.prepare(ctx, w)
	for _, s := range p.stages() {
		began := time.Now()
		err := p.traced(ctx, s, w)
		if ctx.Err() != nil {
			return Result{Err: context.Cause(ctx), Evidence: w.report.JSON()}
		}
		p.note(ctx, w, s, err, time.Since(began))
		if err != nil {
			return p.ended(s, w, err)
		}
	}
	return p.fixed(w)
}

// traced does a stage in a span of its own.
func (p *FixPipeline) traced(ctx context.Context, s stage, w *work) error {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("github.com/sre-agent/sre-agent/services/runner").Start(ctx, "stage "+string(s.name))
	defer span.End()
	err := s.do(ctx, w)
	if reason, permanent := fault.Reason(err); permanent {
		span.SetAttributes(attribute.String("sre_agent.reason", reason))
	} else if err != nil {
		span.SetStatus(codes.Error, "")
	}
	return err
}

// note records a stage's verdict.
func (p *FixPipeline) note(ctx context.Context, w *work, s stage, err error, took time.Duration) {
	e := evidence.Stage{Name: string(s.name), Verdict: "pass", Seconds: took.Seconds()}
	result := telemetry.ResultOK
	if reason, permanent := fault.Reason(err); permanent {
		e.Verdict, e.Reason, e.Detail = string(stateOf(s, err)), reason, p.detail(err)
		result = telemetry.ResultEnd
	} else if err != nil {
		e.Verdict, e.Detail = "error", p.detail(err)
		result = telemetry.ResultFailed
	}
	w.report.Stages = append(w.report.Stages, e)
	p.Counters.StageTook(ctx, s.name, result, took)
	p.Log.InfoContext(ctx, "stage ended", "stage", e.Name, "verdict", e.Verdict,
		"reason", e.Reason, "detail", e.Detail, "seconds", e.Seconds)
	if p.OnStage != nil {
		p.OnStage(ctx, w.run, e)
	}
}

func (p *FixPipeline) ended(s stage, w *work, err error) Result {
	res := Result{Evidence: w.report.JSON(), Fingerprint: w.fingerprint()}
	reason, permanent := fault.Reason(err)
	if !permanent {
		res.Err = errors.New(p.detail(err))
		res.RetryAfter = fault.RetryAfter(err)
		return res
	}
	res.State, res.Reason, res.Explanation = stateOf(s, err), reason, p.detail(err)
	res.Rerun = p.Rerun && w.settings.Reruns() && passing(reason)
	return res
}

// passing says whether a run ended with what another try of the same job may well get over.
func passing(reason string) bool {
	return reason == string(failure.Infrastructure) || reason == string(failure.Flaky)
}

func (p *FixPipeline) fixed(w *work) Result {
	w.report.Way = way(w)
	if held, mode := heldBack(w.settings.Mode); held && w.report.Way == "" {
		p.keepDiff(w)
		res := Result{Evidence: w.report.JSON(), Fingerprint: w.fingerprint(), State: run.Declined, Reason: mode}
		res.Explanation = fmt.Sprintf("a verified fix was made; the repository's mode is %s, so no pull request is opened", w.settings.Mode)
		return res
	}
	res := Result{Evidence: w.report.JSON(), Fingerprint: w.fingerprint()}
	res.State = run.Fixed
	res.Explanation = explanation(len(w.changes.Files), w.fixPlan.Fixer)
	res.Fix = store.Fix{
		BaseCommit: w.run.Failure.Commit, Diff: w.diff, Digest: patch.Digest(w.diff), Fixer: w.fixPlan.Fixer,
		Title: w.fixPlan.Title, Explanation: res.Explanation, Fingerprint: res.Fingerprint, Evidence: res.Evidence,
		Trouble: failure.Trouble(w.alone),
	}
	return res
}

// way says whether the repository wants a patch in a comment: where a pull request's branch failed there is a place for one.
func way(w *work) string {
	f := w.run.Failure
	onBase := f.BaseBranch == "" || f.Branch == f.BaseBranch && !f.FromFork()
	wanted := w.settings.Mode == repoconfig.ModeSuggest ||
		w.settings.Mode == repoconfig.ModePR && (f.FromFork() || w.settings.PullRequestBranches == repoconfig.BranchComment)
	if onBase || !wanted {
		return ""
	}
	return evidence.ByComment
}

// heldBack says whether a mode keeps a fix from being published, and the reason that the run then ends with.
func heldBack(mode repoconfig.Mode) (held bool, reason string) {
	switch mode {
	case repoconfig.ModeShadow:
		return true, "shadow_mode"
	case repoconfig.ModeSuggest:
		return true, "suggest_mode"
	default:
		return false, ""
	}
}

// maxKeptDiff is the largest diff of a run without a fix that is kept, in bytes. It is what a fix may have.
const maxKeptDiff = 1_000_000

// keepDiff puts the diff into the evidence of a run that publishes none, for people to look at and for another policy
// to judge. One that holds anything like a secret, or that is no text, is not kept.
func (p *FixPipeline) keepDiff(w *work) {
	diff := string(w.diff)
	if len(diff) > maxKeptDiff || !utf8.ValidString(diff) || strings.ContainsRune(diff, 0) || p.Redact.String(diff) != diff {
		return
	}
	w.report.Diff = diff
}

// explanation is one sentence of our own words alone: it stands in the pull request as it is.
func explanation(files int, fixer string) string {
	switch fixer {
	case byModel:
		fixer = "a language model"
	case byAgent:
		fixer = "a coding agent"
	}
	if files == 1 {
		return fmt.Sprintf("One file did not pass the check below; this change, made by %s, turns it green.", fixer)
	}
	return fmt.Sprintf("%d files did not pass the check below; this change, made by %s, turns it green.", files, fixer)
}

func (w *work) fingerprint() string {
	if w.alone.Text == "" {
		return ""
	}
	// The workflow's name: the event of a job knows no more of it.
	f := w.run.Failure
	branch := f.Branch
	if f.FromFork() { // a fork's branch of the same name is another branch
		branch = f.HeadRepository + ":" + branch
	}
	return failure.Fingerprint(w.alone, f.Repository.ID, branch, cmp.Or(f.WorkflowName, f.Workflow))
}

// makeWorkDir makes the folder of one attempt. The sandbox runs under another user when the service is root: it
// has to be able to pass through, and nobody has to be able to list.
func makeWorkDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		return err
	}
	return nil
}

// prepare lays a tree ready for the repository's next run, once a run has got as far as to need trees.
func (p *FixPipeline) prepare(ctx context.Context, w *work) {
	if w.mirror == nil || w.fixPlan.Fixer == "" || ctx.Err() != nil {
		return
	}
	if err := w.mirror.Prepare(ctx, w.run.Failure.Commit); err != nil {
		p.Log.WarnContext(ctx, "no tree was prepared for the next run", "run_id", w.run.ID, "error", err)
	}
}

func (p *FixPipeline) clean(ctx context.Context, dir string) {
	if err := removeAll(dir); err != nil {
		p.Log.WarnContext(ctx, "work folder not removed", "dir", dir, "error", err)
	}
}

const maxDetail = 500

// detail is an error's text without its reason in front: redacted whole, and then bounded, so that no cut leaves
// half a secret.
func (p *FixPipeline) detail(err error) string {
	text := err.Error()
	var perm *fault.Permanent
	if errors.As(err, &perm) && perm.Err != nil {
		text = perm.Err.Error()
	}
	return bounded(p.Redact.String(text))
}

func bounded(text string) string {
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return text
}
