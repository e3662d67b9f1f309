package payload_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

func nested(levels int) []byte {
	return []byte(`{"a":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`)
}

func TestMalformedBodiesAreRefusedWithThePlace(t *testing.T) {
	whole := `{"a":"` + strings.Repeat("b", 20_000) + `"}`
	for _, tt := range []struct {
		name, says string
		body       []byte
	}{
		{"truncated", "at byte 10000: unexpected end of JSON input", []byte(whole[:10_000])},
		{"empty", "at byte 0: unexpected end", nil},
		{"two values", "at byte 3: invalid character '{'", []byte("{}{}")},
		{"form encoded", "at byte 1: invalid character 'p'", []byte("payload=%7B%7D")},
		{"a raw null byte", "at byte 3: invalid character", []byte("{\"\x00\":1}")},
		{"nested 100,000 deep", "exceeded max depth", nested(100_000)},
		{"nested 10 million deep and never closed", "exceeded max depth", bytes.Repeat([]byte(`{"a":`), 5_000_000)},
		{"a list", "not a JSON object", []byte("[]")},
		{"null", "not a JSON object", []byte(" null")},
		{"a string", "not a JSON object", []byte(`"x"`)},
		{"a number", "not a JSON object", []byte("1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := payload.Valid(tt.body)
			if reason, _ := fault.Reason(err); reason != payload.ReasonMalformed || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Valid = %v, want %s with %q", err, payload.ReasonMalformed, tt.says)
			}
		})
	}
}

func TestValidTakesObjects(t *testing.T) {
	for _, good := range []string{"{}", " \r\n\t{\"a\":1}\n", string(nested(9_000))} {
		if err := payload.Valid([]byte(good)); err != nil {
			t.Errorf("Valid(%.20q) = %v", good, err)
		}
	}
}

func TestMember(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"an object", `{"a":1,"k":{"x":[1,{}]},"b":2}`, `{"x":[1,{}]}`},
		{"the last of two, as encoding/json reads it", `{"k":1,"k":2}`, "2"},
		{"null", `{"k":null}`, "null"},
		{"a key further down does not count", `{"a":{"k":1},"b":[{"k":2}]}`, ""},
		{"a value that looks like the key does not count", `{"x":"k","y":{"z":1}}`, ""},
		{"quotes, braces and backslashes in strings", `{"a":"}{\\\"","b":["\\"],"k":"\"}","c":"\\"}`, `"\"}"`},
		{"white space everywhere", "{ \"k\" : 7 , \"b\" : 1 }", " 7 "},
		{"no such key", `{"a":1}`, ""},
		{"a string without end", `{"k`, ""},
		{"empty", "", ""},
		{"closed too often", `}}]{"k":1}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(payload.Member([]byte(tt.body), "k")); got != tt.want {
				t.Errorf("Member = %q, want %q", got, tt.want)
			}
			o, err := payload.Read([]byte(tt.body))
			if got := string(o.Member("k")); err == nil && got != strings.TrimSpace(tt.want) {
				t.Errorf("Member of what was read = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMemberTextFollowsAPathOfKeys(t *testing.T) {
	body := []byte(`{"a":{"b":{"c":"deep"},"n":1},"s":"flat"}`)
	for _, tt := range []struct {
		want string
		path []string
	}{
		{"deep", []string{"a", "b", "c"}},
		{"flat", []string{"s"}},
		{"", []string{"a", "n"}},
		{"", []string{"a", "x", "c"}},
		{"", []string{"s", "c"}},
	} {
		if got := payload.MemberText(body, tt.path...); got != tt.want {
			t.Errorf("MemberText(%v) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

// large is a push of about 25 MB, GitHub's own limit.
func large() []byte {
	commit := `{"id":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","message":"a \"quoted\" message\n","added":["a/b/c.go"]},`
	return []byte(`{"commits":[` + strings.Repeat(commit, 25<<20/len(commit)) + `{}],"k":{"name":"n"}}`)
}

func BenchmarkMemberOf25MB(b *testing.B) {
	body := large()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if payload.Member(body, "k") == nil {
			b.Fatal("not found")
		}
	}
}

func BenchmarkValidOf25MB(b *testing.B) {
	body := large()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := payload.Valid(body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAnObjectThatWasReadHasWhatTheDecoderSees(t *testing.T) {
	many := "{" + strings.Repeat(`"x":1,`, 1000) + `"k":{"a":"b"}}`
	for _, body := range []string{`{"k":{"a":"b"}}`, `{"\u006b":{"a":"b"}}`, `{"k":1,"z":[{"k":2}],"k":{"a":"b"}}`, many, `{"s":"\ud800","k":{"a":"b"}}`} {
		o, err := payload.Read([]byte(body))
		if err != nil {
			t.Errorf("%.60s: %v", body, err)
		}
		if got := o.Text("k", "a"); got != "b" && !strings.Contains(body, `u006b`) {
			t.Errorf("%.60s: %q", body, got)
		}
	}
	for range 3 { // what was read before is not what is read now
		a, _ := payload.Read([]byte(`{"k":"first"}`))
		b, _ := payload.Read([]byte(`{"k":"second"}`))
		if a.Text("k") != "first" || b.Text("k") != "second" || a.Text("none") != "" {
			t.Errorf("%q, %q", a.Text("k"), b.Text("k"))
		}
	}
}
