package circleci

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestMessagesAreDecodedAsJSONIs(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"no message":                  {`[]`, ""},
		"two messages":                {`[{"message":"a\n"},{"message":"b\n"}]`, "a\nb\n"},
		"every escape":                {`[{"message":"\"\\\/\b\f\n\r\t\u0041\u00fc\u20ac\ud83d\ude00"}]`, "\"\\/\b\f\n\r\tAü€😀"},
		"halves of characters":        {`[{"message":"\ud83d"},{"message":"\ude00\ud83dx\ud83d\n\ud83d\u0041"}]`, "��" + "�x" + "�\n" + "�A"},
		"other names and other kinds": {`[{"type":"out","n":-1.5e3,"t":true,"z":null,"message":"a","messages":"no","m":["message","no"]}]`, "a"},
		"the name inside of another":  {`[{"x":{"message":"no"},"y":[{"message":"no"}],"message":"yes"}]`, "yes"},
		"a value that is the name":    {`[{"type":"message","other":"no"}]`, ""},
		"an escaped name":             {`[{"mess\u0061ge":"a"}]`, "a"},
		"blanks everywhere":           {" \n[ { \"message\" : \"a\" } ]\r\n\t", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
				got, err := io.ReadAll(newMessages(in))
				if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
					t.Errorf("%s: %v (-want +got):\n%s", how, err, diff)
				}
			}
		})
	}
}

func TestWhatIsNoListOfMessagesIsAnError(t *testing.T) {
	for _, in := range []string{"<html>", `{"message":"a"}`, `"message"`, "[}", `[{"message":"\x"}]`, `[{"message":"\uzzzz"}]`, `[] []`, strings.Repeat("[", 100)} {
		if got, err := io.ReadAll(newMessages(strings.NewReader(in))); !errors.Is(err, errNotMessages) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	whole := `[{"message":"a log"}]`
	for n := range len(whole) {
		if _, err := io.ReadAll(newMessages(strings.NewReader(whole[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v, want an unexpected end", whole[:n], err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("a\n", "b \xff")
	f.Add("\U0001f600 \u2028 <&>", "\x00\x1f\"\\")
	f.Fuzz(func(t *testing.T, one, two string) {
		one, two = strings.ToValidUTF8(one, ""), strings.ToValidUTF8(two, "")
		in, err := json.Marshal([]map[string]any{{"message": one, "type": two}, {"time": 1, "message": two}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(newMessages(strings.NewReader(string(in))))
		if err != nil || string(got) != one+two {
			t.Errorf("text of %s = %q, %v; want %q", in, got, err, one+two)
		}
		_, _ = io.ReadAll(newMessages(strings.NewReader(one + two))) // whatever comes, it ends
	})
}
