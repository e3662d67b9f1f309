package host

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// SetFault installs a function that is asked about every request and may return a Fault; nil takes it away.
func (h *Host) SetFault(f func(*http.Request) *forgetest.Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
}

// ServeHTTP answers a request, or fails it.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	hook := h.fault
	h.mu.Unlock()
	var f *forgetest.Fault
	if hook != nil {
		f = hook(r)
	}
	if f == nil {
		h.route(w, r)
		return
	}
	answer := &held{header: http.Header{}, status: http.StatusOK}
	if f.AfterEffect || (f.Status == 0 && !f.Drop && !f.Hang) {
		h.route(answer, r)
	}
	if f.Status != 0 {
		answer = &held{header: f.Header.Clone(), status: f.Status, body: *bytes.NewBufferString(f.Body)}
	}
	if f.Hang {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees the caller go only when it has read everything
		<-r.Context().Done()
	}
	if f.Hang || f.Drop {
		drop(w)
	}
	answer.send(w)
}

// drop ends the connection in the middle of the headers, as git would ask once more after an empty answer.
func drop(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nServer: "))
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

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

// Send sends an answer of an API.
func Send(w http.ResponseWriter, status int, header http.Header, body []byte) {
	(&held{header: header, status: status, body: *bytes.NewBuffer(body)}).send(w)
}

// route sends git's requests to the git host and all others to the API.
func (h *Host) route(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, Prefix+"/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	repository, service, isGit := strings.Cut(path, ".git/")
	if !isGit {
		h.api(w, r)
		return
	}
	cut := strings.LastIndexByte(repository, '/')
	h.ServeGit(w, r, repository[:max(cut, 0)], repository[cut+1:], service)
}

// ServeGit answers git about a repository, for forges whose addresses have another form.
func (h *Host) ServeGit(w http.ResponseWriter, r *http.Request, owner, name, service string) {
	var inner string
	h.With(owner, name, func(re *Repo) {
		if re != nil {
			inner = "/" + gitOwner(re.Owner) + "/" + re.Name + ".git/" + service
		}
	})
	if inner == "" {
		http.Error(w, "The project you were looking for could not be found.", http.StatusNotFound)
		return
	}
	out := r.Clone(r.Context())
	out.URL = &url.URL{Path: inner, RawQuery: r.URL.RawQuery}
	h.proxy.ServeHTTP(w, out)
}
