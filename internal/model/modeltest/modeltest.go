// Package modeltest has doubles of language models' APIs, for tests.
//
// They are as strict as the published contracts: a request with an unknown field, a wrong role or without what is
// required is answered 400 in the API's own words, and counted as a fault of the client.
package modeltest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Request is what a double was asked.
type Request struct {
	Header http.Header
	Body   []byte
	// System and Turns are the texts, whatever the API.
	System string
	Turns  []string
}

// Text is everything that was asked.
func (r Request) Text() string { return r.System + "\n" + strings.Join(r.Turns, "\n") }

// Reply is how a double answers. The zero value is an empty answer that ended by itself.
type Reply struct {
	// Text is the answer; Refused and Truncated say how it ended otherwise.
	Text               string
	Refused, Truncated bool
	// NoUsage leaves the usage out.
	NoUsage bool
	// Status, Code and Header are an answer other than 200, with Text as its message.
	Status int
	Code   string
	Header map[string]string
	// Raw is the body as it is.
	Raw string
	// Endless writes for ever; Hang answers nothing until the client goes; Cut ends the connection in the middle.
	Endless, Hang, Cut bool
}

// Server is a double.
type Server struct {
	// URL is its base address.
	URL string
	// Lacks are parts of a request that it refuses, as lesser servers do. Set it before the first request.
	Lacks []string

	key   string
	words words
	reply func(n int, r Request) Reply
	mu    sync.Mutex
	asked []Request
	wrong []string
}

// words are one API's.
type words interface {
	path() string
	authorized(h http.Header, key string) bool
	// check reads a request and says what is wrong with it: the parameter and why.
	check(body []byte) (r Request, param, why string)
	answer(r Reply) any
	failure(status int, code, param, message string) any
}

// InputTokens and OutputTokens are the usage of every answer that has one.
const (
	InputTokens  = 1000
	OutputTokens = 50
)

// OpenAI starts a double of chat completions; key is the key that it wants, "" for none.
func OpenAI(t testing.TB, key string, reply func(n int, r Request) Reply) *Server {
	return start(t, key, openAI{}, reply)
}

// Anthropic starts a double of messages.
func Anthropic(t testing.TB, key string, reply func(n int, r Request) Reply) *Server {
	return start(t, key, anthropic{}, reply)
}

// Replies answers one after the other, and repeats the last.
func Replies(all ...Reply) func(int, Request) Reply {
	return func(n int, _ Request) Reply { return all[min(n, len(all)-1)] }
}

func start(t testing.TB, key string, w words, reply func(int, Request) Reply) *Server {
	s := &Server{key: key, words: w, reply: reply}
	srv := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(srv.Close)
	t.Cleanup(func() {
		for _, w := range s.wrong {
			t.Errorf("the client broke the contract: %s", w)
		}
	})
	s.URL = srv.URL + "/v1"
	return s
}

// Asked are the requests that were answered by the reply function.
func (s *Server) Asked() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.asked...)
}

func (s *Server) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 32<<20))
	if err != nil {
		return
	}
	if !s.words.authorized(req.Header, s.key) {
		s.fail(w, http.StatusUnauthorized, "invalid_api_key", "", "Incorrect API key provided: "+req.Header.Get("Authorization")+req.Header.Get("X-Api-Key"))
		return
	}
	r, param, why := s.words.check(body)
	if req.Method != http.MethodPost || req.URL.Path != "/v1"+s.words.path() || req.Header.Get("Content-Type") != "application/json" {
		why = req.Method + " " + req.URL.Path + " as " + req.Header.Get("Content-Type")
	}
	if why != "" {
		s.mu.Lock()
		s.wrong = append(s.wrong, param+": "+why)
		s.mu.Unlock()
		s.fail(w, http.StatusBadRequest, "", param, why)
		return
	}
	if lack := s.lacking(body); lack != "" {
		s.fail(w, http.StatusBadRequest, "unsupported_parameter", lack, "Unsupported parameter: '"+lack+"'")
		return
	}
	r.Header, r.Body = req.Header, body
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, r)
	s.mu.Unlock()
	s.write(w, req, s.reply(n, r))
}

func (s *Server) lacking(body []byte) string {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(body, &fields) // it was read already
	for _, name := range s.Lacks {
		if _, has := fields[name]; has {
			return name
		}
	}
	return ""
}

func (s *Server) write(w http.ResponseWriter, req *http.Request, r Reply) {
	for name, value := range r.Header {
		w.Header().Set(name, value)
	}
	switch {
	case r.Hang:
		<-req.Context().Done()
	case r.Cut:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"id":"cut`)
	case r.Endless:
		for req.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
				return
			}
		}
	case r.Status != 0:
		s.fail(w, r.Status, r.Code, "", r.Text)
	case r.Raw != "":
		_, _ = io.WriteString(w, r.Raw)
	default:
		_ = json.NewEncoder(w).Encode(s.words.answer(r))
	}
}

func (s *Server) fail(w http.ResponseWriter, status int, code, param, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(s.words.failure(status, code, param, message))
}

// decode reads a body strictly into out.
func decode(body []byte, out any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one value")
	}
	return nil
}
