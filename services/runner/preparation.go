package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// prepareCheck fetches what a plan's check needs, before there is a patch: by the repository's own commands, else by its
// manifests. What can't be fetched ends the run, as nobody has been asked anything yet.
func (p *FixPipeline) prepareCheck(ctx context.Context, w *work, plan *fix.Plan) error {
	if w.settings.Prepare != nil {
		return p.prepareOwn(ctx, w, plan)
	}
	return p.prepareManifests(ctx, w, plan)
}

// prepareTool is the same for a fixer whose check is the repository's own. What the catalogue brings its own caches for
// needs nothing else, and where manifests can't be fetched, the check may do without: it is tried.
func (p *FixPipeline) prepareTool(ctx context.Context, w *work) error {
	plan := &w.fixPlan
	custom := slices.ContainsFunc(w.settings.CustomFixers, func(f repoconfig.CustomFixer) bool { return f.Name == plan.Fixer })
	if w.proposed != nil || w.prompt != "" || plan.CheckFrom != fix.CheckFromRepository && !custom {
		return nil // a proposal's was prepared before anybody was asked
	}
	if w.settings.Prepare != nil {
		return p.prepareOwn(ctx, w, plan)
	}
	if len(plan.Check.Caches) > 0 {
		return nil
	}
	err := p.prepareManifests(ctx, w, plan)
	if reason, _ := fault.Reason(err); reason == fix.ReasonPrepareFailed {
		p.Log.InfoContext(ctx, "the check is run without what it may need", "run_id", w.run.ID, "error", p.detail(err))
		return nil
	}
	return err
}

func (p *FixPipeline) prepareManifests(ctx context.Context, w *work, plan *fix.Plan) error {
	in := fix.Inputs{RepositoryID: w.run.Failure.Provider + ":" + w.run.Failure.Repository.ID, RepoFiles: w.files, Files: map[string][]byte{}, Tools: p.Tools}
	if err := p.readInto(ctx, w, in.Files, fix.PreparationWants(w.files)); err != nil {
		return err
	}
	found, skipped := fix.Preparations(in, plan.CheckCommand)
	for _, s := range skipped {
		w.report.Prepared = append(w.report.Prepared, evidence.Prepared{Name: s.Name, Skipped: p.detail(s.Why)})
	}
	for _, one := range found {
		res, err := p.step(ctx, w, one.Fetch, nil, "prepare-"+one.Name)
		if err != nil {
			return err
		}
		if err := p.notePrepared(w, one, res, nil); err != nil {
			return err
		}
		plan.Check = one.Prepared(plan.Check)
	}
	return nil
}

// prepareOwn runs the commands that the base branch's settings name, in a tree of their own as it is without the patch.
// That tree is thrown away; what they left in it beside the commit's files is put into each check's tree.
func (p *FixPipeline) prepareOwn(ctx context.Context, w *work, plan *fix.Plan) error {
	if len(*w.settings.Prepare) == 0 {
		return nil
	}
	own := fix.OwnPreparation(*w.settings.Prepare, w.settings.InstallScripts)
	tree, err := w.mirror.Checkout(ctx, w.run.Failure.Commit, filepath.Join(w.dir, "prepare-own"))
	if err != nil {
		return err
	}
	defer func() { _ = tree.Close() }() // the work folder goes as a whole
	res, err := p.step(ctx, w, own.Fetch, tree, "prepare-own")
	if err != nil {
		return err
	}
	var left []string
	if res.ExitCode == 0 {
		if left, err = p.takeLeft(w, tree); err != nil {
			return err
		}
	}
	if err := p.notePrepared(w, own, res, left); err != nil {
		return err
	}
	if own, err = own.Leaves(left); err != nil {
		return err
	}
	plan.Check = own.Prepared(plan.Check)
	return nil
}

// maxPreparedOutput is how much of a preparation's output is kept, in bytes: half of its beginning and half of its end.
const maxPreparedOutput = 4000

func ends(s string) string {
	if len(s) > maxPreparedOutput {
		s = s[:maxPreparedOutput/2] + "\n[...]\n" + s[len(s)-maxPreparedOutput/2:]
	}
	return strings.ToValidUTF8(s, "")
}

// notePrepared keeps what became of a preparation. One that failed is a no.
func (p *FixPipeline) notePrepared(w *work, one fix.Preparation, res sandbox.Result, left []string) error {
	output := p.Redact.String(res.Output)
	e := evidence.Prepared{Name: one.Name, Command: bounded(p.Redact.String(one.Command)), ExitCode: res.ExitCode, Killed: res.Killed, Seconds: res.Duration.Seconds()}
	e.Output = ends(output)
	for _, name := range left[:min(len(left), maxFindings)] {
		e.Left = append(e.Left, bounded(p.Redact.String(name)))
	}
	w.report.Prepared = append(w.report.Prepared, e)
	if res.ExitCode == 0 {
		return nil
	}
	advice := "; write prepare: in .sre-agent.yaml, with the commands that fetch it, or prepare: [] if it needs nothing"
	if one.Name == fix.ByRepository {
		advice = "; correct prepare: in .sre-agent.yaml"
	}
	return fault.Permf(fix.ReasonPrepareFailed, "what the check needs could not be fetched: %s (%s): %s%s", e.Command, how(res), tail(output), advice)
}

// takeLeft moves what a preparation left in its tree beside the commit's own files into a folder that no sandbox can
// write to, each under its number, and returns the names. The sandbox is gone by now, so nothing changes meanwhile, and
// only real folders of the commit are looked into. git's own folders are nobody's dependency.
func (p *FixPipeline) takeLeft(w *work, tree *gitrepo.Tree) ([]string, error) {
	root, err := os.OpenRoot(w.dir)
	if err != nil {
		return nil, fmt.Errorf("open the work folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	if err := os.MkdirAll(w.private(fix.LeftCache), 0o755); err != nil {
		return nil, fmt.Errorf("make a folder for what was fetched: %w", err)
	}
	base, err := filepath.Rel(w.dir, tree.Dir())
	if err != nil {
		return nil, err
	}
	left, err := leftIn(root, base, w.files)
	if err != nil {
		return nil, fault.Perm(fix.ReasonPrepareFailed, err)
	}
	for i, name := range left {
		to, err := filepath.Rel(w.dir, filepath.Join(w.private(fix.LeftCache), fmt.Sprint(i)))
		if err != nil {
			return nil, err
		}
		if err := root.Rename(path.Join(base, name), to); err != nil {
			return nil, fault.Perm(fix.ReasonPrepareFailed, fmt.Errorf("what it left can't be taken: %w", err))
		}
	}
	return left, nil
}

// maxLeft is how many new files and folders a preparation may leave in the tree.
const maxLeft = 300

// leftIn lists the topmost entries of a tree that are neither files nor folders of the commit.
func leftIn(root *os.Root, base string, files []string) (left []string, err error) {
	known, dirs := map[string]bool{}, []string{"."}
	for _, name := range files {
		for ; name != "." && !known[name]; name = path.Dir(name) {
			known[name] = true
			if dir := path.Dir(name); !known[dir] && dir != "." {
				dirs = append(dirs, dir)
			}
		}
	}
	for _, dir := range dirs {
		if !realDir(root, base, dir) {
			continue
		}
		f, err := root.Open(path.Join(base, dir))
		if err != nil {
			return nil, fmt.Errorf("look for what it left: %w", err)
		}
		entries, err := f.ReadDir(len(files) + 2*maxLeft) // a folder holds no more of the commit's than that
		_ = f.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("look for what it left: %w", err)
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if known[name] || strings.EqualFold(e.Name(), ".git") {
				continue
			}
			if left = append(left, name); len(left) > maxLeft {
				return nil, fmt.Errorf("it left more than %d new files and folders beside the repository's own: have it use one folder", maxLeft)
			}
		}
	}
	slices.Sort(left)
	return left, nil
}

// realDir says whether no part of a path is a link.
func realDir(root *os.Root, base, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		info, err := root.Lstat(path.Join(base, dir))
		if err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// private is the folder of a cache that only this attempt has.
func (w *work) private(name string) string { return filepath.Join(w.dir, "caches", name) }
