package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress tells how far some work is: a bar on a terminal, now and then a count elsewhere.
type progress struct {
	out   io.Writer
	verb  string
	total int
	// width of the terminal; -1 is none.
	width int
	drawn bool
	now   func() time.Time
	next  time.Time
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
	widestBar = 40
)

func newProgress(out io.Writer, verb string, total int, now func() time.Time) *progress {
	p := &progress{out: out, verb: verb, total: total, width: -1, now: now}
	if f, ok := out.(*os.File); ok {
		p.width = columns(f)
	}
	if p.width < 0 {
		p.next = now().Add(lineEvery)
	}
	return p
}

// step says that n of the total are through. That all are is said by whoever does the work.
func (p *progress) step(n int) {
	now := p.now()
	if now.Before(p.next) && (n < p.total || p.width < 0) {
		return
	}
	if p.width < 0 {
		fmt.Fprintf(p.out, "%s %d of %d\n", p.verb, n, p.total)
		p.next = now.Add(lineEvery)
		return
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s", p.bar(n))
	p.drawn, p.next = true, now.Add(barEvery)
}

func (p *progress) bar(n int) string {
	text := fmt.Sprintf("%s %d of %d", p.verb, n, p.total)
	room := min(widestBar, p.width-len(text)-4)
	if room < 5 || p.total < 1 {
		return clip(text, p.width-1)
	}
	full := room * n / p.total
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] " + text
}

// line prints a text from outside on a line of its own.
func (p *progress) line(text string) {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = false
	}
	fmt.Fprintf(p.out, "%s\n", visible(text))
}

// end leaves the bar's line.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.out)
		p.drawn = false
	}
}
