package failure

import (
	"io"
	"strings"
)

const (
	// maxGap is how many lines that the passing log has too, or empty ones, may stand inside a run of error lines.
	maxGap = 3
	// maxRun bounds a run; it starts again after so many lines.
	maxRun = 10_000
	// maxFresh is how many new lines of a log are looked at.
	maxFresh = 50_000
)

// ErrorLines are the numbers of the lines of a failing log that show the failure, however many they are, given the
// log of the same job when it last passed: the runs of new lines in which at least one says that something is wrong,
// without what is background anyway.
func ErrorLines(failing, passing io.Reader) ([]int, error) {
	seen, err := readSet(passing)
	if err != nil {
		return nil, err
	}
	d := &difference{seen: seen}
	err = eachLine(failing, d.see)
	d.end()
	return d.out, err
}

// difference gathers error lines while a failing log streams by.
type difference struct {
	seen   *lineSet
	buf    []byte
	run    []int
	wrong  bool
	behind int
	fresh  int
	out    []int
}

func (d *difference) see(n int, raw []byte) {
	d.seeText(n, kept(clean(raw)))
}

func (d *difference) seeText(n int, text string) {
	d.buf = plainForm(d.buf[:0], text)
	if len(d.buf) == 0 || d.seen.has(d.buf) || d.fresh >= maxFresh {
		d.pass()
		return
	}
	d.fresh++
	set := marksOf(text)
	if background(set, text) {
		d.pass()
		return
	}
	for k := n - d.behind; k < n && len(d.run) > 0; k++ {
		d.run = append(d.run, k)
	}
	d.behind = 0
	d.run = append(d.run, n)
	d.wrong = d.wrong || set&telling != 0
	if len(d.run) >= maxRun {
		wrong := d.wrong
		d.end()
		d.wrong = wrong
	}
}

// pass goes over a line that is no error line; few of them don't end a run.
func (d *difference) pass() {
	if d.behind++; d.behind > maxGap {
		d.end()
	}
}

func (d *difference) end() {
	if d.wrong {
		d.out = append(d.out, d.run...)
	}
	d.run, d.wrong, d.behind = d.run[:0], false, 0
}

var (
	// telling marks say that something is wrong, hushed ones that a line only accompanies the work.
	telling = named("error word", "error at start", "failed word", "failed count", "exception", "assertion", "cause", "failure head", "cross")
	hushed  = named("note", "command", "progress", "rule", "fold", "fine", "nothing failed", "warning")
)

func named(names ...string) (set uint64) {
	for _, name := range names {
		for i := range marks {
			if marks[i].name == name {
				set |= 1 << i
			}
		}
	}
	return set
}

// background says whether a line accompanies the work, whatever else its words say.
func background(set uint64, text string) bool {
	if set&named("error at start", "exception", "failure head") != 0 {
		return false
	}
	return set&hushed != 0 && (set&telling == 0 || set&named("note", "rule", "nothing failed", "fold", "warning") != 0) || strings.HasPrefix(text, "Finished: ")
}
