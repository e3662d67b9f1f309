package scan

import (
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/redact"
)

// minKnown is the shortest exact value that is looked for: a shorter one stands in ordinary words.
const minKnown = 6

// forms are all the ways to write down a known value that are looked for.
func forms(secret string) []string {
	out := redact.Forms(secret)
	for _, quoted := range []string{strconv.Quote(secret), strconv.QuoteToASCII(secret)} {
		out = append(out, quoted[1:len(quoted)-1])
	}
	out = append(out,
		strings.ReplaceAll(secret, "'", `'\''`), strings.ReplaceAll(secret, "'", `''`), strings.ReplaceAll(secret, `"`, `""`),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(secret),
		everyByte(secret, `\x`), everyByte(secret, "%"), everyByte(secret, `\u00`),
	)
	seen := map[string]bool{}
	kept := out[:0]
	for _, form := range out {
		if len(form) >= minKnown && !seen[form] {
			seen[form] = true
			kept = append(kept, form)
		}
	}
	return kept
}

// everyByte escapes each byte, also those that need no escape.
func everyByte(s, escape string) string {
	var b strings.Builder
	for i := range len(s) {
		const digits = "0123456789abcdef"
		b.WriteString(escape)
		b.WriteByte(digits[s[i]>>4])
		b.WriteByte(digits[s[i]&15])
	}
	return b.String()
}

// knownIn finds exact values in a fragment, and the index of the line where each begins: in the lines as they are, and
// in all of them put together without blanks, as encoders break lines.
func (s *Scanner) knownIn(f fragment) []int {
	var out []int
	for _, line := range []func(string) string{keep, bare} {
		text, starts := f.joined(line)
		lower := strings.ToLower(text)
		for _, form := range s.known {
			in, wanted := text, line(form)
			if caseless(form) {
				in, wanted = lower, strings.ToLower(wanted)
			}
			if at := strings.Index(in, wanted); at >= 0 && len(wanted) >= minKnown {
				out = append(out, lineAt(starts, at))
			}
		}
	}
	return out
}

func keep(s string) string { return s }

// bare drops what an encoder or an editor puts between the pieces of a long value.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '"', '\'', '+', '\\', ',':
			return -1
		}
		return r
	}, s)
}

// caseless says whether a form means the same in capitals: hexadecimal digits and escapes.
func caseless(form string) bool {
	return strings.Trim(form, `0123456789abcdefABCDEFxu%\`) == ""
}

// joined are the lines of a fragment, each treated, with the place where each begins.
func (f fragment) joined(treat func(string) string) (text string, starts []int) {
	var b strings.Builder
	for i, line := range f.lines {
		if i > 0 {
			b.WriteString(treat("\n"))
		}
		starts = append(starts, b.Len())
		b.WriteString(treat(line))
	}
	return b.String(), starts
}

func lineAt(starts []int, at int) int {
	line := 0
	for i, start := range starts {
		if start <= at {
			line = i
		}
	}
	return line
}
