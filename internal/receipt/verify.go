package receipt

import (
	"fmt"

	"github.com/sre-agent/sre-agent/internal/minisign"
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Report is what became of a receipt.
type Report struct {
	OK      bool     `json:"ok"`
	Checks  []Check  `json:"checks"`
	Receipt *Receipt `json:"receipt,omitempty"`
	Digests []Named  `json:"digests,omitempty"`
}

// Named is a digest with what it is of.
type Named struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Of     string `json:"of"`
}

// Asked is what a receipt is checked against.
type Asked struct {
	Key minisign.PublicKey
	// Diff is a diff that it should be of, if one was given.
	Diff []byte
	// PR is the address of the pull request that it was found on, if it was.
	PR string
}

// Verify checks the signature, the form, and what else is asked. The receipt is shown only when its signature holds.
func Verify(s Signed, a Asked) Report {
	rep := Report{OK: true}
	add := func(name string, ok bool, detail string) {
		rep.Checks = append(rep.Checks, Check{name, ok, detail})
		rep.OK = rep.OK && ok
	}
	comment, err := a.Key.Verify(s.Text, s.Minisig)
	if err != nil {
		add("signature", false, err.Error())
		return rep
	}
	add("signature", true, "by key "+a.Key.ID()+": "+comment)
	r, err := Parse(s.Text)
	if err != nil {
		add("form", false, err.Error())
		return rep
	}
	add("form", true, fmt.Sprintf("canonical, version %d", r.Version))
	rep.Receipt, rep.Digests = &r, r.Digests()
	if a.Diff != nil {
		got := Digest(a.Diff)
		detail := "the diff is the one that was verified"
		if got != r.Diff {
			detail = "the diff is " + got + ", the receipt is for " + r.Diff
		}
		add("diff", got == r.Diff, detail)
	}
	if a.PR != "" {
		detail := "the receipt is for this pull request"
		if a.PR != r.PR {
			detail = "the receipt is for " + r.PR
		}
		add("pull request", a.PR == r.PR, detail)
	}
	return rep
}

// Digests lists what a receipt names by its content.
func (r Receipt) Digests() []Named {
	out := []Named{
		{"base commit", r.BaseCommit, "the commit that the CI failed on and the change is made to"},
		{"commit", r.Commit, "the commit that was pushed"},
		{"diff", r.Diff, "the change, byte for byte, as it was checked, scanned, verified and pushed"},
		{"event", r.Event.Body, "the body of the webhook that told of the failure, as the provider signed it"},
		{"evidence", r.Evidence, "all that the run has on record, as stored"},
		{"fixer", r.Fixer.Digest, "the fixer's name, its files, and its plan or agent where it has one"},
		{"policy", r.Policy.Rules, "the rules that the publisher judged the change by"},
		{"sandbox command", r.Sandbox.Command, "the check that was run"},
		{"sandbox before", r.Sandbox.Before.Output, fmt.Sprintf("the check's output without the change; it ended with %d", r.Sandbox.Before.ExitCode)},
		{"sandbox after", r.Sandbox.After.Output, fmt.Sprintf("the check's output with the change; it ended with %d", r.Sandbox.After.ExitCode)},
	}
	if r.Model != nil {
		out = append(out, Named{"model request", r.Model.Request, "what the model was asked last"}, Named{"model answer", r.Model.Answer, "what it answered"})
	}
	return out
}
