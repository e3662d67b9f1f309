// Package receipt says, signed, what a pull request is made of: the event it answers, the commit it is on, who made and
// judged the change, and what was run, each by a digest.
//
// It promises that a receipt is a function of what is recorded, so that writing it again gives the same bytes; that its
// canonical form is the only one that is taken; and that checking it needs the public key and nothing else. It is pure.
//
// The canonical form is JSON as RFC 8785 (JCS) has it: names in order, no blanks, no line end, numbers that are whole.
// Strings have no characters that would need a choice: no control characters and no line separators.
package receipt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sre-agent/sre-agent/internal/markup"
)

// Version is the form's number.
const Version = 1

// Receipt is what is signed. Its fields are in the order of their names, which is that of the canonical form.
type Receipt struct {
	BaseCommit string  `json:"base_commit"`
	Branch     string  `json:"branch"`
	Commit     string  `json:"commit"`
	Diff       string  `json:"diff"`
	Event      Event   `json:"event"`
	Evidence   string  `json:"evidence"`
	Fence      int64   `json:"fence"`
	Fixer      Fixer   `json:"fixer"`
	MadeAt     string  `json:"made_at"`
	Model      *Model  `json:"model,omitempty"`
	Policy     Policy  `json:"policy"`
	PR         string  `json:"pull_request"`
	Repository string  `json:"repository"`
	RunKey     string  `json:"run_key"`
	Sandbox    Sandbox `json:"sandbox"`
	Version    int     `json:"version"`
}

// Event is the webhook that told of the failure.
type Event struct {
	// Body is the digest of the request's body, as it was signed by the provider.
	Body     string `json:"body"`
	Delivery string `json:"delivery"`
	Provider string `json:"provider"`
}

// Fixer is what made the change. Digest is of all that it said and did, as recorded.
type Fixer struct {
	Digest string `json:"digest"`
	Name   string `json:"name"`
}

// Model is the language model that was asked, if one was: digests of what was asked and answered last.
type Model struct {
	Answer  string `json:"answer"`
	Name    string `json:"name"`
	Request string `json:"request"`
}

// Policy is the verdict on the change; Rules is the digest of what it was judged by.
type Policy struct {
	Class  string `json:"class"`
	Danger int    `json:"danger"`
	Rules  string `json:"rules"`
}

// Sandbox is what ran there: digests of the check's command and of its two outputs, with their exit codes.
type Sandbox struct {
	After   Ran    `json:"after"`
	Before  Ran    `json:"before"`
	Command string `json:"command"`
}

// Ran is one execution of the check.
type Ran struct {
	ExitCode int    `json:"exit_code"`
	Output   string `json:"output"`
}

// Time is how a receipt writes a moment.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Digest names bytes: "sha256:" and 64 hexadecimal digits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// DigestOf is the digest of a value's JSON.
func DigestOf(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("receipt: %w", err)
	}
	return Digest(data), nil
}

// Canonical is the form that is signed.
func (r Receipt) Canonical() ([]byte, error) {
	r = r.plain()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// plain takes from the names that came from outside what has no place in the form.
func (r Receipt) plain() Receipt {
	for _, s := range []*string{&r.Branch, &r.Event.Delivery, &r.Event.Provider, &r.Fixer.Name, &r.Policy.Class, &r.PR, &r.Repository, &r.RunKey} {
		*s = markup.Plain(*s)
	}
	if r.Model != nil {
		r.Model = &Model{Answer: r.Model.Answer, Name: markup.Plain(r.Model.Name), Request: r.Model.Request}
	}
	return r
}

// Parse reads a receipt in its canonical form, and in no other.
func Parse(text []byte) (Receipt, error) {
	var r Receipt
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("no receipt: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("no receipt: something follows it")
	}
	if r.Version != Version {
		return r, fmt.Errorf("a receipt of version %d, and this program knows %d", r.Version, Version)
	}
	again, err := r.Canonical()
	if err != nil {
		return r, err
	}
	if !bytes.Equal(again, text) {
		return r, errors.New("the receipt is not in its canonical form")
	}
	return r, nil
}
