package forgetest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is one request that meant to change something: a POST to the API or a push.
type Request struct {
	Time   time.Time
	Method string
	Path   string
	// Status is what was answered, or would have been had the reply not been dropped.
	Status int
	// Dropped says that the caller got no reply.
	Dropped bool
	// Updates are the refs that a push asked to change.
	Updates []RefUpdate
}

// RefUpdate is one ref of a push. Old or New is all zeros when the ref is made or deleted.
type RefUpdate struct {
	Ref, Old, New string
	// Applied says that the ref was at New after the push.
	Applied bool
}

// Fault replaces or loses an answer.
type Fault struct {
	// Status, Header and Body are the answer; with Status 0 the true answer stays.
	Status int
	Header http.Header
	Body   string
	// AfterEffect performs the request first; otherwise it has no effect.
	AfterEffect bool
	// Drop closes the connection in place of any answer.
	Drop bool
	// Hang sends no answer until the caller has given up.
	Hang bool
}

// SetFault installs a function that is asked about every request and may return a Fault. It must not read
// the body. nil takes it away.
func (s *Server) SetFault(f func(r *http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests lists the mutations so far, in the order in which they ended.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) serveForge(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Done()
	s.mu.Lock()
	hook := s.fault
	s.mu.Unlock()
	var f *Fault
	if hook != nil {
		f = hook(r)
	}
	if f == nil && !mutation(r) {
		s.route(w, r)
		return
	}
	s.serveHeld(w, r, f)
}

// serveHeld keeps the answer back until the effect is on record, and then sends, replaces or drops it.
func (s *Server) serveHeld(w http.ResponseWriter, r *http.Request, f *Fault) {
	answer := &held{header: http.Header{}, status: http.StatusOK}
	var updates []RefUpdate
	if f == nil || f.AfterEffect || (f.Status == 0 && !f.Drop && !f.Hang) {
		updates = s.route(answer, r)
	}
	if f != nil && f.Status != 0 {
		answer = &held{header: f.Header.Clone(), status: f.Status, body: *bytes.NewBufferString(f.Body)}
	}
	dropped := f != nil && (f.Drop || f.Hang)
	if mutation(r) && (len(updates) > 0 || !isPush(r) || f != nil) {
		s.mu.Lock()
		s.requests = append(s.requests, Request{
			Time: s.opts.Now(), Method: r.Method, Path: r.URL.Path,
			Status: answer.status, Dropped: dropped, Updates: updates,
		})
		s.mu.Unlock()
	}
	if dropped && f.Hang {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees the caller go only when it has read everything
		<-r.Context().Done()
	}
	if dropped {
		drop(w)
	}
	answer.send(w)
}

// drop ends the connection in the middle of the headers. Without a whole first line, curl (and so git) would
// take it for a stale connection and send the request again by itself.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nServer: "))
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

func mutation(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasSuffix(r.URL.Path, "/git-upload-pack")
}

func isPush(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }

// held is an answer that is not sent yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *held) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), h.header)
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes())
}
