package sandbox

import (
	"fmt"
	"strings"
)

// tape keeps the first quarter and the last three quarters of what fits into its limit: the beginning says what ran,
// the end says why it failed.
type tape struct {
	head, tail []byte
	headMax    int
	tailMax    int
	total      int64
}

func newTape(limit int) *tape {
	headMax := limit / 4
	return &tape{headMax: headMax, tailMax: limit - headMax}
}

func (t *tape) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	if room := t.headMax - len(t.head); room > 0 {
		take := min(room, len(p))
		t.head = append(t.head, p[:take]...)
		p = p[take:]
	}
	t.tail = append(t.tail, p...)
	// Cut only now and then, so that a flood costs one copy per tail's worth and not one per write.
	if len(t.tail) > 2*t.tailMax {
		t.tail = append(t.tail[:0], t.tail[len(t.tail)-t.tailMax:]...)
	}
	return n, nil
}

// result is text fit for a database and a page: valid UTF-8 without zero bytes.
func (t *tape) result() (text string, truncated bool) {
	tail := t.tail
	if len(tail) > t.tailMax {
		tail = tail[len(tail)-t.tailMax:]
	}
	out := string(t.head)
	if left := t.total - int64(len(t.head)) - int64(len(tail)); left > 0 {
		truncated = true
		out += fmt.Sprintf("\n[... %d bytes left out ...]\n", left)
	}
	out = strings.ToValidUTF8(out+string(tail), "\uFFFD")
	return strings.ReplaceAll(out, "\x00", "\uFFFD"), truncated
}
