package failure

import "regexp"

// decisive are lines that say what is wrong, rather than that something is.
var decisive = regexp.MustCompile(`(?i)(?:^|[\s\[(:])(?:error|fatal|panic|failure|failed|exception|traceback|undefined|cannot find|not found|no such file|conflict|denied|unexpected|expected|assert\w*|differs?|unformatted|mismatch|missing|\[warn\]|E\d{4}|FAIL)(?:$|[\s\])(:!,.])|(?:\w|/)\.\w{1,6}:\d+(?::\d+)?[:\s]|^(?:diff |--- |\+\+\+ |\[warn\])|^\s*(?:✗|✘|×|✖)`)

// notDecisive are lines that only look so.
var notDecisive = regexp.MustCompile(`(?i)^##\[error\]Process completed|\b0 (?:errors?|failures?|failed)\b|(?:errors?|failures?|failed)[:=]\s*0\b|--fail|fail-fast|error\.(?:js|ts|go|py)\b|ignor(?:e|ing) error`)

// picker keeps what an excerpt may need while a log streams by: the first decisive lines with what stands before
// and after each, and the last lines.
type picker struct {
	before []Line
	marked []Line
	after  int
	last   []Line
}

// half is the share of an excerpt that the first decisive lines get when both they and the end don't fit.
const half = MaxLines / 2

func newPicker() *picker { return &picker{} }

func (p *picker) see(n int, text string) {
	if text == "" {
		return
	}
	line := Line{Number: n, Text: cut(text, maxText)}
	p.last = push(p.last, line, MaxLines)
	switch {
	case len(p.marked) >= MaxLines:
	case decisive.MatchString(text) && !notDecisive.MatchString(text):
		if len(p.marked) == 0 {
			p.marked = append(p.marked, p.before...)
		}
		p.marked = append(p.marked, line)
		p.after = context
	case p.after > 0:
		p.marked = append(p.marked, line)
		p.after--
	}
	p.before = push(p.before, line, 3)
}

func push(ring []Line, l Line, size int) []Line {
	ring = append(ring, l)
	if len(ring) > size {
		copy(ring, ring[1:])
		ring = ring[:size]
	}
	return ring
}

func (p *picker) lines() []Line {
	if len(p.last) == 0 {
		return nil
	}
	head, tail := p.marked, p.last
	if len(head) == 0 || head[0].Number >= tail[0].Number {
		return tail
	}
	head = head[:min(len(head), half)]
	tail = tail[len(tail)-half:]
	out := append([]Line(nil), head...)
	for _, l := range tail {
		if l.Number > out[len(out)-1].Number {
			out = append(out, l)
		}
	}
	return out
}
