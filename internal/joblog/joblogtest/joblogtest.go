// Package joblogtest has doubles of the providers' APIs as far as logs are read, and the one suite that every provider's
// reader passes on its double.
//
// A double is held to the published contract: it says where each rule comes from, and what does not fit the contract (a
// path that the API has not, a parameter that is missing, a token sent in another way) is a violation, which fails the
// test. GitHub's double here is small; the local forge in forge/forgetest is held to GitHub's own description.
package joblogtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
)

// Job is a job of a run.
type Job struct {
	Name   string
	Failed bool
	Log    string
	// Endless makes the log one line of so many bytes, and after it Log.
	Endless int64
}

// World is what a double answers from: the failed run and the last green one on the base branch, main.
type World struct {
	Failed, Green []Job
	// PerPage is the largest page that the server gives.
	PerPage int
}

// The ids of the two runs; jobs are numbered from one on within each.
const (
	failedRun = 100
	greenRun  = 90
)

// Double is the API of one provider.
type Double struct {
	// Authorization is the header that the token has to come in.
	Token, Authorization string
	// Base is what stands between the server's address and the paths of its API in a reader's configuration.
	Base string
	// Paged says that the API gives a run's jobs in pages.
	Paged bool
	// Failure is the failed run as its webhook tells it.
	Failure func(serverURL string) ci.Failure
	// Answer answers a request that has the token.
	Answer func(s *Server, w http.ResponseWriter, r *http.Request)
}

// Fault replaces an answer, or spoils it.
type Fault struct {
	Status int
	Header http.Header
	// Half sends half of the true answer, and Drop none of it; both end the connection.
	Half, Drop bool
}

// Server is a running double.
type Server struct {
	URL string
	// LogURL is another host that an API sends its readers to.
	LogURL string
	World  World
	// Fault is asked about each request; nil means none.
	Fault func(r *http.Request) *Fault
	// NeedsToken is false for what only looks like the API: the other host of a redirect.
	NeedsToken bool

	double     Double
	mu         sync.Mutex
	violations []string
	requests   []*http.Request
}

// Start runs a double until the test ends, and fails the test if it was asked for something that its contract does not
// have.
func Start(t *testing.T, d Double, world World) *Server {
	t.Helper()
	s := &Server{World: world, double: d, NeedsToken: true}
	srv, logs := httptest.NewServer(s), httptest.NewServer(s)
	s.URL, s.LogURL = srv.URL, logs.URL
	t.Cleanup(func() {
		srv.Close()
		logs.Close()
		for _, v := range s.violations {
			t.Errorf("violation: %s", v)
		}
	})
	return s
}

// Violation records what does not fit the contract, and answers with it.
func (s *Server) Violation(w http.ResponseWriter, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.violations = append(s.violations, text)
	s.mu.Unlock()
	http.Error(w, text, http.StatusNotImplemented)
}

// Requests are the requests so far.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request{}, s.requests...)
}

// foreign begins the paths of the other host, which no token may come to.
const foreign = "/foreign/"

// ServeHTTP lets faults happen, looks at the token, and answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(r.Context()))
	s.mu.Unlock()
	sent := r.Header.Get("Authorization")
	var f *Fault
	if s.Fault != nil {
		f = s.Fault(r)
	}
	switch {
	case r.Method != http.MethodGet:
		s.Violation(w, "%s %s: only reading is allowed", r.Method, r.URL)
	case strings.HasPrefix(r.URL.Path, foreign) && sent != "":
		s.Violation(w, "the token came to %s", r.URL.Path)
	case s.NeedsToken && !strings.HasPrefix(r.URL.Path, foreign) && sent != s.double.Authorization:
		http.Error(w, `{"message": "401 Unauthorized"}`, http.StatusUnauthorized)
	case f == nil:
		s.double.Answer(s, w, r)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Half:
		s.half(w, r)
	default:
		for k, v := range f.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, `{"message": "it is said so"}`)
	}
}

func (s *Server) half(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	s.double.Answer(s, rec, r)
	body := rec.Body.Bytes()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// jobs are the jobs of a run by its id, and whether there is such a run.
func (w World) jobs(run string) ([]Job, bool) {
	switch run {
	case strconv.Itoa(failedRun):
		return w.Failed, true
	case strconv.Itoa(greenRun):
		return w.Green, true
	}
	return nil, false
}

// job finds a job by an id that says its run and its number: 100003 is the third of run 100.
func (w World) job(id string) (Job, bool) {
	n, err := strconv.Atoi(id)
	if err != nil {
		return Job{}, false
	}
	jobs, _ := w.jobs(strconv.Itoa(n / 1000))
	if i := n%1000 - 1; i >= 0 && i < len(jobs) {
		return jobs[i], true
	}
	return Job{}, false
}

// idOf is the id of a run's i-th job.
func idOf(run string, i int) int {
	n, _ := strconv.Atoi(run)
	return n*1000 + i + 1
}

// cut gives one page of n items as from and to, and whether there is a next one.
func (w World) cut(r *http.Request, sizeParam string, n int) (from, to int, more bool) {
	size, _ := strconv.Atoi(r.URL.Query().Get(sizeParam))
	if w.PerPage > 0 {
		size = min(size, w.PerPage)
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	from = min(max(page-1, 0)*size, n)
	to = min(from+size, n)
	return from, to, to < n
}

// next names the next page in a Link header.
func next(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page, _ := strconv.Atoi(q.Get("page"))
	q.Set("page", strconv.Itoa(max(page, 1)+1))
	w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, r.Host, r.URL.Path, q.Encode()))
}

// write sends a log as it is.
func (j Job) write(w io.Writer) {
	chunk := []byte(strings.Repeat("x", 64<<10))
	for left := j.Endless; left > 0; {
		n, err := w.Write(chunk[:min(left, int64(len(chunk)))])
		if err != nil {
			return
		}
		left -= int64(n)
	}
	_, _ = io.WriteString(w, j.Log)
}
