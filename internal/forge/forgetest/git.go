package forgetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
)

const (
	maxPack     = 512 << 20
	maxCommands = 1000
)

// serveGit answers smart HTTP. The repository is looked up by name in memory, and only the two known services are run,
// so no path of the caller's making reaches git.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request, owner, name, path string) []RefUpdate {
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
	service := gitService(r, path)
	if service == "" {
		http.NotFound(w, r)
		return nil
	}
	if refusal := s.refusePush(re, service == receivePack, allowed); refusal != "" {
		http.Error(w, refusal, http.StatusForbidden)
		return nil
	}
	updates, err := s.runGit(w, r, re, service)
	if err != nil {
		s.opts.Logger.Error("forge: git", "error", err)
		http.Error(w, "the request could not be read", http.StatusBadRequest)
	}
	return updates
}

const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack" // the one that writes
)

// gitService says which of git's programs a request of smart HTTP is for; empty: it is none.
func gitService(r *http.Request, path string) string {
	var asked string
	switch {
	case r.Method == http.MethodGet && path == "info/refs":
		asked = r.URL.Query().Get("service")
	case r.Method == http.MethodPost:
		asked = path
	}
	switch asked {
	case uploadPack:
		return uploadPack
	case receivePack:
		return receivePack
	}
	return ""
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

// runGit has git's own server program answer. http-backend would do the same with two more processes for each request.
func (s *Server) runGit(w http.ResponseWriter, r *http.Request, re *repo, service string) ([]RefUpdate, error) {
	listing := r.Method == http.MethodGet
	kind, protocol := map[bool]string{true: "advertisement", false: "result"}[listing], r.Header.Get("Git-Protocol")
	if protocol != "version=1" && protocol != "version=2" {
		protocol = ""
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-"+kind)
	w.Header().Set("Cache-Control", "no-cache")
	if listing && protocol == "version=2" && service == uploadPack {
		return nil, s.sendCapabilities(w, re)
	}
	if listing && protocol != "version=2" {
		fmt.Fprintf(w, "%04x# service=%s\n0000", len("0000# service=\n")+len(service), service)
	}
	args := []string{strings.TrimPrefix(service, "git-"), "--stateless-rpc"}
	if listing {
		args = append(args, "--http-backend-info-refs")
	}
	if err := s.serveWith(re, protocol, body, w, append(args, ".")...); err != nil {
		s.opts.Logger.Debug("forge: git", "service", service, "error", err) // the client has been told
	}
	var updates []RefUpdate
	if service == receivePack {
		updates = readUpdates(bytes.NewReader(body))
	}
	for i, u := range updates {
		now := s.ref(re, u.Ref)
		updates[i].Applied = now == u.New || (now == "" && strings.Trim(u.New, "0") == "")
	}
	return updates, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, r.Body, maxPack)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = io.LimitReader(zr, maxPack)
	}
	return io.ReadAll(in)
}

// sendCapabilities answers what every conversation of protocol version 2 begins with. Nothing of the repository is in
// it but its settings, which all repositories here have in common: git is asked once.
func (s *Server) sendCapabilities(w io.Writer, re *repo) error {
	s.mu.Lock()
	known := s.capabilities
	s.mu.Unlock()
	if known == nil {
		var out bytes.Buffer
		if err := s.serveWith(re, "version=2", nil, &out, "upload-pack", "--stateless-rpc", "--http-backend-info-refs", "."); err != nil {
			return err
		}
		known = out.Bytes()
		s.mu.Lock()
		s.capabilities = known
		s.mu.Unlock()
	}
	_, _ = w.Write(known)
	return nil
}

// serveWith runs one of git's server programs. It comes to its end whatever becomes of the client: half a push would
// leave locks behind.
func (s *Server) serveWith(re *repo, protocol string, in []byte, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(context.Background(), s.git, args...)
	cmd.Dir, cmd.Env = re.dir, s.gitEnv()
	if protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, logWriter{s.opts.Logger}
	return cmd.Run()
}

type logWriter struct{ logger *slog.Logger }

func (l logWriter) Write(p []byte) (int, error) {
	l.logger.Debug("forge: git", "stderr", string(p))
	return len(p), nil
}

// readUpdates reads the commands at the start of a push: "old new ref", one a packet, up to a flush packet
// (git's pack-protocol, "Reference Update Request").
func readUpdates(in io.Reader) (out []RefUpdate) {
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
