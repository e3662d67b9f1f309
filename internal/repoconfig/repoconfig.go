// Package repoconfig reads a repository's .sre-agent.yaml.
//
// It promises that a file is taken whole or refused with the line and what to do: nothing in it is passed over in
// silence. It reads bytes that came from the base branch; who calls it sees to that. Parsing is pure, and bounded: no
// anchors, aliases or tags, and no deep nesting.
package repoconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/policy"
)

const (
	// Path is where the file is in a repository.
	Path = ".sre-agent.yaml"
	// MaxBytes is the largest file that is read.
	MaxBytes = 64 << 10
	// ReasonBad is the reason of every error of Parse.
	ReasonBad = "bad_repo_config"
)

// Mode says how far the agent may go in a repository.
type Mode string

// The modes: do nothing, do everything but publish, propose a fix in a comment, open pull requests.
const (
	ModeOff     Mode = "off"
	ModeShadow  Mode = "shadow"
	ModeSuggest Mode = "suggest"
	ModePR      Mode = "pr"
)

// What a failure on the branch of somebody's pull request may lead to: a pull request against that branch, or a comment
// with the patch.
const (
	BranchPR      = "pr"
	BranchComment = "comment"
)

// Narrower says whether a mode is one, and allows less than another.
func (m Mode) Narrower(than Mode) bool {
	order := []Mode{ModeOff, ModeShadow, ModeSuggest, ModePR}
	i := slices.Index(order, m)
	return i >= 0 && i < slices.Index(order, than)
}

const (
	maxChecks = 100
	maxRun    = 8 << 10
	// maxPrepare is how many commands may prepare a check.
	maxPrepare = 20
)

// Config is a repository's settings.
type Config struct {
	Version int      `yaml:"version"`
	Mode    Mode     `yaml:"mode"`
	Checks  []Check  `yaml:"checks"`
	Fixers  []string `yaml:"fixers"`
	Policy  Policy   `yaml:"policy"`
	// CustomFixers are the repository's own.
	CustomFixers []CustomFixer `yaml:"custom_fixers"`
	// Prepare are the commands that fetch what the checks need, with a network and before there is a patch. Without them
	// the manifests say what is fetched; an empty list is for nothing at all.
	Prepare *[]string `yaml:"prepare"`
	// InstallScripts lets the packages that Prepare installs run their scripts.
	InstallScripts bool `yaml:"install_scripts"`
	// PullRequestBranches is BranchPR or BranchComment.
	PullRequestBranches string `yaml:"pull_request_branches"`
	// Forks has failures of pull requests from forks worked on, whose code is then run in the sandbox. What comes of it is a
	// comment at most.
	Forks bool `yaml:"forks"`
	// Rerun is false where a provider must not be asked to run a failure again that the code is not to blame for.
	Rerun *bool `yaml:"rerun"`
}

// Check names the command that is red when a workflow's job is red. An empty Workflow or Job fits every one.
type Check struct {
	Workflow string `yaml:"workflow"`
	Job      string `yaml:"job"`
	Run      string `yaml:"run"`
}

// Policy tightens the policy that holds without it.
type Policy = policy.Settings

// Default are the settings of a repository without a file.
func Default() *Config { return &Config{Version: 1, Mode: ModePR, PullRequestBranches: BranchPR} }

// Parse reads a file. An empty one is Default.
func Parse(data []byte) (cfg *Config, err error) {
	// The file is hostile and the YAML parser is somebody else's: a panic there is the file's fault, not ours.
	defer func() {
		if p := recover(); p != nil {
			cfg, err = nil, fault.Permf(ReasonBad, "%s cannot be read as YAML: simplify it", Path)
		}
	}()
	if len(data) > MaxBytes {
		return nil, fault.Permf(ReasonBad, "%s is %d bytes: make it at most %d", Path, len(data), MaxBytes)
	}
	if err := plain(data); err != nil {
		return nil, fault.Perm(ReasonBad, err)
	}
	cfg = Default()
	cfg.Version = 0
	switch err := decode(data, cfg); {
	case errors.Is(err, io.EOF):
		return Default(), nil
	case err != nil:
		return nil, fault.Perm(ReasonBad, err)
	}
	if err := cfg.validate(data); err != nil {
		return nil, fault.Perm(ReasonBad, err)
	}
	return cfg, nil
}

// decode reads the one document of a file. An empty file is io.EOF.
func decode(data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	switch err := dec.Decode(into); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return explain(err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s holds a second document: remove it", Path)
	}
	return nil
}

// explain keeps the line and the reason of a YAML error, and drops the excerpt of the file around it.
func explain(err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return fmt.Errorf("%s is no valid YAML: %s", Path, firstLine(err.Error()))
	}
	advice := "correct it"
	if strings.Contains(e.GetMessage(), "unknown field") {
		advice = "remove it or correct its name; known are version, mode, checks (workflow, job, run), fixers, custom_fixers (name, when, tool, fix, touches, check), prepare, install_scripts, pull_request_branches, forks, rerun and policy (allow, forbid, max_files, max_added_lines, max_removed_lines, max_bytes, max_safe_danger)"
	}
	return fmt.Errorf("%s, line %d: %s: %s", Path, e.GetToken().Position.Line, firstLine(e.GetMessage()), advice)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[:min(len(line), 200)]
}

var fixerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

func (c *Config) validate(data []byte) error {
	if c.Version != 1 {
		return at(data, "$.version", "version is %d: write version: 1", c.Version)
	}
	switch c.Mode {
	case ModeOff, ModeShadow, ModeSuggest, ModePR:
	default:
		return at(data, "$.mode", "mode is %q: write off, shadow, suggest or pr (off in quotes if your editor changes it)", c.Mode)
	}
	if c.PullRequestBranches != BranchPR && c.PullRequestBranches != BranchComment {
		return at(data, "$.pull_request_branches", "pull_request_branches is %q: write pr or comment", c.PullRequestBranches)
	}
	if len(c.Checks) > maxChecks {
		return at(data, "$.checks", "%d checks: write at most %d", len(c.Checks), maxChecks)
	}
	for i, check := range c.Checks {
		if strings.TrimSpace(check.Run) == "" || len(check.Run) > maxRun || strings.ContainsRune(check.Run, 0) {
			return at(data, fmt.Sprintf("$.checks[%d]", i), "check %d has no usable run: write the command that fails", i+1)
		}
	}
	for i, name := range c.Fixers {
		if !fixerName.MatchString(name) {
			return at(data, fmt.Sprintf("$.fixers[%d]", i), "%q is no fixer's name: use lower-case letters, digits and dashes", name)
		}
	}
	if err := c.validateCustom(data); err != nil {
		return err
	}
	if err := c.validatePrepare(data); err != nil {
		return err
	}
	return policyProblem(data, "$.policy", c.Policy)
}

func (c *Config) validatePrepare(data []byte) error {
	var commands []string
	if c.Prepare != nil {
		commands = *c.Prepare
	}
	switch {
	case len(commands) > maxPrepare:
		return at(data, "$.prepare", "%d commands to prepare: write at most %d", len(commands), maxPrepare)
	case c.InstallScripts && len(commands) == 0:
		return at(data, "$.install_scripts", "install_scripts is for the commands of prepare: write those too")
	}
	for i, command := range commands {
		if badCommand(command) {
			return at(data, fmt.Sprintf("$.prepare[%d]", i), "command %d of prepare is not usable: write one such as npm ci", i+1)
		}
	}
	return nil
}

// policyProblem says what is wrong with a policy whose settings are below a path.
func policyProblem(data []byte, below string, settings Policy) error {
	var p *policy.Problem
	if !errors.As(settings.Validate(), &p) {
		return nil
	}
	where := below + "." + p.Field
	if p.Index >= 0 {
		where = fmt.Sprintf("%s[%d]", where, p.Index)
	}
	return at(data, where, "%s", p.Text)
}

// at makes an error that says the line of what is at the path, if the file has it.
func at(data []byte, yamlPath, format string, args ...any) error {
	return fmt.Errorf("%s, line %d: %s", Path, lineOf(data, yamlPath), fmt.Sprintf(format, args...))
}

// lineOf is the line of what is at the path, 1 if the file doesn't have it.
func lineOf(data []byte, yamlPath string) int {
	if p, err := yaml.PathString(yamlPath); err == nil {
		if node, err := p.ReadNode(bytes.NewReader(data)); err == nil && node.GetToken() != nil {
			return node.GetToken().Position.Line
		}
	}
	return 1
}

// CheckFor returns the command that checks a workflow's job. The workflow is given by its name, its file's path
// or its file's name. An entry that names more wins; of two alike, the first.
func (c *Config) CheckFor(workflow, job string) (string, bool) {
	best, run := -1, ""
	for _, check := range c.Checks {
		score := 0
		if check.Job != "" {
			if !strings.EqualFold(check.Job, job) {
				continue
			}
			score += 2
		}
		if check.Workflow != "" {
			if !sameWorkflow(check.Workflow, workflow) {
				continue
			}
			score++
		}
		if score > best {
			best, run = score, check.Run
		}
	}
	return run, best >= 0
}

func sameWorkflow(want, have string) bool {
	return strings.EqualFold(want, have) || (strings.Contains(have, "/") && strings.EqualFold(want, path.Base(have)))
}

// Reruns says whether a provider may be asked to run a failure again: where pull requests may be opened, unless the
// file says no.
func (c *Config) Reruns() bool { return c.Mode == ModePR && (c.Rerun == nil || *c.Rerun) }

// Allows says whether the repository lets a fixer work; without a list, all may.
func (c *Config) Allows(fixer string) bool {
	return len(c.Fixers) == 0 || slices.Contains(c.Fixers, fixer)
}
