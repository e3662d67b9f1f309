package eval

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// Diff are the scores of error lines that were found with a passing log's help: means over the pairs.
type Diff struct {
	Pairs int
	// F1 is against the first annotator, Second against the second one.
	F1, Second float64
	// People is the F1 of the two annotators against each other.
	People float64
}

func readDiff(data fs.FS) (Diff, error) {
	entries, err := fs.ReadDir(data, "logs/diff")
	if err != nil {
		return Diff{}, err
	}
	var out Diff
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := out.addPair(data, path.Join("logs/diff", e.Name())); err != nil {
			return out, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	if n := float64(out.Pairs); n > 0 {
		out.F1, out.Second, out.People = out.F1/n, out.Second/n, out.People/n
	}
	return out, nil
}

func (d *Diff) addPair(data fs.FS, dir string) error {
	failing, err := readGzip(data, path.Join(dir, "fail.log.gz"))
	if err != nil {
		return err
	}
	passing, err := readGzip(data, path.Join(dir, "pass.log.gz"))
	if err != nil {
		return err
	}
	first, err := readTruth(data, path.Join(dir, "groundtruth"))
	if err != nil {
		return err
	}
	second, err := readTruth(data, path.Join(dir, "groundtruth2"))
	if errors.Is(err, fs.ErrNotExist) {
		second = first
	} else if err != nil {
		return err
	}
	found, err := failure.ErrorLines(bytes.NewReader(newlines(failing)), bytes.NewReader(newlines(passing)))
	if err != nil {
		return err
	}
	chosen := map[int]bool{}
	for _, n := range found {
		chosen[n] = true
	}
	d.Pairs++
	d.F1 += compare(chosen, first).f1()
	d.Second += compare(chosen, second).f1()
	d.People += compare(first, second).f1()
	return nil
}

// newlines turns carriage returns into line feeds, because that is how the annotators' numbers count lines.
func newlines(log []byte) []byte {
	log = bytes.ReplaceAll(log, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(log, []byte("\r"), []byte("\n"))
}

// errorRange is how a truth file names error lines; other letters mark context, which doesn't count.
var errorRange = regexp.MustCompile(`(?m)^E (\d+)(?:-(\d+))?\s*$`)

func readTruth(data fs.FS, name string) (map[int]bool, error) {
	text, err := fs.ReadFile(data, name)
	if err != nil {
		return nil, err
	}
	out := map[int]bool{}
	for _, m := range errorRange.FindAllSubmatch(text, -1) {
		first, _ := strconv.Atoi(string(m[1]))
		last := first
		if len(m[2]) > 0 {
			last, _ = strconv.Atoi(string(m[2]))
		}
		for n := first; n <= min(last, first+maxLog/100); n++ {
			out[n] = true
		}
	}
	return out, nil
}

func compare(chosen, isTrue map[int]bool) overlap {
	o := overlap{chosen: len(chosen), true: len(isTrue)}
	for n := range chosen {
		if isTrue[n] {
			o.hit++
		}
	}
	return o
}
