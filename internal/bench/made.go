package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
)

// Made are requests of any provider that are kept whole.
type Made struct {
	wire    [][]byte
	keys    []string
	origins []int32
}

// Make makes count requests. Each takes some half a millisecond, and its size in memory.
func (m Mix) Make(count int) (*Made, error) {
	origins, repositories := m.draw(count)
	out := &Made{wire: make([][]byte, count), keys: make([]string, count), origins: origins}
	err := parallel(count, func(from, to int) error {
		for n := from; n < to; n++ {
			if int(origins[n]) != n {
				continue
			}
			s := m.Senders[n%len(m.Senders)]
			req := s.Pipeline(m.URL+s.Provider, m.Keys[s.Provider], m.params(m.First+n, repositories[n]))
			var err error
			if out.keys[n], out.wire[n], err = wire(s.Provider, req); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Len is the number of requests.
func (m *Made) Len() int { return len(m.wire) }

// Append appends request n.
func (m *Made) Append(buf []byte, n int) []byte { return append(buf, m.wire[m.origins[n]]...) }

// Key is request n's delivery.
func (m *Made) Key(n int) string { return m.keys[m.origins[n]] }

// wire is a request as it travels, and the key of its delivery.
func wire(provider string, req *http.Request) (key string, text []byte, err error) {
	p, ok := providers.Find(provider)
	if !ok {
		return "", nil, fmt.Errorf("no such provider: %s", provider)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return "", nil, err
	}
	id, _, err := p.Identify(&webhook.Request{Header: req.Header, Query: req.URL.Query(), Body: body})
	if err != nil {
		return "", nil, fmt.Errorf("the %s sender's request: %w", provider, err)
	}
	if id == "" {
		id = BodyID(body)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var out bytes.Buffer
	if err := req.Write(&out); err != nil {
		return "", nil, err
	}
	return provider + "-" + id, out.Bytes(), nil
}

// BodyID is the id that ingest gives a delivery whose provider sends none.
func BodyID(body []byte) string {
	sum := sha256.Sum256(body)
	return "body-" + hex.EncodeToString(sum[:16])
}

// parallel does a range in pieces, on all processors.
func parallel(count int, do func(from, to int) error) error {
	var g errgroup.Group
	pieces := runtime.GOMAXPROCS(0)
	for i := range pieces {
		g.Go(func() error { return do(count*i/pieces, count*(i+1)/pieces) })
	}
	return g.Wait()
}
