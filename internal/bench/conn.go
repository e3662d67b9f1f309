package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// Conn is one keep-alive connection to an HTTP/1.1 server. It sends requests as bytes, reads no more of the answer than
// it has to, and connects again by itself.
type Conn struct {
	address string
	nc      net.Conn
	in      *bufio.Reader
}

// Dial connects to host:port.
func Dial(ctx context.Context, address string) (*Conn, error) {
	c := &Conn{address: address}
	return c, c.connect(ctx)
}

func (c *Conn) connect(ctx context.Context) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	c.nc = nc
	if c.in == nil {
		c.in = bufio.NewReaderSize(nc, 4<<10)
	}
	c.in.Reset(nc)
	return nil
}

// Close closes the connection.
func (c *Conn) Close() {
	if c.nc != nil {
		_ = c.nc.Close()
		c.nc = nil
	}
}

// Do sends a request and returns the answer's status once the whole answer is there.
func (c *Conn) Do(ctx context.Context, request []byte, within time.Duration) (status int, err error) {
	if c.nc == nil {
		if err := c.connect(ctx); err != nil {
			return 0, err
		}
	}
	_ = c.nc.SetDeadline(time.Now().Add(within))
	keep := false
	if _, err = c.nc.Write(request); err == nil {
		status, keep, err = c.answer()
	}
	if !keep {
		c.Close()
	}
	return status, err
}

var errAnswer = errors.New("not an HTTP/1.1 answer")

// answer reads one answer to its end. keep says that the connection can be used again.
func (c *Conn) answer() (status int, keep bool, err error) {
	line, err := c.readLine()
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, false, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, fmt.Errorf("%w: %w", errAnswer, err)
	}
	length, chunked, keep := int64(0), false, true
	for {
		if line, err = c.readLine(); err != nil {
			return 0, false, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil || length < 0 {
				return 0, false, errAnswer
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			keep = !bytes.EqualFold(value, []byte("close"))
		}
	}
	if chunked {
		return status, keep, c.skipChunks()
	}
	_, err = io.CopyN(io.Discard, c.in, length)
	return status, keep && err == nil, err
}

// readLine returns the next line without its end; it is good until the next read.
func (c *Conn) readLine() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (c *Conn) skipChunks() error {
	if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(c.in)); err != nil {
		return err
	}
	for { // the trailers, and the empty line behind them
		if line, err := c.readLine(); err != nil || len(line) == 0 {
			return err
		}
	}
}
