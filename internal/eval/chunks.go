package eval

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// Chunk are the scores of excerpts against the part of a log that a person marked: means over the cases.
type Chunk struct {
	Cases  int
	Recall float64
	// Full is the share of cases whose chunk is wholly inside the excerpt.
	Full float64
	F1   float64
	// Lines is how many lines an excerpt has.
	Lines float64
	// Longest is how many the longest one has.
	Longest int
}

// Chunks are the scores of all cases and of their two halves, which share no repository.
type Chunks struct {
	All, Development, HeldOut Chunk
}

type chunkCase struct {
	Log   string `json:"log"`
	Chunk string `json:"chunk"`
}

// repository is the second part of a log's name: language, repository, result, build.
func (c chunkCase) repository() string {
	if parts := strings.Split(c.Log, "__"); len(parts) > 1 {
		return parts[1]
	}
	return c.Log
}

func readChunks(data fs.FS) (Chunks, error) {
	cases, err := readCases(data)
	if err != nil {
		return Chunks{}, err
	}
	development := developed(cases)
	var all, dev, held sum
	for _, c := range cases {
		log, err := readGzip(data, path.Join("logs/chunks", c.Log))
		if err != nil {
			return Chunks{}, err
		}
		o := scoreChunk(log, c.Chunk)
		all.add(o)
		if development[c.repository()] {
			dev.add(o)
		} else {
			held.add(o)
		}
	}
	return Chunks{all.chunk(), dev.chunk(), held.chunk()}, nil
}

func readCases(data fs.FS) ([]chunkCase, error) {
	list, err := fs.ReadFile(data, "logs/chunks/cases.jsonl")
	if err != nil {
		return nil, err
	}
	var out []chunkCase
	lines := bufio.NewScanner(bytes.NewReader(list))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c chunkCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("case %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	return out, lines.Err()
}

// developed are the repositories of the development half: every second one by name.
func developed(cases []chunkCase) map[string]bool {
	var names []string
	for _, c := range cases {
		names = append(names, c.repository())
	}
	slices.Sort(names)
	out := map[string]bool{}
	for i, name := range slices.Compact(names) {
		out[name] = i%2 == 0
	}
	return out
}

type sum struct {
	n, full, lines, longest int
	recall, f1              float64
}

func (s *sum) add(o overlap) {
	s.n++
	s.recall += o.recall()
	s.f1 += o.f1()
	if o.hit == o.true {
		s.full++
	}
	s.lines += o.chosen
	s.longest = max(s.longest, o.chosen)
}

func (s *sum) chunk() Chunk {
	if s.n == 0 {
		return Chunk{}
	}
	n := float64(s.n)
	return Chunk{Cases: s.n, Recall: s.recall / n, Full: float64(s.full) / n, F1: s.f1 / n, Lines: float64(s.lines) / n, Longest: s.longest}
}

// scoreChunk compares line numbers: where the chunk stands in the log, and what the excerpt shows. Where it stands
// more than once, the place that the excerpt shows most of counts. Empty lines don't.
func scoreChunk(log []byte, chunk string) overlap {
	report := failure.Explain(log)
	shown := map[int]bool{}
	for _, l := range report.Excerpt {
		shown[l.Number] = true
	}
	want := wanted(chunk)
	best := overlap{chosen: len(shown), true: len(want)}
	places := locate(failure.Lines(log), want)
	if len(places) == 0 {
		best.hit = shownSomewhere(report.Text, want)
		return best
	}
	for _, place := range places {
		hit := 0
		for _, n := range place {
			if shown[n] {
				hit++
			}
		}
		best.hit = max(best.hit, hit)
	}
	return best
}

// wanted are the chunk's lines without empty ones.
func wanted(chunk string) []string {
	var out []string
	for _, l := range failure.Lines([]byte(chunk)) {
		if text := strings.TrimSpace(l.Text); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// locate finds where the wanted lines stand one after another. A chunk may start inside its first line and end inside
// its last one.
func locate(lines []failure.Line, want []string) [][]int {
	var text []string
	var numbers []int
	for _, l := range lines {
		if t := strings.TrimSpace(l.Text); t != "" {
			text, numbers = append(text, t), append(numbers, l.Number)
		}
	}
	var out [][]int
	for at := 0; len(want) > 0 && at+len(want) <= len(text); at++ {
		if stands(text[at:at+len(want)], want) {
			out = append(out, numbers[at:at+len(want)])
		}
	}
	return out
}

func stands(text, want []string) bool {
	last := len(want) - 1
	if last == 0 {
		return strings.Contains(text[0], want[0])
	}
	return strings.HasSuffix(text[0], want[0]) && strings.HasPrefix(text[last], want[last]) && slices.Equal(text[1:last], want[1:last])
}

// shownSomewhere counts the wanted lines that an excerpt's text holds, for a chunk that doesn't stand in the log as
// it was marked.
func shownSomewhere(text string, want []string) int {
	hit := 0
	for _, w := range want {
		if strings.Contains(text, w) {
			hit++
		}
	}
	return hit
}
