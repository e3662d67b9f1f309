package scan

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// fragment is all the changed lines of one file, joined: a key may span several of them.
type fragment struct {
	file    string
	lines   []string
	numbers []int
}

func fragments(lines []patch.Line) []fragment {
	var out []fragment
	for _, l := range lines {
		if len(out) == 0 || out[len(out)-1].file != l.File {
			out = append(out, fragment{file: l.File})
		}
		f := &out[len(out)-1]
		f.lines = append(f.lines, l.Text)
		f.numbers = append(f.numbers, l.Number)
	}
	return out
}

func (f fragment) text() string { return strings.Join(f.lines, "\n") }

// number is the line number in the file of the fragment's line at index i.
func (f fragment) number(i int) int {
	return f.numbers[max(0, min(i, len(f.numbers)-1))]
}
