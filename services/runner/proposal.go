package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/sre-agent/sre-agent/internal/agentcmd"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/fixplan"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/model"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// reasonFollowUp: a lock file that the plan leaves stale can't be refreshed here.
const reasonFollowUp = "follow_up"

// The names of the candidates that are no tool's.
const (
	byModel = "model"
	byAgent = "agent"
)

// Proposer asks a language model for a plan.
type Proposer interface {
	Propose(ctx context.Context, in model.Input) (fixplan.Plan, model.Evidence, error)
}

// Agent is an external coding agent.
type Agent interface {
	Run(ctx context.Context, tree agentcmd.Tree, task agentcmd.Task) (agentcmd.Evidence, error)
}

// asks says whether there is somebody to ask when no tool knows a failure.
func (p *FixPipeline) asks(w *work) bool {
	return p.Model != nil && w.settings.Allows(byModel) || p.Agent != nil && w.settings.Allows(byAgent)
}

// propose is for what no tool mends: the model is asked for a plan, and where it has none, the agent is to edit a copy.
// Neither is asked before there is a check that can tell red from green.
func (p *FixPipeline) propose(ctx context.Context, w *work) error {
	check, command, from, err := w.catalogue.CommandCheck(p.namedCheck(w), w.alone.Command)
	if err != nil {
		return err
	}
	plan := fix.Plan{Check: check, CheckCommand: command, CheckFrom: from, Dir: "."}
	if err := p.prepareCheck(ctx, w, &plan); err != nil {
		return err
	}
	in, err := p.question(ctx, w)
	if err != nil {
		return err
	}
	var no error
	if p.Model != nil && w.settings.Allows(byModel) {
		no = p.askModel(ctx, w, in, plan)
		if _, permanent := fault.Reason(no); no == nil || !permanent {
			return no
		}
	}
	if p.Agent == nil || !w.settings.Allows(byAgent) {
		return no
	}
	plan.Fixer, plan.Title, plan.Kind, plan.Touches = byAgent, "Mend the failing check as a coding agent did", policy.KindAgent, []string{"**"}
	w.report.Fixer, w.fixPlan, w.kinds = byAgent, plan, []policy.Kind{policy.KindAgent}
	w.prompt, err = model.AgentPrompt(in, p.PromptBytes, p.Secrets, p.Redact.String)
	return err
}

// question is what a model and an agent get to know: the failure, and the files that it names.
func (p *FixPipeline) question(ctx context.Context, w *work) (model.Input, error) {
	r := w.log
	in := model.Input{
		RunID: w.run.ID, RepositoryID: w.run.RepositoryID, Class: string(r.Class), Command: r.Command, Named: r.Files, Files: map[string][]byte{},
	}
	for _, l := range r.Excerpt {
		in.Excerpt = append(in.Excerpt, model.Line(l))
	}
	for _, d := range r.Diagnostics {
		in.Diagnostics = append(in.Diagnostics, model.Diagnostic{Tool: d.Tool, File: d.File, Line: d.Line, Rule: d.Rule, Message: d.Message})
	}
	for _, name := range model.Wants(in, w.files, p.rules(w)) {
		data, ok, err := w.mirror.ReadFile(ctx, w.run.Failure.Commit, name, model.MaxFile)
		if _, permanent := fault.Reason(err); err != nil && !permanent {
			return in, err
		}
		if err == nil && ok {
			in.Files[name] = data
		}
	}
	return in, nil
}

// askModel asks for a plan and applies it to the commit's files. What was asked and what it cost is evidence whatever
// came of it.
func (p *FixPipeline) askModel(ctx context.Context, w *work, in model.Input, plan fix.Plan) error {
	proposed, e, err := p.Model.Propose(ctx, in)
	noted := evidence.Model(e)
	w.report.Model = &noted
	if err != nil {
		return err
	}
	p.notePlan(w, proposed)
	result, err := fixplan.Apply(proposed, func(name string) ([]byte, bool, error) { return p.readFile(ctx, w, name) })
	if err != nil {
		return err
	}
	followUps, err := p.planFollowUps(ctx, w, result)
	if err != nil {
		return err
	}
	plan.Fixer, plan.Title = byModel, "Mend the failing check as a language model proposed"
	plan.Files = slices.Sorted(maps.Keys(result.Changed))
	for _, f := range result.FollowUps {
		plan.Files = append(plan.Files, f.Lock)
	}
	w.kinds = nil
	for _, i := range result.Done {
		w.kinds = append(w.kinds, policy.Kind(proposed.Operations[i].Kind))
	}
	// Only what can be carried out whole is noted: an agent that is asked instead must find none of it.
	w.report.Fixer, w.fixPlan, w.proposed, w.followUps = byModel, plan, &result, followUps
	return nil
}

// readFile reads a regular file of the failing commit.
func (p *FixPipeline) readFile(ctx context.Context, w *work, name string) ([]byte, bool, error) {
	if !slices.Contains(w.files, name) {
		return nil, false, nil
	}
	data, ok, err := w.mirror.ReadFile(ctx, w.run.Failure.Commit, name, maxManifest)
	if _, permanent := fault.Reason(err); permanent {
		return nil, false, nil
	}
	return data, ok, err
}

// notePlan keeps what a model proposed, made clean.
func (p *FixPipeline) notePlan(w *work, plan fixplan.Plan) {
	clean := p.Redact.String
	e := &evidence.Plan{RootCause: clean(plan.RootCause), Category: plan.Category, Confidence: plan.Confidence}
	for _, op := range plan.Operations {
		details, err := json.Marshal(op.Details)
		if err != nil {
			details = nil // texts always encode
		}
		e.Operations = append(e.Operations, evidence.Operation{
			Kind: string(op.Kind), File: clean(op.File), Details: bounded(clean(string(details))), Rationale: clean(op.Rationale), Evidence: clean(op.Evidence),
		})
	}
	w.report.Plan = e
}

// planFollowUps plans how the locks of changed manifests are refreshed, by the catalogue's own entries.
func (p *FixPipeline) planFollowUps(ctx context.Context, w *work, result fixplan.Result) (plans []fix.Plan, err error) {
	for _, f := range result.FollowUps {
		name := fix.LockFixer(f.Tool)
		report := failure.Report{Files: []string{f.Manifest, f.Lock}}
		if dir := path.Dir(f.Lock); dir != "." {
			report.Command = "cd " + fix.Quote(dir)
		}
		in, err := p.inputs(ctx, w, fix.Match{Fixer: name, Files: []string{f.Lock}}, report)
		if err != nil {
			return nil, err
		}
		maps.Copy(in.Files, result.Changed)
		plan, err := w.catalogue.Plan(in)
		if err != nil {
			return nil, fault.Permf(reasonFollowUp, "%q goes with %q and can't be refreshed here: %s", f.Lock, f.Manifest, p.detail(err))
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

// carryOut makes a proposed change in a tree: a model's plan with its locks, or what an agent edits.
func (p *FixPipeline) carryOut(ctx context.Context, w *work, tree *gitrepo.Tree) error {
	if w.proposed == nil {
		return p.haveEdited(ctx, w, tree)
	}
	if err := overwrite(tree.Dir(), w.proposed.Changed); err != nil {
		return err
	}
	for i, plan := range w.followUps {
		if err := p.followUp(ctx, w, plan, tree, fmt.Sprintf("follow-up-%d", i)); err != nil {
			return err
		}
	}
	return nil
}

func (p *FixPipeline) followUp(ctx context.Context, w *work, plan fix.Plan, tree *gitrepo.Tree, name string) error {
	if plan.Prepare != nil {
		res, err := p.step(ctx, w, *plan.Prepare, nil, name)
		if err != nil {
			return err
		}
		if res.ExitCode != 0 {
			return fault.Permf(reasonFollowUp, "preparing %s failed (%s): %s", plan.Fixer, how(res), tail(p.Redact.String(res.Output)))
		}
	}
	res, err := p.step(ctx, w, plan.Fix, tree, name)
	if err != nil {
		return err
	}
	if res.ExitCode != 0 {
		return fault.Permf(reasonFollowUp, "%s failed (%s): %s", plan.Fixer, how(res), tail(p.Redact.String(res.Output)))
	}
	return nil
}

// haveEdited has the agent edit the tree. What it may change is the policy's to say.
func (p *FixPipeline) haveEdited(ctx context.Context, w *work, tree *gitrepo.Tree) error {
	dir := filepath.Join(w.dir, "agent")
	if err := os.Mkdir(dir, 0o711); err != nil {
		return fmt.Errorf("make the agent's folder: %w", err)
	}
	e, err := p.Agent.Run(ctx, tree, agentcmd.Task{Prompt: w.prompt, Dir: dir})
	noted := evidence.Agent(e)
	w.report.Agent = &noted
	return err
}

// overwrite gives files of a fresh tree, which nobody's code has touched yet, other contents. Modes stay.
func overwrite(dir string, files map[string][]byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for name, data := range files {
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
