package bench

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// Stamped are GitHub's requests, kept as one template for each repository and one signature for each request: what is
// left to do when one is sent is to copy it and write its numbers into it.
type Stamped struct {
	templates    []*template
	sums         [][sha256.Size]byte
	origins      []int32
	repositories []int32
	first        int
}

// template is a request with marks, and where they are.
type template struct {
	text []byte
	// body and signature are where these begin.
	body, signature    int
	runs, commits, ids []int
}

// Stamp makes count requests of GitHub's, each of which takes some ten microseconds and 40 bytes.
func (m Mix) Stamp(count int) (*Stamped, error) {
	s := &Stamped{sums: make([][sha256.Size]byte, count), first: m.First, templates: make([]*template, max(m.Repositories, 1))}
	s.origins, s.repositories = m.draw(count)
	err := parallel(len(s.templates), func(from, to int) error {
		for i := from; i < to; i++ {
			var err error
			if s.templates[i], err = m.template(int32(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, parallel(count, func(from, to int) error {
		mac := hmac.New(sha256.New, []byte(m.Keys["github"]))
		var buf []byte
		for n := from; n < to; n++ {
			buf = s.stamp(buf[:0], n)
			mac.Reset()
			mac.Write(buf[s.templates[s.repositories[n]].body:])
			mac.Sum(s.sums[n][:0])
		}
		return nil
	})
}

func (m Mix) template(repository int32) (*template, error) {
	p := m.params(0, repository)
	p.RunID, p.Commit, p.DeliveryID = markRun, markCommit, markDelivery
	_, text, err := wire("github", githubtest.Sender().Pipeline(m.URL+"github", m.Keys["github"], p))
	if err != nil {
		return nil, err
	}
	t := &template{text: text, body: bytes.Index(text, []byte("\r\n\r\n")) + 4}
	t.runs = places(text, strconv.Itoa(markRun))
	t.commits = places(text, markCommit)
	t.ids = places(text, markDelivery)
	signature := places(text[:t.body], "X-Hub-Signature-256: sha256=")
	if len(t.runs) == 0 || len(t.commits) == 0 || len(t.ids) != 1 || len(signature) != 1 {
		return nil, fmt.Errorf("GitHub's example has a run's number at %d places, a commit at %d, a delivery's id at %d, a signature at %d",
			len(t.runs), len(t.commits), len(t.ids), len(signature))
	}
	t.signature = signature[0] + len("X-Hub-Signature-256: sha256=")
	return t, nil
}

func places(text []byte, what string) (at []int) {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(what))
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + len(what)
	}
}

// stamp appends request n with its numbers, and the template's signature.
func (s *Stamped) stamp(buf []byte, n int) []byte {
	t, number := s.templates[s.repositories[n]], s.number(n)
	base := len(buf)
	buf = append(buf, t.text...)
	write := func(at []int, text string) {
		for _, i := range at {
			copy(buf[base+i:], text)
		}
	}
	write(t.runs, strconv.FormatInt(runID(number), 10))
	write(t.commits, commit(number))
	write(t.ids, deliveryID(number))
	return buf
}

func (s *Stamped) number(n int) int { return s.first + int(s.origins[n]) }

// Len is the number of requests.
func (s *Stamped) Len() int { return len(s.sums) }

// Append appends request n.
func (s *Stamped) Append(buf []byte, n int) []byte {
	base := len(buf)
	buf = s.stamp(buf, n)
	hex.Encode(buf[base+s.templates[s.repositories[n]].signature:], s.sums[n][:])
	return buf
}

// Key is request n's delivery.
func (s *Stamped) Key(n int) string { return "github-" + deliveryID(s.number(n)) }
