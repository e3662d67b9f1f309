// Package markup writes Markdown for the forges with text in it that came from outside.
//
// It promises that such text is shown as text, whatever it is: nothing in it mentions, closes, links, loads, commands or
// renders anything, on any of the forges, and no character of it deceives a reader. It is pure.
//
// What came from outside stands in code, because that is the one thing that all of the forges' dialects read alike. Where
// there is no Markdown, in titles and commit messages, Inert takes from it what forges act on.
package markup

import (
	"regexp"
	"strings"
	"unicode"
)

const (
	maxSpan = 300
	maxLink = 1000
)

// Fence puts text into a code fence that the text can't end: longer than any run of its fence's character in it. Lines
// longer than 300 bytes are cut. When a line begins with what GitLab may read as a quick action, an older renderer as the end of
// the fence, or Find as a text of ours, all of them are indented by a blank.
func Fence(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	indent := ""
	for i, l := range lines {
		lines[i] = Clip(Plain(l), maxSpan)
		if lines[i] != "" && strings.ContainsRune("/`~<[", rune(lines[i][0])) {
			indent = " "
		}
	}
	for i := range lines {
		lines[i] = indent + lines[i]
	}
	clean := strings.Join(lines, "\n")
	ticks := strings.Repeat("`", max(3, longestRun(clean)+1))
	return ticks + "text\n" + clean + "\n" + ticks + "\n"
}

// Code puts text into a code span that the text can't end, on one line and at most 300 bytes of it.
func Code(text string) string {
	clean := Clip(strings.TrimSpace(Plain(text)), maxSpan)
	if clean == "" {
		return "`(empty)`"
	}
	ticks := strings.Repeat("`", longestRun(clean)+1)
	if strings.HasPrefix(clean, "`") || strings.HasSuffix(clean, "`") {
		clean = " " + clean + " "
	}
	return ticks + clean + ticks
}

func longestRun(s string) int {
	longest, now := 0, 0
	for _, c := range s {
		if c == '`' {
			now++
			longest = max(longest, now)
		} else {
			now = 0
		}
	}
	return longest
}

// Plain removes what could deceive a reader: control, format and bidirectional characters. A line break or a tab becomes
// a blank, and so does any other kind of blank.
func Plain(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\u2028', c == '\u2029', c < unicode.MaxASCII && unicode.IsSpace(c), unicode.Is(unicode.Zs, c):
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c), unicode.Is(unicode.Cf, c), c == unicode.ReplacementChar,
			unicode.Is(unicode.Co, c), unicode.Is(unicode.Variation_Selector, c), !assigned(c):
			return -1
		default:
			return c
		}
	}, strings.ToValidUTF8(s, ""))
}

// assigned leaves out what has no meaning, and what looks like nothing though it is called a letter.
func assigned(c rune) bool {
	switch c {
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\u034f', '\u17b4', '\u17b5':
		return false
	}
	return unicode.IsGraphic(c)
}

// Clip cuts text after most bytes, never within a character.
func Clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// triggers is what forges act on in plain text: mentions, references by sign or by word, and addresses, behind a closing
// keyword or not. The blank goes between the sign and what follows it.
var triggers = regexp.MustCompile(`(?i)([@#]|\bgh-|\bab#|://|\bwww\.)([\pL\pN_"{\[/(-])|([!$%&^~])(\pN)`)

// Inert makes text fit for a title or a commit message: on one line, and without what a forge acts on there.
func Inert(text string) string {
	s := strings.Join(strings.Fields(Plain(text)), " ")
	for { // what follows a sign may be a sign
		next := triggers.ReplaceAllString(s, "$1$3 $2$4")
		if next == s {
			break
		}
		s = next
	}
	s = strings.NewReplacer("<", "‹", ">", "›", "`", "'", "[", "(", "]", ")").Replace(s)
	return strings.TrimLeft(s, "/ ")
}

var address = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&+,;=:@%/?#-]*)?$`)

// Link links a label of ours to an address, if that is a plain one without user and password; else it is empty.
func Link(label, to string) string {
	if len(to) > maxLink || !address.MatchString(to) || strings.Contains(to, "--") {
		return ""
	}
	return "[" + label + "](" + to + ")"
}

// Block puts a text of ours into a code fence, uncut: what is read again by a program. Its lines are plain already; one
// that begins with a slash is indented by a blank, as in Fence.
func Block(kind, text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "/") {
			lines[i] = " " + l
		}
	}
	clean := strings.Join(lines, "\n")
	ticks := strings.Repeat("`", max(3, longestRun(clean)+1))
	return ticks + kind + "\n" + clean + "\n" + ticks + "\n"
}
