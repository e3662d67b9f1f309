package runner

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// patch runs the fixer on a fresh tree and takes the difference that it made.
func (p *FixPipeline) patch(ctx context.Context, w *work) error {
	if err := p.prepareTool(ctx, w); err != nil {
		return err
	}
	if w.fixPlan.Prepare != nil {
		res, err := p.step(ctx, w, *w.fixPlan.Prepare, nil, "prepare")
		if err != nil {
			return err
		}
		if res.ExitCode != 0 {
			return fault.Permf(fix.ReasonFixerFailed, "preparing %s failed (%s): %s", w.fixPlan.Fixer, how(res), tail(p.Redact.String(res.Output)))
		}
	}
	tree, err := w.mirror.Checkout(ctx, w.run.Failure.Commit, filepath.Join(w.dir, "fix"))
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // the work folder goes as a whole
	if err := p.change(ctx, w, tree); err != nil {
		return err
	}
	changed, err := tree.Changed(ctx)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		return p.nothingChanged(ctx, w)
	}
	for _, path := range changed {
		if !w.fixPlan.MayTouch(path) {
			return fault.Permf(fix.ReasonTouchedOther, "%s changed %q, which the failure does not name", w.fixPlan.Fixer, path)
		}
	}
	if w.diff, err = tree.Diff(ctx); err != nil {
		return err
	}
	w.changes, err = patch.Parse(w.diff)
	w.report.Files, w.report.Digest = changed, patch.Digest(w.diff)
	return err
}

// change makes the change in a fresh tree.
func (p *FixPipeline) change(ctx context.Context, w *work, tree *gitrepo.Tree) error {
	if w.proposed != nil || w.prompt != "" {
		return p.carryOut(ctx, w, tree)
	}
	res, err := p.step(ctx, w, w.fixPlan.Fix, tree, "fix")
	if err != nil {
		return err
	}
	if res.ExitCode != 0 {
		return fault.Permf(fix.ExitReason(res.ExitCode), "%s failed (%s): %s", w.fixPlan.Fixer, how(res), tail(p.Redact.String(res.Output)))
	}
	return nil
}

// patchPolicy judges the patch.
func (p *FixPipeline) patchPolicy(_ context.Context, w *work) error {
	v := policy.Check(w.changes, p.rules(w), w.kinds...)
	w.report.Policy = &evidence.Policy{Class: v.Class, Danger: v.Danger.Score}
	for _, d := range v.Details[:min(len(v.Details), maxFindings)] {
		w.report.Policy.Findings = append(w.report.Policy.Findings, p.Redact.String(fmt.Sprintf("%s %q: %s", d.Rule, d.File, d.Message)))
	}
	for _, part := range v.Danger.Parts {
		w.report.Policy.Parts = append(w.report.Policy.Parts, fmt.Sprintf("%s %d", part.Name, part.Points))
	}
	if !v.Allowed {
		p.keepDiff(w)
	}
	return verdict(v)
}

// maxFindings is how many broken rules are kept as evidence.
const maxFindings = 20

// scan looks for secrets in the lines that the patch adds, and has the configured scanners compare the trees. A scanner
// that fails twice is a no as well.
func (p *FixPipeline) scan(ctx context.Context, w *work) error {
	var findings []scan.Finding
	err := p.twice(ctx, func() (err error) {
		findings, err = p.Scanner.Scan(ctx, w.changes)
		return err
	})
	if err != nil {
		return err
	}
	w.report.Scan = &evidence.Scan{Secrets: len(findings)}
	if len(findings) > 0 {
		f := findings[0]
		return fault.Permf(scan.ReasonFound, "the patch would add a secret: rule %s, %q line %d", f.Rule, f.File, f.Line)
	}
	return p.compare(ctx, w)
}

// twice gives what fails, but for the end of ctx, one more chance.
func (p *FixPipeline) twice(ctx context.Context, try func() error) error {
	err := try()
	if err != nil && ctx.Err() == nil {
		p.Counters.ScanFailed(ctx, telemetry.ScanRetried)
		p.Log.WarnContext(ctx, "the scanner failed; it is tried once more", "error", p.detail(err))
		err = try()
	}
	if err != nil && ctx.Err() == nil {
		p.Counters.ScanFailed(ctx, telemetry.ScanGivenUp)
		return fault.Perm("scan_failed", err)
	}
	return err
}

// compare has the configured scanners look at the tree without the patch and with it.
func (p *FixPipeline) compare(ctx context.Context, w *work) error {
	if !p.Programs.Any() {
		return nil
	}
	before, err := w.mirror.Checkout(ctx, w.run.Failure.Commit, filepath.Join(w.dir, "scan-before"))
	if err != nil {
		return err
	}
	defer func() { _ = before.Close() }() // the work folder goes as a whole
	after, err := w.mirror.Checkout(ctx, w.run.Failure.Commit, filepath.Join(w.dir, "scan-after"))
	if err != nil {
		return err
	}
	defer func() { _ = after.Close() }()
	if err := after.Apply(ctx, w.diff); err != nil {
		return err
	}
	var issues []scan.Issue
	err = p.twice(ctx, func() (err error) {
		issues, err = p.Programs.Compare(ctx, before.Dir(), after.Dir())
		return err
	})
	if err != nil {
		return err
	}
	w.report.Scan.Compared, w.report.Scan.Issues = true, len(issues)
	if len(issues) > 0 {
		return fault.Permf(scan.ReasonVulnerable, "the patch would add what %s finds: %q in %q", issues[0].Scanner, issues[0].ID, issues[0].Package)
	}
	return nil
}

// step runs one script of a plan in the sandbox. A step without a tree gets an empty folder.
func (p *FixPipeline) step(ctx context.Context, w *work, s fix.Step, tree *gitrepo.Tree, name string) (sandbox.Result, error) {
	spec := sandbox.Spec{Script: "set -e\n" + s.Script, Network: s.Network, Env: map[string]string{}, Limits: p.Limits}
	if s.Network {
		spec.Env["GOPROXY"] = p.GoProxy
	}
	if tree == nil {
		spec.Dir = filepath.Join(w.dir, name)
		if err := emptyFolder(spec.Dir, s.Files); err != nil {
			return sandbox.Result{}, fmt.Errorf("make a folder for %s: %w", name, err)
		}
	} else {
		spec.Dir = tree.Dir()
		for _, m := range tree.Mounts() {
			spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: m.Host, Inside: m.Inside})
		}
	}
	mounts, env, unlock, err := p.caches(ctx, w, s.Caches)
	if err != nil {
		return sandbox.Result{}, err
	}
	defer unlock()
	spec.Mounts = append(spec.Mounts, mounts...)
	maps.Copy(spec.Env, env)
	res, err := p.Sandbox.Run(ctx, spec)
	p.countSandbox(ctx, res, err)
	if err != nil {
		return res, fmt.Errorf("run %s in the sandbox: %w", name, err)
	}
	return res, nil
}

// countSandbox counts a sandbox that did not bring its script to an end, unless we ended it ourselves.
func (p *FixPipeline) countSandbox(ctx context.Context, res sandbox.Result, err error) {
	switch {
	case res.Killed == sandbox.KilledCancelled || ctx.Err() != nil:
	case err != nil:
		p.Counters.SandboxFailed(ctx, telemetry.SandboxError)
	case res.Killed != "":
		p.Counters.SandboxFailed(ctx, telemetry.SandboxFailure(res.Killed))
	}
}

// emptyFolder makes a folder that holds copies of some of a repository's files, whose paths can't lead out of it.
func emptyFolder(dir string, files map[string][]byte) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for name, data := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// caches shows a step its caches. A cache has one writer at a time.
func (p *FixPipeline) caches(ctx context.Context, w *work, caches []fix.Cache) (mounts []sandbox.Mount, env map[string]string, unlock func(), err error) {
	var unlocks []func()
	unlock = func() {
		for _, u := range unlocks {
			u()
		}
	}
	env = map[string]string{}
	for _, c := range caches {
		host := filepath.Join(p.Dir, "caches", c.Name)
		if c.Private {
			host = w.private(c.Name)
		}
		var u func()
		if u, err = useCache(ctx, host, c.Writable); err != nil {
			break
		}
		unlocks = append(unlocks, u)
		inside := "/cache/" + c.Name
		mounts = append(mounts, sandbox.Mount{Host: host, Inside: inside, Writable: c.Writable})
		env[c.Env] = inside
	}
	if err != nil {
		unlock()
		return nil, nil, nil, fmt.Errorf("open cache: %w", err)
	}
	return mounts, env, unlock, nil
}

func how(res sandbox.Result) string {
	if res.Killed != "" {
		return "stopped: " + res.Killed
	}
	return fmt.Sprintf("exit code %d", res.ExitCode)
}

func tail(s string) string {
	const most = 300
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, ""))
}
