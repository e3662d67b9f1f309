package circleci

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxKey is more than the longest name that matters, maxDepth more than the deepest place.
	maxKey   = 16
	maxDepth = 32
	// chunk is how much text is decoded at a time.
	chunk = 16 << 10
)

var errNotMessages = errors.New("the output is not the list of messages that we expect")

// messages reads the text out of a step's output, [{"message": "...", ...}, ...], while it comes. A JSON decoder would
// hold each string as a whole, and one string may be the whole log.
type messages struct {
	in  *bufio.Reader
	out []byte // decoded and not yet read
	err error

	// The place in the document: how many lists and objects are open (a set bit is an object), the last byte that was
	// not blank and not inside of a string, and the last name.
	depth   int
	objects uint64
	last    byte
	key     []byte

	// The place in a string.
	inText, isKey, wanted bool
	escape                int  // 0: none, 1: after a backslash, 2 to 5: before a digit of \u
	unit                  rune // the digits so far
	high                  rune // the first half of a character in two, or 0
}

func newMessages(in io.Reader) *messages { return &messages{in: bufio.NewReaderSize(in, 32<<10)} }

// Read gives the messages' text, one after the other.
func (m *messages) Read(p []byte) (int, error) {
	if len(m.out) == 0 {
		for len(m.out) < chunk && m.err == nil {
			m.run()
			m.err = m.next()
		}
	}
	n := copy(p, m.out)
	m.out = m.out[:copy(m.out, m.out[n:])]
	if n > 0 {
		return n, nil
	}
	return 0, m.err
}

// run takes all plain bytes of a string that are at hand, which is nearly all of a log.
func (m *messages) run() {
	if !m.inText || m.isKey || m.escape != 0 || m.high != 0 {
		return
	}
	ahead, _ := m.in.Peek(min(m.in.Buffered(), chunk))
	for _, stop := range []byte{'"', '\\'} {
		if i := bytes.IndexByte(ahead, stop); i >= 0 {
			ahead = ahead[:i]
		}
	}
	if m.wanted {
		m.out = append(m.out, ahead...)
	}
	_, _ = m.in.Discard(len(ahead))
}

func (m *messages) next() error {
	c, err := m.in.ReadByte()
	switch {
	case errors.Is(err, io.EOF) && (m.depth != 0 || m.last != ']'):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case m.inText:
		return m.inside(c)
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		return nil
	}
	return m.outside(c)
}

// outside takes a byte between strings. Numbers and the like are passed over.
func (m *messages) outside(c byte) error {
	if m.depth == 0 && (m.last != 0 || c != '[') {
		return errNotMessages
	}
	switch c {
	case '"':
		m.inText, m.isKey = true, m.objects&1 == 1 && m.last != ':'
		m.wanted = !m.isKey && m.depth == 2 && m.objects&1 == 1 && string(m.key) == "message"
		if m.isKey {
			m.key = m.key[:0]
		}
	case '{', '[':
		if m.depth++; m.depth > maxDepth {
			return errNotMessages
		}
		m.objects <<= 1
		if c == '{' {
			m.objects |= 1
		}
	case '}', ']':
		if (m.objects&1 == 1) != (c == '}') {
			return errNotMessages
		}
		m.depth--
		m.objects >>= 1
	}
	m.last = c
	return nil
}

// inside takes a byte of a string.
func (m *messages) inside(c byte) error {
	switch {
	case m.escape == 1:
		return m.escaped(c)
	case m.escape > 1:
		return m.digit(c)
	case c == '\\':
		m.escape = 1
		return nil
	}
	m.lone()
	if c == '"' {
		m.inText = false
		return nil
	}
	m.take(c)
	return nil
}

// escaped takes the byte after a backslash.
func (m *messages) escaped(c byte) error {
	const short, meaning = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	m.escape = 0
	if c == 'u' {
		m.escape, m.unit = 2, 0
		return nil
	}
	m.lone()
	for i := range len(short) {
		if short[i] == c {
			m.take(meaning[i])
			return nil
		}
	}
	return errNotMessages
}

// digit takes one of the four digits of \u. A character beyond the first 65,536 comes in two of them.
func (m *messages) digit(c byte) error {
	var v rune
	switch {
	case c >= '0' && c <= '9':
		v = rune(c - '0')
	case c >= 'a' && c <= 'f':
		v = rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		v = rune(c-'A') + 10
	default:
		return errNotMessages
	}
	m.unit = m.unit<<4 | v
	if m.escape++; m.escape <= 5 {
		return nil
	}
	m.escape = 0
	r := m.unit
	if m.high != 0 {
		if both := utf16.DecodeRune(m.high, r); both != utf8.RuneError {
			m.high, r = 0, both
		}
	}
	m.lone()
	if utf16.IsSurrogate(r) && r < 0xdc00 {
		m.high = r
		return nil
	}
	m.rune(r)
	return nil
}

// lone gives up waiting for the second half of a character.
func (m *messages) lone() {
	if m.high != 0 {
		m.high = 0
		m.rune(utf8.RuneError)
	}
}

func (m *messages) rune(r rune) {
	for _, c := range utf8.AppendRune(nil, r) {
		m.take(c)
	}
}

func (m *messages) take(c byte) {
	if m.wanted {
		m.out = append(m.out, c)
	}
	if m.isKey && len(m.key) < maxKey {
		m.key = append(m.key, c)
	}
}
