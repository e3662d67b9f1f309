// Package check holds what the tests of every provider check in the same way. No service imports it.
package check

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
)

// Golden compares a value with a file of its JSON, or rewrites the file.
func Golden(t *testing.T, update bool, file string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s (-want +got), go test -update rewrites it:\n%s", file, diff)
	}
}

// Edited returns a body with one field replaced (or removed, for nil) by its path with slashes.
func Edited(t testing.TB, body []byte, path string, value any) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(body, &root); err != nil {
		t.Fatal(err)
	}
	keys := strings.Split(path, "/")
	at := root
	for _, key := range keys[:len(keys)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			t.Fatalf("the example has no object %s of %s", key, path)
		}
		at = next
	}
	at[keys[len(keys)-1]] = value
	if value == nil {
		delete(at, keys[len(keys)-1])
	}
	out, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Parsed holds what Parse returned to its promises, whatever the body.
func Parsed(t *testing.T, provider string, e webhook.Event, err error) {
	t.Helper()
	if err != nil {
		if _, permanent := fault.Reason(err); !permanent || len(err.Error()) > 400 {
			t.Errorf("error %v is not permanent, or long", err)
		}
		return
	}
	switch e.Kind {
	case webhook.Ignored:
		if !regexp.MustCompile(`^[a-z_]{1,40}$`).MatchString(e.Reason) {
			t.Errorf("ignored with the reason %q", e.Reason)
		}
	case webhook.Failure, webhook.Success:
		bounded(t, provider, e.Failure)
	case webhook.Nudge:
		if m := e.Moved; m.Owner == "" || m.Name == "" || (m.PullRequest > 0) == (m.Branch != "") {
			t.Errorf("a field is missing: %+v", e)
		}
	default:
		t.Errorf("kind %q", e.Kind)
	}
}

func bounded(t *testing.T, provider string, f ci.Failure) {
	t.Helper()
	if f.Provider != provider || f.Repository.ID == "" || f.Repository.Owner == "" || f.Repository.Name == "" || f.Repository.CloneURL == "" ||
		f.Commit == "" || f.Branch == "" || f.Workflow == "" || f.WorkflowName == "" || f.RunID == "" || f.RunAttempt < 1 || f.HeadRepository == "" {
		t.Errorf("a field is missing: %+v", f)
	}
	text, err := json.Marshal(f)
	if err != nil || len(text) > 32<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Error(err)
	}
	walk(fields, func(s string) {
		if strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsRune(s, unicode.ReplacementChar) {
			t.Errorf("control characters in %q", s)
		}
	})
	if strings.Contains(f.Repository.CloneURL, "@") || !strings.HasPrefix(f.Repository.CloneURL, "http") {
		t.Errorf("clone URL %q", f.Repository.CloneURL)
	}
}

func walk(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	case map[string]any:
		for _, e := range v {
			walk(e, visit)
		}
	}
}

// Hostile are short bodies that no provider sends, fit for the seeds of a fuzz target.
func Hostile() [][]byte {
	return [][]byte{
		nil, []byte("{}"), []byte("[]"), []byte("null"), []byte("payload=%7B%7D"), []byte("{\"\x00\":1}"), []byte("\xff\xfe{}"),
		[]byte(`{"id":1,"type":{},"build":"x","resource":[],"data":7,"workflow":null,"pipeline":[]}`),
	}
}

// deep are bodies that nest further than any decoder should follow.
func deep() [][]byte {
	return [][]byte{
		[]byte(`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`),
		[]byte(strings.Repeat(`{"build":`, 100_000)),
	}
}

// RefusesHostile checks that Parse ends every hostile body with a permanent error or a reason.
func RefusesHostile(t *testing.T, p webhook.Provider, events ...string) {
	t.Helper()
	for _, body := range append(Hostile(), deep()...) {
		for _, event := range append(events, "no-such-event") {
			e, err := p.Parse(event, body)
			Parsed(t, p.Name, e, err)
			if err == nil && e.Kind != webhook.Ignored {
				t.Errorf("%s: %.40q is a %s", event, body, e.Kind)
			}
		}
		p.Repository(payload.Unread(body))
		if id, event, err := p.Identify(&webhook.Request{Header: http.Header{}, Body: body}); err == nil {
			t.Errorf("Identify(%.40q) = %q, %q", body, id, event)
		}
	}
}

// RefusesField checks that a field's value is refused by its name, without the value.
func RefusesField(t *testing.T, p webhook.Provider, event string, body []byte, field string) {
	t.Helper()
	_, err := p.Parse(event, body)
	if err == nil {
		t.Fatalf("Parse accepts it")
	}
	if _, permanent := fault.Reason(err); !permanent || !strings.Contains(err.Error(), "field "+field) || len(err.Error()) > 300 {
		t.Errorf("error %q does not name field %s", err, field)
	}
}

// Read turns an outgoing request into what the provider's functions take, as received at a time.
func Read(t testing.TB, r *http.Request, at time.Time) *webhook.Request {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &webhook.Request{Header: r.Header, Query: r.URL.Query(), Body: body, Received: at}
}

// Keys are those under which a sender's request passes.
func Keys(s webhooktest.Sender, keys ...string) webhook.Keys {
	var list [][]byte
	for _, key := range keys {
		list = append(list, []byte(key))
	}
	if s.SendsToken {
		return webhook.Keys{Tokens: list}
	}
	return webhook.Keys{Signing: list}
}

// Sender checks that what a sender makes is what the provider reads.
func Sender(t *testing.T, p webhook.Provider, s webhooktest.Sender, key string) {
	t.Helper()
	for _, passed := range []bool{false, true} {
		params := webhooktest.Params{Passed: passed, Size: 10_000, RunID: 77}.Default()
		out := s.Pipeline("https://ci.example.com/webhooks/"+p.Name, key, params)
		r := Read(t, out, params.At)
		if !p.HasCredentials(r.Header, r.Query) {
			t.Error("the request has no credentials")
		}
		if d := len(r.Body) - params.Size; d < -100 || d > 100 {
			t.Errorf("the body has %d bytes, want about %d", len(r.Body), params.Size)
		}
		if err := p.Verify(r, Keys(s, "another-key", key)); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if err := p.Verify(r, Keys(s, "another-key", "")); !errors.Is(err, webhook.ErrBadSignature) {
			t.Errorf("Verify with another key: %v", err)
		}
		if err := p.Verify(r, webhook.Keys{}); !errors.Is(err, webhook.ErrBadSignature) {
			t.Errorf("Verify without a key: %v", err)
		}
		_, event, err := p.Identify(r)
		if err != nil || !regexp.MustCompile(`^[a-z0-9_.:-]{1,64}$`).MatchString(event) {
			t.Fatalf("Identify: event %q, %v", event, err)
		}
		e, err := p.Parse(event, r.Body)
		if err != nil {
			t.Fatal(err)
		}
		Parsed(t, p.Name, e, err)
		want := map[bool]string{false: webhook.Failure, true: webhook.Success}[passed]
		if e.Kind != want || e.Failure.Branch != params.Branch || e.Failure.Commit != params.Commit {
			t.Errorf("Parse = %s(%s) %+v, want %s of %+v", e.Kind, e.Reason, e.Failure, want, params)
		}
		if owner, name := p.Repository(payload.Unread(r.Body)); owner != e.Failure.Repository.Owner || name != e.Failure.Repository.Name {
			t.Errorf("Repository = %q, %q; Parse says %q", owner, name, e.Failure.Repository.FullName())
		}
		if name := e.Failure.Repository.Name; name != params.Name {
			t.Errorf("repository name %q, want %q", name, params.Name)
		}
	}
}

// Signed checks for a provider that signs: no body that differs in one byte passes, nor any request under another key.
func Signed(t *testing.T, p webhook.Provider, r *webhook.Request, key string, at int) {
	t.Helper()
	signing := func(k string) webhook.Keys { return webhook.Keys{Signing: [][]byte{[]byte(k)}} }
	if p.Verify(r, signing(key)) != nil {
		return
	}
	if p.Verify(r, signing(key+"x")) == nil {
		t.Error("it passes under another key too")
	}
	if len(r.Body) == 0 {
		return
	}
	other := *r
	other.Body = append([]byte(nil), r.Body...)
	other.Body[max(at, 0)%len(other.Body)] ^= 1
	if p.Verify(&other, signing(key)) == nil {
		t.Error("a body with one byte flipped passes")
	}
}

var jsonBlock = regexp.MustCompile("(?ms)^```json\n(.*?)^```")

// Guide checks the two JSON blocks of a provider's guide: a body, and the ci.Failure that Parse makes of it. It may
// rewrite the second.
func Guide(t *testing.T, update bool, file string, p webhook.Provider, event string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := jsonBlock.FindAllSubmatchIndex(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("%s has %d JSON blocks, want a body and a failure", file, len(blocks))
	}
	body, failure := text[blocks[0][2]:blocks[0][3]], string(text[blocks[1][2]:blocks[1][3]])
	e, err := p.Parse(event, body)
	if err != nil || e.Kind != webhook.Failure {
		t.Fatalf("Parse = %+v, %v", e, err)
	}
	got, err := json.MarshalIndent(e.Failure, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if update {
		rewritten := slices.Concat(text[:blocks[1][2]], got, []byte("\n"), text[blocks[1][3]:])
		if err := os.WriteFile(file, rewritten, 0o644); err != nil {
			t.Fatal(err)
		}
		failure = string(got)
	}
	if diff := cmp.Diff(strings.TrimSpace(failure), string(got)); diff != "" {
		t.Errorf("%s is not what Parse makes of its body (-guide +parse):\n%s", file, diff)
	}
}
