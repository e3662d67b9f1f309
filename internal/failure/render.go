package failure

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	esc = 0x1b
	// maxKept is how much of a line's text is kept, in bytes.
	maxKept = 1 << 10
)

// clean renders a raw line as a terminal would show it in the end, without the stamps that a CI provider puts before
// each line.
func clean(raw []byte) string {
	if len(raw) > maxRaw {
		raw = raw[:maxRaw]
	}
	raw = raw[stampLen(raw):]
	if plain(raw) {
		return strings.TrimRight(string(raw), " \t\r")
	}
	return strings.TrimRight(render(raw), " \t")
}

// plain says whether there is nothing to render.
func plain(raw []byte) bool {
	end := len(raw)
	for end > 0 && raw[end-1] == '\r' {
		end--
	}
	for _, c := range raw[:end] {
		if (c < 0x20 && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// render leaves out escape sequences and control characters. A carriage return starts the line again, so a progress
// bar's last state is what stays; one that nothing follows changes nothing.
func render(raw []byte) string {
	var b strings.Builder
	restart := false
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == esc:
			i += escapeLen(raw[i:])
			continue
		case c == '\r':
			restart = true
		case c == '\t' || (c >= 0x20 && c < 0x7f):
			if restart {
				b.Reset()
				restart = false
			}
			b.WriteByte(c)
		case c >= 0x80:
			r, size := utf8.DecodeRune(raw[i:])
			if r >= 0xa0 && r != '\uFEFF' {
				if restart {
					b.Reset()
					restart = false
				}
				b.WriteRune(r)
			}
			i += size
			continue
		}
		i++
	}
	return b.String()
}

// escapeLen is the length of the escape sequence at the start of s: CSI, a string (OSC, DCS, APC as Buildkite's
// stamps, PM, SOS), or two bytes.
func escapeLen(s []byte) int {
	if len(s) < 2 {
		return 1
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= '@' && s[i] <= '~' {
				return i + 1
			}
			if s[i] < 0x20 || s[i] > '~' {
				return i
			}
		}
		return len(s)
	case ']', '_', 'P', '^', 'X':
		i := bytes.IndexAny(s[2:], "\x07\x1b")
		switch {
		case i < 0:
			return len(s)
		case s[2+i] == 0x07:
			return i + 3
		case 2+i+1 < len(s) && s[2+i+1] == '\\':
			return i + 4
		}
		return i + 2
	}
	if s[1] >= ' ' && s[1] <= '~' {
		return 2
	}
	return 1
}

var bom = []byte("\xef\xbb\xbf")

// stampLen is the length of what stands before a line's own text: GitHub's and Azure's time, GitLab's time with its
// stream, the time of Jenkins's timestamper in brackets.
func stampLen(s []byte) int {
	start := 0
	if bytes.HasPrefix(s, bom) {
		start = len(bom)
	}
	at := start
	bracket := at < len(s) && s[at] == '['
	if bracket {
		at++
	}
	n := timeLen(s[at:])
	if n == 0 {
		return start
	}
	at += n
	if bracket {
		if at >= len(s) || s[at] != ']' {
			return start
		}
		at++
	}
	if at < len(s) && s[at] == ' ' {
		at++
	}
	// GitLab names the stream: two hexadecimal digits, O or E, then a blank or a plus for a line that goes on.
	if at+4 <= len(s) && hexDigit(s[at]) && hexDigit(s[at+1]) && (s[at+2] == 'O' || s[at+2] == 'E') && (s[at+3] == ' ' || s[at+3] == '+') {
		at += 4
	}
	return at
}

func hexDigit(c byte) bool { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') }

// timeLen is the length of a time like 2026-01-02T03:04:05.678Z.
func timeLen(s []byte) int {
	const form = "dddd-dd-ddTdd:dd:dd"
	if len(s) <= len(form) {
		return 0
	}
	for i := range len(form) {
		if form[i] == 'd' && (s[i] < '0' || s[i] > '9') || form[i] != 'd' && s[i] != form[i] {
			return 0
		}
	}
	i := len(form)
	if s[i] == '.' {
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		}
	}
	if i >= len(s) || s[i] != 'Z' {
		return 0
	}
	return i + 1
}

// cut shortens a text to about n bytes. It drops the word that it would cut in two, if that isn't too long: the
// beginning of a secret is nothing that redaction knows.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[:n]
	if i := strings.LastIndexAny(s, " \t\n\"'="); i > n/2 {
		s = s[:i]
	}
	return strings.ToValidUTF8(s, "") + "…"
}

// kept is the part of a line's text that is kept.
func kept(text string) string {
	if len(text) <= maxKept {
		return text
	}
	return strings.ToValidUTF8(text[:maxKept], "")
}
