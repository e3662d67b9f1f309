package patch

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
)

// counts is what two independent readers of a diff must agree on.
type counts struct{ files, added, removed int }

var (
	hunkHeader   = regexp.MustCompile(`^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@(?: |$)`)
	headerLine   = regexp.MustCompile(`^(?:index [0-9a-f]+\.\.[0-9a-f]+(?: [0-7]{6})?|(?:old mode|new mode|deleted file mode|new file mode) [0-7]{6}|(?:dis)?similarity index \d+%|(?:rename|copy) (?:from|to) .+)$`)
	binaryHeader = regexp.MustCompile(`^(?:GIT binary patch|Binary files .+ differ)$`)
	binaryData   = regexp.MustCompile("^(?:(?:literal|delta) \\d+|[A-Za-z][0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]+|)$")
)

// walker accounts for every line of a diff: the diff parser skips lines that it doesn't know, and what it skips
// another reader may apply.
type walker struct {
	lines [][]byte
	at    int
	n     counts
}

func walk(diff []byte) (counts, error) {
	if len(diff) == 0 {
		return counts{}, nil
	}
	if diff[len(diff)-1] != '\n' {
		return counts{}, fmt.Errorf("the diff doesn't end with a line end")
	}
	w := &walker{lines: bytes.Split(diff[:len(diff)-1], []byte("\n"))}
	for w.at < len(w.lines) {
		if err := w.file(); err != nil {
			return counts{}, fmt.Errorf("line %d: %w", w.at+1, err)
		}
	}
	return w.n, nil
}

func (w *walker) peek() []byte {
	if w.at < len(w.lines) {
		return w.lines[w.at]
	}
	return nil
}

func (w *walker) skip(match func([]byte) bool) {
	for w.at < len(w.lines) && match(w.lines[w.at]) {
		w.at++
	}
}

func (w *walker) file() error {
	if !bytes.HasPrefix(w.peek(), []byte("diff --git ")) {
		return fmt.Errorf("expected a file header")
	}
	w.n.files++
	start := w.at
	w.at++
	w.skip(headerLine.Match)
	switch {
	case binaryHeader.Match(w.peek()):
		w.at++
		w.skip(binaryData.Match)
		return w.noReturns(start)
	case bytes.HasPrefix(w.peek(), []byte("--- ")):
		w.at++
		if !bytes.HasPrefix(w.peek(), []byte("+++ ")) {
			return fmt.Errorf("expected +++")
		}
		w.at++
		if err := w.noReturns(start); err != nil {
			return err
		}
		return w.hunks()
	}
	return w.noReturns(start)
}

// noReturns refuses carriage returns in the header that ends here: the parser trims what git takes for a part of a
// name.
func (w *walker) noReturns(start int) error {
	for _, line := range w.lines[start:w.at] {
		if bytes.ContainsRune(line, '\r') {
			return fmt.Errorf("carriage return in a header")
		}
	}
	return nil
}

func (w *walker) hunks() error {
	if !hunkHeader.Match(w.peek()) {
		return fmt.Errorf("expected a hunk")
	}
	for {
		m := hunkHeader.FindSubmatch(w.peek())
		if m == nil {
			return nil
		}
		w.at++
		if err := w.hunk(length(m[1]), length(m[2])); err != nil {
			return err
		}
	}
}

// length is a hunk's number of lines; git leaves it out when it is 1.
func length(digits []byte) int {
	if len(digits) == 0 {
		return 1
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		return -1
	}
	return n
}

func (w *walker) hunk(before, after int) error {
	if before < 0 || after < 0 {
		return fmt.Errorf("bad hunk length")
	}
	for before > 0 || after > 0 {
		line := w.peek()
		if len(line) == 0 {
			return fmt.Errorf("the hunk is cut short")
		}
		switch line[0] {
		case ' ':
			before--
			after--
		case '-':
			before--
			w.n.removed++
		case '+':
			after--
			w.n.added++
		case '\\':
		default:
			return fmt.Errorf("unknown line in a hunk")
		}
		w.at++
	}
	if before < 0 || after < 0 {
		return fmt.Errorf("the hunk is longer than it says")
	}
	w.skip(func(line []byte) bool { return bytes.HasPrefix(line, []byte(`\ `)) })
	return nil
}
