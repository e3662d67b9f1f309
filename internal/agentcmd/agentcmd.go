// Package agentcmd has an external coding agent edit a copy of a work tree.
//
// It promises that the agent runs in the sandbox and nowhere else: no environment of ours, no credential, no network but
// the one that Options.Network opens; that it can change the copy alone, and not the question; that nothing of it is
// alive when Run returns; and that what it says is a bounded, redacted text that decides nothing. Its change is taken
// from the copy and judged like any fixer's.
package agentcmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// Why an agent's work is not taken. The set is closed.
const (
	// ReasonFailed: the command ended with an error, or was stopped.
	ReasonFailed = "agent_failed"
	// ReasonNothingChanged and ReasonTouchedOther are those of the fixers.
	ReasonNothingChanged = "nothing_changed"
	ReasonTouchedOther   = "touched_other_files"
)

// The question's place inside of the sandbox, and the variable that names it.
const (
	PromptVar  = "SRE_AGENT_PROMPT"
	promptDir  = "/prompt"
	promptFile = "question.md"
)

// Sandbox runs a script.
type Sandbox interface {
	Run(ctx context.Context, spec sandbox.Spec) (sandbox.Result, error)
}

// Tree is the copy that the agent edits.
type Tree interface {
	Dir() string
	Mounts() []gitrepo.Mount
	Changed(ctx context.Context) ([]string, error)
}

// Options are what a Command is made from.
type Options struct {
	// Command is a shell command.
	Command string
	// Timeout bounds one run; the other limits are the sandbox's.
	Timeout time.Duration
	Limits  sandbox.Limits
	Sandbox Sandbox
	// Network opens the way out of one run's sandbox, through a proxy that holds the hosts' list and the credential. Nil
	// is no network.
	Network func(*sandbox.Spec)
	// Redact takes secrets out of what the agent prints.
	Redact func(string) string
}

// Command is an external coding agent. It is safe for concurrent use.
type Command struct{ o Options }

// New makes a Command.
func New(o Options) *Command {
	o.Limits.Time = o.Timeout
	o.Limits.Output = maxOutput
	return &Command{o}
}

const (
	// maxOutput is how much of the agent's output is looked at.
	maxOutput = 64 << 10
	// maxShown is how much of it is kept as evidence.
	maxShown = 4000
	// maxListed is how many changed files are kept as evidence.
	maxListed = 50
)

// Task is one question. Dir is an empty folder of this run alone, outside of the tree. MayTouch says which files the
// agent may change; nil leaves that to the policy.
type Task struct {
	Prompt   string
	Dir      string
	MayTouch func(path string) bool
}

// Evidence says what the agent did.
type Evidence struct {
	Command string `json:"command"`
	// Prompt is the question's digest.
	Prompt   string   `json:"prompt"`
	ExitCode int      `json:"exit_code"`
	Killed   string   `json:"killed,omitempty"`
	Output   string   `json:"output"`
	Seconds  float64  `json:"seconds"`
	Changed  []string `json:"changed,omitempty"`
}

// Run has the agent edit the tree. If the process dies meanwhile, the kernel ends the sandbox, and the tree is a copy
// that nobody looks at again. An error is permanent with a reason of this package, or may pass; the tree is to be thrown
// away then.
func (c *Command) Run(ctx context.Context, tree Tree, task Task) (Evidence, error) {
	sum := sha256.Sum256([]byte(task.Prompt))
	e := Evidence{Command: c.o.Redact(c.o.Command), Prompt: "sha256:" + hex.EncodeToString(sum[:]), ExitCode: -1}
	spec, err := c.spec(tree, task)
	if err != nil {
		return e, err
	}
	res, err := c.o.Sandbox.Run(ctx, spec)
	e.ExitCode, e.Killed, e.Seconds = res.ExitCode, res.Killed, res.Duration.Seconds()
	e.Output = shown(c.o.Redact(res.Output))
	if err != nil {
		return e, fmt.Errorf("run the agent in the sandbox: %w", err)
	}
	if res.Killed != "" {
		return e, fault.Permf(ReasonFailed, "the agent was stopped: %s", res.Killed)
	}
	if res.ExitCode != 0 {
		return e, fault.Permf(ReasonFailed, "the agent ended with exit code %d", res.ExitCode)
	}
	changed, err := tree.Changed(ctx)
	if err != nil {
		return e, err
	}
	e.Changed = changed[:min(len(changed), maxListed)]
	if len(changed) == 0 {
		return e, fault.Permf(ReasonNothingChanged, "the agent changed nothing")
	}
	for _, path := range changed {
		if task.MayTouch != nil && !task.MayTouch(path) {
			return e, fault.Permf(ReasonTouchedOther, "the agent changed %q, which the failure does not name", path)
		}
	}
	return e, nil
}

// spec shows the agent the tree and, read-only, the question.
func (c *Command) spec(tree Tree, task Task) (sandbox.Spec, error) {
	dir := filepath.Join(task.Dir, "prompt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return sandbox.Spec{}, fmt.Errorf("make the question's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, promptFile), []byte(task.Prompt), 0o444); err != nil {
		return sandbox.Spec{}, fmt.Errorf("write the question: %w", err)
	}
	spec := sandbox.Spec{
		Script: c.o.Command, Dir: tree.Dir(), Limits: c.o.Limits,
		Mounts: []sandbox.Mount{{Host: dir, Inside: promptDir}},
		Env:    map[string]string{PromptVar: promptDir + "/" + promptFile},
	}
	for _, m := range tree.Mounts() {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: m.Host, Inside: m.Inside})
	}
	if c.o.Network != nil {
		c.o.Network(&spec)
	}
	return spec, nil
}

// shown is the end of an output: it says what the agent thinks that it has done.
func shown(output string) string {
	output = strings.TrimSpace(output)
	if len(output) > maxShown {
		output = "[...]\n" + strings.ToValidUTF8(output[len(output)-maxShown:], "")
	}
	return output
}
