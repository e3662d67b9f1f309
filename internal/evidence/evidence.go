// Package evidence is what a run's pipeline found out and did, as it is stored with the attempt and told in the
// pull request. It is pure.
package evidence

import "encoding/json"

// Stage is one stage's verdict.
type Stage struct {
	Name    string  `json:"name"`
	Verdict string  `json:"verdict"` // pass, decline, block, error
	Reason  string  `json:"reason,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Line is a line of a log with its number.
type Line struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// Diagnostic is what a tool says about a place in a file.
type Diagnostic struct {
	Tool    string `json:"tool,omitempty"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message"`
}

// CheckRun is one execution of the failing check.
type CheckRun struct {
	ExitCode int     `json:"exit_code"`
	Output   string  `json:"output"`
	Seconds  float64 `json:"seconds"`
}

// Prepared is one step that fetched what the check needs, before there was a patch.
type Prepared struct {
	// Name is the ecosystem, or "repository" where the commands are its own.
	Name     string  `json:"name"`
	Command  string  `json:"command,omitempty"`
	ExitCode int     `json:"exit_code"`
	Killed   string  `json:"killed,omitempty"`
	Output   string  `json:"output,omitempty"`
	Seconds  float64 `json:"seconds"`
	// Left are the files and folders beside the commit's own that the check finds too.
	Left []string `json:"left,omitempty"`
	// Skipped says why it was not tried.
	Skipped string `json:"skipped,omitempty"`
}

// Check is the failing check before and after the patch.
type Check struct {
	Command string `json:"command"`
	// Source says where the command is from: repository, log or fixer.
	Source string   `json:"source"`
	Before CheckRun `json:"before"`
	// After is empty when the check was not run again.
	After CheckRun `json:"after,omitzero"`
	// Base is the check on the base branch, without the patch, where that is another one; Cause is what it shows: change,
	// base or unknown.
	Base  *CheckRun `json:"base,omitempty"`
	Cause string    `json:"cause,omitempty"`
	// The fingerprints of the failure in CI and of the check here without the patch.
	FingerprintCI   string `json:"fingerprint_ci,omitempty"`
	FingerprintHere string `json:"fingerprint_here,omitempty"`
}

// Policy is the verdict of the rules on the patch.
type Policy struct {
	Class  string   `json:"class"` // safe or needs-review
	Danger int      `json:"danger"`
	Parts  []string `json:"parts,omitempty"`
	// Findings are the rules that it breaks.
	Findings []string `json:"findings,omitempty"`
}

// Scan is what the scanners found in what the patch adds. Compared says that the configured programs looked too.
type Scan struct {
	Secrets  int  `json:"secrets"`
	Compared bool `json:"compared"`
	Issues   int  `json:"issues"`
}

// Plan is what a model proposed.
type Plan struct {
	RootCause  string      `json:"root_cause"`
	Category   string      `json:"category"`
	Confidence float64     `json:"confidence"`
	Operations []Operation `json:"operations"`
}

// Operation is one of its changes; Details are JSON, cut where they are long.
type Operation struct {
	Kind      string `json:"kind"`
	File      string `json:"file"`
	Details   string `json:"details,omitempty"`
	Rationale string `json:"rationale,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
}

// Model is what a language model was asked and what it cost: digests, calls, tokens, millionths of the currency.
type Model struct {
	API            string `json:"api"`
	Model          string `json:"model"`
	Request        string `json:"request,omitempty"`
	Answer         string `json:"answer,omitempty"`
	Calls          int    `json:"calls"`
	Replayed       int    `json:"replayed"`
	Repairs        int    `json:"repairs"`
	Tokens         int64  `json:"tokens"`
	CostMillionths int64  `json:"cost_millionths"`
	// Assumed says that a part of it was not told by the provider.
	Assumed bool `json:"assumed,omitempty"`
}

// Agent is what a coding agent did.
type Agent struct {
	Command string `json:"command"`
	// Prompt is the question's digest.
	Prompt   string   `json:"prompt"`
	ExitCode int      `json:"exit_code"`
	Killed   string   `json:"killed,omitempty"`
	Output   string   `json:"output"`
	Seconds  float64  `json:"seconds"`
	Changed  []string `json:"changed,omitempty"`
}

// Report is all of it.
type Report struct {
	Stages  []Stage `json:"stages"`
	Job     string  `json:"job,omitempty"`
	JobURL  string  `json:"job_url,omitempty"`
	Command string  `json:"command,omitempty"`
	// Class is the kind of failure, with how sure that is, from 0 to 1, and the line of the log that says so.
	Class       string       `json:"class,omitempty"`
	Confidence  float64      `json:"confidence,omitempty"`
	ClassLine   *Line        `json:"class_line,omitempty"`
	Excerpt     []Line       `json:"excerpt,omitempty"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	Fixer       string       `json:"fixer,omitempty"`
	Plan        *Plan        `json:"plan,omitempty"`
	Model       *Model       `json:"model,omitempty"`
	Agent       *Agent       `json:"agent,omitempty"`
	Scan        *Scan        `json:"scan,omitempty"`
	Digest      string       `json:"digest,omitempty"`
	Files       []string     `json:"files,omitempty"`
	Prepared    []Prepared   `json:"prepared,omitempty"`
	Check       *Check       `json:"check,omitempty"`
	Policy      *Policy      `json:"policy,omitempty"`
	// Diff is the patch of a run that publishes none: a policy refused it, or the repository's mode holds it back.
	Diff string `json:"diff,omitempty"`
	// Way is ByComment where the repository's settings want the patch in a comment, and else empty.
	Way string `json:"way,omitempty"`
}

// ByComment is the way of a patch that is only suggested.
const ByComment = "comment"

// JSON encodes the report.
func (r Report) JSON() json.RawMessage {
	out, err := json.Marshal(r)
	if err != nil {
		return json.RawMessage(`{"stages":[]}`) // strings and numbers always encode
	}
	return out
}

// Parse decodes a stored report.
func Parse(raw json.RawMessage) (Report, error) {
	var r Report
	err := json.Unmarshal(raw, &r)
	return r, err
}
