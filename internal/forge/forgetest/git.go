package forgetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	maxPack     = 512 << 20
	maxCommands = 1000
)

// serveGit answers smart HTTP. The repository is looked up by name in memory, and only the three known
// services are passed on, so no path of the caller's making reaches the CGI program.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request, owner, name, service string) []RefUpdate {
	_, token, _ := r.BasicAuth()
	allowed := s.access(token, owner, name)
	if allowed == noToken || allowed == badToken {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Invalid username or token.", http.StatusUnauthorized)
		return nil
	}
	re := s.find(owner, name)
	if re == nil {
		http.Error(w, "Repository not found.", http.StatusNotFound)
		return nil
	}
	writes, ok := gitService(r, service)
	if !ok {
		http.NotFound(w, r)
		return nil
	}
	if refusal := s.refusePush(re, writes, allowed); refusal != "" {
		http.Error(w, refusal, http.StatusForbidden)
		return nil
	}
	updates, err := s.runGit(w, r, re, service, writes)
	if err != nil {
		s.opts.Logger.Error("forge: git", "error", err)
		http.Error(w, "the request could not be read", http.StatusBadRequest)
	}
	return updates
}

// gitService says whether a request is one of smart HTTP's, and whether it is on the way to a push.
func gitService(r *http.Request, service string) (writes, ok bool) {
	switch {
	case r.Method == http.MethodGet && service == "info/refs":
		asked := r.URL.Query().Get("service")
		return asked == "git-receive-pack", asked == "git-receive-pack" || asked == "git-upload-pack"
	case r.Method == http.MethodPost && service == "git-upload-pack":
		return false, true
	case r.Method == http.MethodPost && service == "git-receive-pack":
		return true, true
	}
	return false, false
}

func (s *Server) refusePush(re *repo, writes bool, allowed access) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !writes:
		return ""
	case allowed != mayWrite:
		return "Write access to repository not granted."
	case re.archived:
		return "This repository was archived so it is read-only."
	}
	return ""
}

func (s *Server) runGit(w http.ResponseWriter, r *http.Request, re *repo, service string, writes bool) ([]RefUpdate, error) {
	inner, body, err := s.innerRequest(w, r, re, service)
	if err != nil {
		return nil, err
	}
	var updates []RefUpdate
	if body != nil {
		defer func() { _ = os.Remove(body.Name()) }()
		defer func() { _ = body.Close() }()
		if writes {
			updates = readUpdates(body, r.Header.Get("Content-Encoding") == "gzip")
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	s.cgi(r).ServeHTTP(w, inner)
	for i, u := range updates {
		now := s.ref(re, u.Ref)
		updates[i].Applied = now == u.New || (now == "" && strings.Trim(u.New, "0") == "")
	}
	return updates, nil
}

// innerRequest is the request as the CGI program may see it: our path, no credentials, a body of known length
// (net/http/cgi takes no chunked body, and git sends one for a large pack).
func (s *Server) innerRequest(w http.ResponseWriter, r *http.Request, re *repo, service string) (*http.Request, *os.File, error) {
	rel, err := filepath.Rel(s.dir, re.dir)
	if err != nil {
		return nil, nil, err
	}
	inner := r.Clone(r.Context())
	inner.URL = &url.URL{Path: "/" + filepath.ToSlash(rel) + "/" + service, RawQuery: r.URL.RawQuery}
	inner.Header.Del("Authorization")
	inner.TransferEncoding = nil
	if r.Method != http.MethodPost {
		inner.Body, inner.ContentLength = http.NoBody, 0
		return inner, nil, nil
	}
	file, err := os.CreateTemp(s.dir, "body-")
	if err != nil {
		return nil, nil, err
	}
	n, err := io.Copy(file, http.MaxBytesReader(w, r.Body, maxPack))
	if err != nil {
		return nil, nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	inner.Body, inner.ContentLength = file, n
	return inner, file, nil
}

func (s *Server) cgi(r *http.Request) *cgi.Handler {
	env := append(s.gitEnv(), "GIT_PROJECT_ROOT="+s.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=x-access-token")
	if v := r.Header.Get("Git-Protocol"); v == "version=1" || v == "version=2" {
		env = append(env, "GIT_PROTOCOL="+v)
	}
	return &cgi.Handler{
		Path:   s.git,
		Args:   []string{"http-backend"},
		Dir:    s.dir,
		Env:    env,
		Logger: slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn),
		Stderr: logWriter{s.opts.Logger},
	}
}

type logWriter struct{ logger *slog.Logger }

func (l logWriter) Write(p []byte) (int, error) {
	l.logger.Debug("git http-backend", "stderr", string(p))
	return len(p), nil
}

// readUpdates reads the commands at the start of a push: "old new ref", one a packet, up to a flush packet
// (git's pack-protocol, "Reference Update Request").
func readUpdates(body io.ReadSeeker, zipped bool) []RefUpdate {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	var in io.Reader = body
	if zipped {
		zr, err := gzip.NewReader(body)
		if err != nil {
			return nil
		}
		in = zr
	}
	var out []RefUpdate
	for len(out) < maxCommands {
		line, err := readPacket(in)
		if err != nil || line == nil {
			return out
		}
		command, _, _ := bytes.Cut(line, []byte{0})
		fields := strings.Fields(string(command))
		if len(fields) == 3 {
			out = append(out, RefUpdate{Old: fields[0], New: fields[1], Ref: fields[2]})
		}
	}
	return out
}

// readPacket returns nil for a flush packet.
func readPacket(in io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(string(size[:]), 16, 16)
	if err != nil {
		return nil, fmt.Errorf("packet length: %w", err)
	}
	if n == 0 {
		return nil, nil
	}
	if n < 4 {
		return nil, errors.New("packet length below 4")
	}
	line := make([]byte, n-4)
	_, err = io.ReadFull(in, line)
	return line, err
}
