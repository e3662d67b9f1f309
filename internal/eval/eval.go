// Package eval scores what the failure reader says about real logs against what people marked in them.
//
// It promises that the same folder gives the same figures, that it reads nothing but the folder that it is given, and
// that no figure counts a case that it left out: what can't be read is an error. docs/evaluation.md says how each
// figure is made.
package eval

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
)

// Logs are the scores of the logs and the tool outputs of a folder.
type Logs struct {
	Chunks Chunks
	Diff   Diff
	GHA    GHA
	Tools  Tools
}

// ReadLogs scores the folder's logs/chunks, logs/diff, logs/gha and tool-output.
func ReadLogs(data fs.FS) (Logs, error) {
	var out Logs
	var err error
	if out.Chunks, err = readChunks(data); err != nil {
		return out, fmt.Errorf("logs/chunks: %w", err)
	}
	if out.Diff, err = readDiff(data); err != nil {
		return out, fmt.Errorf("logs/diff: %w", err)
	}
	if out.GHA, err = readGHA(data); err != nil {
		return out, fmt.Errorf("logs/gha: %w", err)
	}
	if out.Tools, err = readTools(data); err != nil {
		return out, fmt.Errorf("tool-output: %w", err)
	}
	return out, nil
}

// maxLog is the largest log that is read, in bytes.
const maxLog = 256 << 20

// readGzip reads a compressed file whole.
func readGzip(data fs.FS, path string) ([]byte, error) {
	packed, err := fs.ReadFile(data, path)
	if err != nil {
		return nil, err
	}
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxLog+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > maxLog {
		return nil, fmt.Errorf("%s: more than %d bytes", path, maxLog)
	}
	return text, nil
}

// overlap compares chosen lines with the true ones.
type overlap struct{ hit, chosen, true int }

func (o overlap) recall() float64 { return share(o.hit, o.true) }

func (o overlap) f1() float64 { return f1(o.hit, o.chosen, o.true) }

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// f1 is the harmonic mean of precision and recall.
func f1(hit, chosen, isTrue int) float64 { return share(2*hit, chosen+isTrue) }
