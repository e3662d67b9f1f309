// Package edit changes places in a text and leaves every other byte as it is.
//
// It promises that edits which overlap or lie outside the text are refused, and that it knows the text's own line
// ends. It also names what the adapters of a plan share: what is asked for, and why it can't be done. It is pure.
package edit

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Edit puts Text in the place of the bytes from Start to End.
type Edit struct {
	Start, End int
	Text       string
}

// MaxBytes is the largest file that is edited.
const MaxBytes = 1 << 20

// MaxDepth is how deep a file may be nested.
const MaxDepth = 200

// Do applies the edits, which name places of src.
func Do(src []byte, edits ...Edit) ([]byte, error) {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int { return cmp.Compare(a.Start, b.Start) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		if e.Start < at || e.End < e.Start || e.End > len(src) {
			return nil, fault.Permf(Conflict, "two changes of one place, at byte %d", e.Start)
		}
		out.Write(src[at:e.Start])
		out.WriteString(e.Text)
		at = e.End
	}
	out.Write(src[at:])
	return out.Bytes(), nil
}

// Readable says why no adapter reads the file.
func Readable(src []byte) error {
	switch {
	case len(src) > MaxBytes:
		return fault.Permf(Unreadable, "the file has %d bytes, at most %d are edited", len(src), MaxBytes)
	case !utf8.Valid(src):
		return fault.Permf(Unreadable, "the file is not UTF-8")
	case bytes.IndexByte(src, 0) >= 0:
		return fault.Permf(Unreadable, "the file is binary")
	}
	return nil
}

// Shallow refuses text with more brackets open at once than any file needs, before a recursive parser sees it.
// It knows no strings: a bracket in one counts too.
func Shallow(src []byte) error {
	depth := 0
	for _, c := range src {
		switch c {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth = max(depth-1, 0)
		}
		if depth > MaxDepth {
			return fault.Permf(Unreadable, "the file is nested deeper than %d", MaxDepth)
		}
	}
	return nil
}

// LineEnd is the end that the text's lines have: that of its first line.
func LineEnd(src []byte) string {
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// LineStart is where the line of the byte at begins.
func LineStart(src []byte, at int) int { return bytes.LastIndexByte(src[:at], '\n') + 1 }

// LineStop is where the line of the byte at ends, its line end included.
func LineStop(src []byte, at int) int {
	if i := bytes.IndexByte(src[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(src)
}

// Indent is the white space that the line of the byte at begins with.
func Indent(src []byte, at int) string {
	line := src[LineStart(src, at):at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// Lines takes the whole lines of the bytes from start to end away, or only the bytes when something else stands on them.
func Lines(src []byte, start, end int) Edit {
	from, to := LineStart(src, start), LineStop(src, max(end-1, start))
	if strings.TrimSpace(string(src[from:start])) != "" || (end <= to && strings.TrimSpace(string(src[end:to])) != "") {
		return Edit{Start: start, End: end}
	}
	return Edit{Start: from, End: to}
}

// After puts a line behind the line of the byte at.
func After(src []byte, at int, line string) Edit {
	stop := LineStop(src, at)
	if stop > 0 && src[stop-1] == '\n' {
		return Edit{Start: stop, End: stop, Text: line + LineEnd(src)}
	}
	return Edit{Start: stop, End: stop, Text: LineEnd(src) + line}
}
