package failure

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxRaw is how much of a line of the log is looked at, in bytes.
const maxRaw = 8 << 10

// lineReader reads a log line by line. One endless line costs no more memory than a short one.
type lineReader struct {
	in     *bufio.Reader
	long   []byte
	number int
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next line without its line feed, cut at maxRaw, and io.EOF after the last one. The bytes are good
// until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	line, err := l.in.ReadSlice('\n')
	if err == nil {
		line = line[:len(line)-1]
		return line[:min(len(line), maxRaw)], nil
	}
	if errors.Is(err, io.EOF) {
		if len(line) == 0 {
			return nil, io.EOF
		}
		return line[:min(len(line), maxRaw)], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("read a log: %w", err)
	}
	l.long = append(l.long[:0], line[:maxRaw]...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.in.ReadSlice('\n')
		// What a carriage return starts again is what a terminal shows in the end.
		if i := bytes.LastIndexByte(bytes.TrimRight(line, "\r\n"), '\r'); i >= 0 && i+1 < len(line) {
			rest := line[i:]
			l.long = append(l.long[:0], rest[:min(len(rest), maxRaw)]...)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read a log: %w", err)
	}
	return l.long, nil
}

// Lines are a log's lines as they are shown, each with its number.
func Lines(log []byte) []Line {
	var out []Line
	// Reading from memory never fails.
	_ = eachLine(bytes.NewReader(log), func(n int, raw []byte) {
		out = append(out, Line{Number: n, Text: kept(clean(raw))})
	})
	return out
}
