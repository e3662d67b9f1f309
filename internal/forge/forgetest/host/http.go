package host

import (
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
	f.Serve(w, r, func(w http.ResponseWriter) { h.route(w, r) }, func(int) {})
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
