package fix

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// CannotRun is the exit status by which a check says that it couldn't tell: neither red nor green.
const CannotRun = 125

// WrongTool and UnknownTool are the exit statuses by which a fix says that the tree needs another version of a tool, or
// doesn't say which.
const (
	WrongTool   = 121
	UnknownTool = 122
)

// Access is what a step sees of the work tree.
type Access string

// The kinds of access. A step that only reads may still be given a tree that is thrown away after it.
const (
	AccessNone  Access = "none"
	AccessRead  Access = "read"
	AccessWrite Access = "write"
)

// Where a plan's check comes from.
const (
	CheckFromRepository = "repository"
	CheckFromLog        = "log"
	CheckFromFixer      = "fixer"
)

// Inputs are what a plan is made from.
type Inputs struct {
	Match  Match
	Report failure.Report
	// RepositoryID names the caches that belong to one repository alone.
	RepositoryID string
	// RepoFiles are the paths of the failing commit; Files the contents of those that Wants names, which may
	// lack some.
	RepoFiles []string
	Files     map[string][]byte
	// Tools are the programs that the sandbox has, with what each says of its version ("" when unknown), such as
	// "go": "go1.26.8". A nil map is a sandbox without programs.
	Tools map[string]string
	// Check is the command that the repository's settings name, if they do.
	Check string
}

// Plan says how a fixer works on one repository: Prepare (if not nil) once, then Fix on the work tree, and Check
// on both the tree as it was and the tree as it is after.
type Plan struct {
	Fixer string
	Title string
	// Kind says how much its work can go wrong.
	Kind policy.Kind
	// Dir is the folder that the fixer works in, "." for the root.
	Dir     string
	Prepare *Step
	Fix     Step
	Check   Step
	// CheckCommand is the check as a person reads it, and CheckFrom where it comes from.
	CheckCommand string
	CheckFrom    string
	// Files are the only files that the fixer may touch; if empty, those that Touches fits.
	Files   []string
	Touches []string
}

// Step is one script, for "sh -e -c" with the root of the work tree as working folder (an empty folder when Tree is
// AccessNone). It needs PATH, and uses TMPDIR if it is set.
type Step struct {
	Script  string
	Network bool
	Tree    Access
	Caches  []Cache
	// Files are put into the empty folder of a step that sees no tree, before its script runs: copies of what the
	// repository holds under the same paths.
	Files map[string][]byte
}

// Cache is a folder that outlives a step. Its path is in the variable Env. Who runs the step lets one writer at a
// time to a cache of one name. A private one belongs to one run and ends with it.
type Cache struct {
	Name     string
	Env      string
	Writable bool
	Private  bool
}

// MayTouch says whether the fixer may have changed, added or removed the file.
func (p Plan) MayTouch(name string) bool {
	if len(p.Files) > 0 {
		for _, f := range p.Files {
			if f == name {
				return true
			}
		}
		return false
	}
	return ownFile(name) && matchesAny(p.Touches, name)
}

// decision is what a rule finds out: the values for an entry's templates, and the words around them.
type decision struct {
	dir    string
	files  []string
	values map[string]any
	// command is the failing command when the rule could resolve it further than the log did.
	command string
	// seeds are the files of the preparing step. ready says that the sandbox has the right tool already, so that
	// nothing has to be prepared. touches narrows the entry's own.
	seeds   map[string][]byte
	ready   bool
	touches []string
}

type rule func(e *entry, in Inputs) (decision, error)

func rules() map[string]rule {
	return map[string]rule{
		"gofmt": gofmtRule, "go-module": goModuleRule, "prettier": prettierRule,
		"go-tool": goToolRule, "buf": bufRule, "golangci-lint": golangciRule,
		"rust": rustRule, "clippy": clippyRule, "cargo-lock": cargoLockRule,
		"generated": generatedRule, "terraform": terraformRule, "pre-commit": preCommitRule,
		"biome": biomeRule, "node-linter": nodeLinterRule, "node-lock": nodeLockRule, "dist": distRule,
		"python-formatter": pythonFormatterRule, "python-lock": pythonLockRule, "dotnet": dotnetRule, "wrapper": wrapperRule,
	}
}

// Plan makes a plan for a match, or declines: every error is permanent with a reason of this package.
func (c *Catalogue) Plan(in Inputs) (Plan, error) {
	e := c.entry(in.Match.Fixer)
	if e == nil {
		return Plan{}, fault.Permf(ReasonNoFixer, "no fixer is called %q", in.Match.Fixer)
	}
	for _, program := range e.Needs {
		if _, ok := in.Tools[program]; !ok {
			return Plan{}, fault.Permf(ReasonToolMissing, "%s needs %s, which the sandbox doesn't have", e.Name, program)
		}
	}
	d, err := e.decide(e, in)
	if err != nil {
		return Plan{}, err
	}
	d.values["Dir"] = Quote(d.dir)
	d.values["Repository"] = shortHash(in.RepositoryID)
	p := Plan{Fixer: e.Name, Title: e.Title, Kind: e.Kind, Dir: d.dir, Files: d.files, Touches: e.Touches}
	if d.touches != nil {
		p.Touches = d.touches
	}
	if p.Fix, err = e.step(e.Fix, d); err != nil {
		return Plan{}, err
	}
	if e.Prepare != nil && !d.ready {
		step, err := e.step(*e.Prepare, d)
		if err != nil {
			return Plan{}, err
		}
		step.Files = d.seeds
		p.Prepare = &step
	}
	if err := e.check(&p, in, d); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// check chooses the check: the one that the repository names, else the failing command if it is known, else the
// fixer's own.
func (e *entry) check(p *Plan, in Inputs, d decision) error {
	own := e.Check
	var err error
	if p.Check, err = e.step(own, d); err != nil {
		return err
	}
	p.CheckFrom = CheckFromFixer
	if p.CheckCommand, err = render(own.Script, d.values); err != nil {
		return fmt.Errorf("fix: %s: %w", e.Name, err)
	}
	p.CheckCommand = strings.TrimSpace(p.CheckCommand)
	command := strings.TrimSpace(in.Check)
	if command != "" {
		p.CheckFrom = CheckFromRepository
	} else if known, ok := e.knownCheck(d.command); ok {
		p.CheckFrom, command = CheckFromLog, known
	} else {
		return nil
	}
	p.CheckCommand = command
	// As the CI would: in bash where there is one. The tree may be written to, as builds do.
	own.Script, own.Tree = inShell(inDir(d.dir, p.CheckFrom, command)), AccessWrite
	p.Check = Step{Script: e.assemble(own, own.Script), Tree: own.Tree, Caches: p.Check.Caches}
	return nil
}

// inDir puts a resolved command into the folder that it was resolved for. A repository's own check starts at the
// root, where people expect it to.
func inDir(dir, from, command string) string {
	if from == CheckFromRepository || dir == "." || strings.HasPrefix(command, "cd ") || strings.HasPrefix(command, "go -C ") {
		return command
	}
	return "cd -- " + Quote(dir) + "\n" + command
}

func (e *entry) step(s stepSpec, d decision) (Step, error) {
	script, err := render(s.Script, d.values)
	if err != nil {
		return Step{}, fmt.Errorf("fix: %s: %w", e.Name, err)
	}
	caches, err := e.caches(s, d)
	return Step{Script: e.assemble(s, script), Network: s.Network, Tree: s.Tree, Caches: caches}, err
}

// assemble puts what every step of the entry needs before a script.
func (e *entry) assemble(s stepSpec, script string) string {
	var parts []string
	for _, part := range []string{e.Setup, s.Setup, script} {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "\n") + "\n"
}

func (e *entry) caches(s stepSpec, d decision) ([]Cache, error) {
	var out []Cache
	for _, c := range e.Caches {
		name, err := render(c.Name, d.values)
		if err != nil {
			return nil, fmt.Errorf("fix: %s: cache: %w", e.Name, err)
		}
		out = append(out, Cache{Name: name, Env: c.Env, Writable: s.Fills})
	}
	return out, nil
}

func render(text string, values map[string]any) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	return b.String(), nil
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// relative takes the folder off the paths below it, and leaves out those that are elsewhere.
func relative(dir string, files []string) []string {
	if dir == "." {
		return files
	}
	var out []string
	for _, f := range files {
		if rest, ok := strings.CutPrefix(f, dir+"/"); ok {
			out = append(out, rest)
		}
	}
	return out
}

// dirsWith are the folders of the repository's own files of that name, the root as ".".
func dirsWith(name string, repoFiles []string) []string {
	var out []string
	for _, f := range repoFiles {
		if path.Base(f) == name && ownFile(f) {
			out = append(out, path.Dir(f))
		}
	}
	return out
}
