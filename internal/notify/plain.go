package notify

import (
	"strings"
	"unicode"
)

const maxText = 1500

// Plain makes a text that no service takes for more than text: no mention, link, tag or command, nothing that hides or
// turns what follows.
func Plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
		case r == '<':
			r = '‹'
		case r == '>':
			r = '›'
		case r == '@':
			r = '＠'
		case r == '`' || r == '*' || r == '[' || r == ']' || r == '|':
			r = ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			continue
		}
		if b.Len()+len(string(r)) > maxText {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
