package failure

import (
	"strings"
)

const (
	// maxParts is how many separate parts an excerpt may have.
	maxParts = 5
	// margin is how many lines before and after each part are shown too, if there is room.
	margin = 5
	// minShare is what a further part must be worth, as a share of the first.
	minShare = 0.3
	// shapeSize is how much of a line's start is its shape, in bytes.
	shapeSize = 10
)

// choose picks the lines that show the failure: up to five runs of lines, each the most telling of what is left, and
// a few lines around each. New says which lines a passing log doesn't have; nil if there is no such log.
func choose(lines []Line, fresh []bool) []Line {
	var shown []Line
	var kept []bool
	for i, l := range lines {
		if strings.TrimSpace(l.Text) != "" {
			shown = append(shown, l)
			if fresh != nil {
				kept = append(kept, fresh[i])
			}
		}
	}
	if len(shown) <= 2*margin {
		return shown
	}
	worth := weigh(shown, kept)
	var out []Line
	for i, in := range worth.pick(len(shown)) {
		if in {
			out = append(out, shown[i])
		}
	}
	return out
}

// worth is what each line is worth in each place of a part.
type worth struct {
	line, start, before, end, after, second []int
}

func weigh(lines []Line, fresh []bool) *worth {
	n := len(lines)
	w := &worth{make([]int, n), make([]int, n), make([]int, n+1), make([]int, n), make([]int, n+1), make([]int, n+1)}
	shapes := countShapes(lines)
	for i, l := range lines {
		set := marksOf(l.Text)
		set |= shapeMarks(shapes[shapeOf(l.Text)])
		if set == 0 {
			set = 1 << (len(weights) - 1)
		}
		w.line[i] = weightLine
		for b := range weights {
			if set&(1<<b) != 0 {
				w.add(i, &weights[b])
			}
		}
		w.start[i] += weightFromEnd[nearness(n-i)]
		if fresh != nil {
			w.line[i] += freshness(fresh[i])
		}
	}
	w.before[0], w.after[n] = weightFirst, weightLast
	return w
}

func (w *worth) add(i int, by *weight) {
	w.line[i] += by.line
	w.start[i] += by.start
	w.before[i+1] += by.before
	w.end[i] += by.end
	w.after[i] += by.after
	w.second[i] += by.second
}

// freshness is what a passing log says about a line, in hundredths.
func freshness(fresh bool) int {
	if fresh {
		return 20
	}
	return -150
}

// nearness says how far from its end a step's line is.
func nearness(d int) int {
	near := 0
	for _, limit := range []int{4, 8, 16, 32, 64, 128, 256, 1000} {
		if d > limit {
			near++
		}
	}
	return near
}

type part struct{ first, last, worth int }

// pick says which lines are chosen.
func (w *worth) pick(n int) []bool {
	used := make([]bool, n)
	var parts []part
	for left := MaxLines; len(parts) < maxParts && left > 0; {
		p, ok := w.best(used, left)
		if !ok || len(parts) > 0 && float64(p.worth) < minShare*float64(parts[0].worth) {
			break
		}
		for i := p.first; i <= p.last; i++ {
			used[i] = true
		}
		left -= p.last - p.first + 1
		parts = append(parts, p)
	}
	widen(used, parts)
	return used
}

// best is the part of at most size lines that is worth most.
func (w *worth) best(used []bool, size int) (part, bool) {
	best, found := part{}, false
	for a := range used {
		if used[a] {
			continue
		}
		sum := w.start[a] + w.before[a] + w.second[a+1]
		for b := a; b < len(used) && b-a < size && !used[b]; b++ {
			sum += w.line[b]
			if v := sum + w.end[b] + w.after[b+1]; !found || v > best.worth {
				best, found = part{a, b, v}, true
			}
		}
	}
	return best, found
}

func widen(used []bool, parts []part) {
	left := MaxLines
	for _, p := range parts {
		left -= p.last - p.first + 1
	}
	for k := 1; k <= margin; k++ {
		for _, p := range parts {
			for _, i := range []int{p.last + k, p.first - k} {
				if i >= 0 && i < len(used) && left > 0 && !used[i] {
					used[i] = true
					left--
				}
			}
		}
	}
}

// A shape is how a line starts, with its numbers left out. Lines of one shape that come by the dozen are a listing.
func shapeOf(text string) string {
	text = strings.TrimSpace(text)
	b := make([]byte, 0, shapeSize)
	last := byte(0)
	for i := 0; i < len(text) && len(b) < shapeSize; i++ {
		c := text[i]
		if c >= '0' && c <= '9' {
			c = '0'
		}
		if c != '0' || last != '0' {
			b = append(b, c)
		}
		last = c
	}
	return string(b)
}

func countShapes(lines []Line) map[string]int {
	out := map[string]int{}
	for _, l := range lines {
		out[shapeOf(l.Text)]++
	}
	return out
}

func shapeMarks(count int) (set uint64) {
	if count > 20 {
		set |= 1 << len(marks)
	}
	if count > 100 {
		set |= 1 << (len(marks) + 1)
	}
	return set
}
