// Package unzip reads a ZIP archive as it comes, from front to back, in memory that does not depend on the archive.
//
// The standard library's reader wants the whole archive at hand and holds its directory in memory, which a hostile one
// makes as large as it likes. Here nothing is stored: names are handed out to be compared and are never paths,
// contents are read while they come, and the number of entries and all that they unpack to are bounded.
// Source: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.9 (data descriptor), 4.4 (fields).
package unzip

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const (
	maxEntries = 20_000
	// maxTotal bounds all that the entries of one archive unpack to.
	maxTotal = 8 << 30

	localHeader      = 0x04034b50
	directoryHeader  = 0x02014b50
	endOfDirectory   = 0x06054b50
	descriptorHeader = 0x08074b50

	stored, deflated = 0, 8
	flagEncrypted    = 1
	flagDescriptor   = 8
)

var errEnd = errors.New("no more entries")

// IsEnd says whether an error of Next only means that there are no more entries.
func IsEnd(err error) bool { return errors.Is(err, errEnd) }

// Reader reads one archive.
type Reader struct {
	in      *bufio.Reader
	cur     *entry
	entries int
	total   int64
}

// NewReader reads from in.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(in, 64<<10)} }

// Next goes to the next entry. Its content may be read until Next is called again; it is whole, with the right checksum,
// if it ends with io.EOF. An archive that nobody can read is the permanent error "bad_archive"; an error without a
// reason is the connection's.
func (r *Reader) Next() (name string, content io.Reader, err error) {
	if r.cur != nil {
		if _, err := io.Copy(io.Discard, r.cur); err != nil {
			return "", nil, err
		}
	}
	signature, err := r.in.Peek(4)
	if err != nil {
		return "", nil, cut(err)
	}
	switch binary.LittleEndian.Uint32(signature) {
	case localHeader:
	case directoryHeader, endOfDirectory:
		return "", nil, errEnd
	default:
		return "", nil, bad("it does not go on with an entry")
	}
	if r.entries++; r.entries > maxEntries {
		return "", nil, bad("it has too many entries")
	}
	return r.open()
}

// open reads a local header; r.in is at its signature.
func (r *Reader) open() (string, io.Reader, error) {
	var head [30]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return "", nil, cut(err)
	}
	u16 := func(at int) uint16 { return binary.LittleEndian.Uint16(head[at:]) }
	flags, method := u16(6), u16(8)
	name := make([]byte, u16(26))
	if _, err := io.ReadFull(r.in, name); err != nil {
		return "", nil, cut(err)
	}
	if _, err := r.in.Discard(int(u16(28))); err != nil {
		return "", nil, cut(err)
	}
	e := &entry{r: r, sum: crc32.NewIEEE(), descriptor: flags&flagDescriptor != 0, want: binary.LittleEndian.Uint32(head[14:])}
	size := binary.LittleEndian.Uint32(head[18:])
	switch {
	case flags&flagEncrypted != 0:
		return "", nil, bad("an entry is encrypted")
	case method == deflated:
		e.content = flate.NewReader(r.in) // takes not a byte more than it needs: r.in can give single bytes
	case method == stored && !e.descriptor && size != 0xffffffff:
		e.content = io.LimitReader(r.in, int64(size))
		e.left = int64(size)
		e.sized = true
	default:
		return "", nil, bad("an entry is packed in a way that can't be read from front to back")
	}
	r.cur = e
	return string(name), e, nil
}

// entry is the content of the entry that is being read.
type entry struct {
	r          *Reader
	content    io.Reader
	sum        hash.Hash32
	want       uint32
	descriptor bool
	sized      bool
	left       int64
	err        error
}

// Read checks the entry when it ends.
func (e *entry) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	n, err := e.content.Read(p)
	_, _ = e.sum.Write(p[:n])
	e.left -= int64(n)
	if e.r.total += int64(n); e.r.total > maxTotal {
		err = bad("it unpacks to too much")
	}
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF):
		err = e.end()
	case errors.As(err, &corrupt):
		err = bad("an entry can't be unpacked")
	}
	e.err = err
	return n, err
}

// end gives io.EOF if all is well.
func (e *entry) end() error {
	if e.sized && e.left > 0 {
		return io.ErrUnexpectedEOF
	}
	if e.descriptor {
		if err := e.readDescriptor(); err != nil {
			return err
		}
	}
	if e.sum.Sum32() != e.want {
		return bad("an entry's checksum is wrong")
	}
	return io.EOF
}

// readDescriptor reads the checksum after an entry. Its signature may be missing and its two sizes have four or eight
// bytes each, which only what comes next can tell.
func (e *entry) readDescriptor() error {
	ahead, err := e.r.in.Peek(28)
	if err != nil && !errors.Is(err, io.EOF) {
		return cut(err)
	}
	start := 0
	if len(ahead) >= 4 && binary.LittleEndian.Uint32(ahead) == descriptorHeader {
		start = 4
	}
	for _, size := range []int{start + 12, start + 20} {
		if len(ahead) < size+4 {
			continue
		}
		switch binary.LittleEndian.Uint32(ahead[size:]) {
		case localHeader, directoryHeader:
			e.want = binary.LittleEndian.Uint32(ahead[start:])
			_, err := e.r.in.Discard(size)
			return err
		}
	}
	if len(ahead) < 28 {
		return io.ErrUnexpectedEOF
	}
	return bad("an entry's end can't be found")
}

func bad(why string) error { return fault.Permf("bad_archive", "the archive can't be read: %s", why) }

// cut is the error of an archive that ends before its end.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
