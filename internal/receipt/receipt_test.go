package receipt_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/receipt"
)

var key = func() minisign.SecretKey {
	k, err := minisign.New(bytes.Repeat([]byte{9}, 40))
	if err != nil {
		panic(err)
	}
	return k
}()

const diff = "diff --git a/a b/a\n"

func example(name string) receipt.Receipt {
	d := receipt.Digest([]byte("x"))
	return receipt.Receipt{
		BaseCommit: strings.Repeat("1", 40), Branch: name, Commit: strings.Repeat("2", 40), Diff: receipt.Digest([]byte(diff)),
		Event: receipt.Event{Body: d, Delivery: name, Provider: name}, Evidence: d, Fence: 3, Fixer: receipt.Fixer{Digest: d, Name: name},
		MadeAt: receipt.Time(time.Unix(1_700_000_000, 0)), Model: &receipt.Model{Answer: d, Name: name, Request: d},
		Policy: receipt.Policy{Class: name, Danger: 5, Rules: d}, PR: name, Repository: name, RunKey: name,
		Sandbox: receipt.Sandbox{After: receipt.Ran{Output: d}, Before: receipt.Ran{ExitCode: 1, Output: d}, Command: d}, Version: receipt.Version,
	}
}

func sign(t *testing.T, r receipt.Receipt) receipt.Signed {
	t.Helper()
	s, err := receipt.Sign(r, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheCanonicalFormIsThatOfRFC8785(t *testing.T) {
	t.Parallel()
	text := sign(t, example("a/b <&> \"q\" \\ é 😀")).Text
	var any map[string]any
	if err := json.Unmarshal(text, &any); err != nil {
		t.Fatal(err)
	}
	var sorted bytes.Buffer // encoding/json sorts a map's names
	enc := json.NewEncoder(&sorted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(any); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(sorted.String()), string(text)); diff != "" {
		t.Error(diff)
	}
	if bytes.ContainsAny(text, "\n\r\t") || bytes.Contains(text, []byte(`\u`)) {
		t.Errorf("%s", text)
	}
}

func TestOnlyTheCanonicalFormIsTaken(t *testing.T) {
	t.Parallel()
	text := string(sign(t, example("a")).Text)
	if _, err := receipt.Parse([]byte(text)); err != nil {
		t.Error(err)
	}
	for name, other := range map[string]string{
		"a blank": strings.Replace(text, ":", ": ", 1), "a line end": text + "\n", "another name": strings.Replace(text, `"fence"`, `"fenze"`, 1),
		"a name twice": strings.Replace(text, `"fence":3`, `"fence":4,"fence":3`, 1), "another version": strings.Replace(text, `"version":1`, `"version":2`, 1),
		"two": text + text, "an escape": strings.Replace(text, `"branch":"a"`, `"branch":"\u0061"`, 1), "nothing": "", "null": "null",
		"a number with a point": strings.Replace(text, `"fence":3`, `"fence":3.0`, 1), "no order": strings.Replace(text, `{"base`, `{"version":1,"base`, 1),
	} {
		if _, err := receipt.Parse([]byte(other)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzAReceiptComesThroughAComment(f *testing.F) {
	for _, s := range []string{"a", "```\n/close", "--> x", "\u2028\u202e", "\xff", "`````` \"", "{}", "untrusted comment: x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := sign(t, example(name))
		for _, forge := range []string{"github", "gitlab", "bitbucket", "azure-devops"} {
			comment := s.Comment(markup.Of(forge), "0123")
			got, err := receipt.FromComment(strings.ReplaceAll(comment, "\n", "\r\n"))
			if len(comment) > receipt.MaxComment-1000 {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", forge, err, comment)
			}
			if diff := cmp.Diff(s, got); diff != "" {
				t.Errorf("%s: %s", forge, diff)
			}
			if !receipt.Ours(comment, "0123") || receipt.Ours(comment, "0124") || receipt.Ours("", "0123") {
				t.Errorf("%s: it is not found by its token\n%s", forge, comment)
			}
			if rep := receipt.Verify(got, receipt.Asked{Key: key.Public(), Diff: []byte(diff)}); !rep.OK {
				t.Errorf("%s: %+v", forge, rep)
			}
		}
	})
}

func TestWhatIsNotAsSignedIsRefused(t *testing.T) {
	t.Parallel()
	s := sign(t, example("https://forge/acme/hello/pull/1"))
	other, err := minisign.New(bytes.Repeat([]byte{8}, 40))
	if err != nil {
		t.Fatal(err)
	}
	edited := receipt.Signed{Text: bytes.Replace(s.Text, []byte(`"fence":3`), []byte(`"fence":4`), 1), Minisig: s.Minisig}
	for name, v := range map[string]struct {
		signed receipt.Signed
		asked  receipt.Asked
		failed string
	}{
		"good":                 {s, receipt.Asked{Key: key.Public(), PR: "https://forge/acme/hello/pull/1"}, ""},
		"edited":               {edited, receipt.Asked{Key: key.Public()}, "signature"},
		"another key":          {s, receipt.Asked{Key: other.Public()}, "signature"},
		"another diff":         {s, receipt.Asked{Key: key.Public(), Diff: []byte("x")}, "diff"},
		"an empty diff":        {s, receipt.Asked{Key: key.Public(), Diff: []byte{}}, "diff"},
		"another pull request": {s, receipt.Asked{Key: key.Public(), PR: "https://forge/acme/hello/pull/2"}, "pull request"},
	} {
		rep := receipt.Verify(v.signed, v.asked)
		failed := ""
		for _, c := range rep.Checks {
			if !c.OK {
				failed = c.Name
			}
		}
		if failed != v.failed || rep.OK != (v.failed == "") || (failed == "signature") != (rep.Receipt == nil) {
			t.Errorf("%s: %+v", name, rep)
		}
	}
}

func TestTheMinisignProgramTakesAReceipt(t *testing.T) {
	t.Parallel()
	s, dir := sign(t, example("a")), t.TempDir()
	for name, text := range map[string]string{"receipt.json": string(s.Text), "receipt.json.minisig": s.Minisig, "key.pub": key.Public().Text()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "minisign", "-V", "-m", "receipt.json", "-p", "key.pub")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
