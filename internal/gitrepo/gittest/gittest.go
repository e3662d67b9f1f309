// Package gittest serves real repositories over smart HTTP, by git's own http-backend, for tests.
package gittest

import (
	"bytes"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// User and Token are what a Server asks for; ReadToken may only fetch.
const (
	User      = "agent"
	Token     = "s3cret-token-of-the-test"
	ReadToken = "read-only-token-of-the-test"
)

// Server serves the bare repositories in Root at URL/<name>.
type Server struct {
	Root, URL string
	mu        sync.Mutex
	intercept func(http.ResponseWriter, *http.Request) bool
	requests  []string
	sent      atomic.Int64
}

// New starts a server that wants basic authentication for everything but /public.git.
func New(t testing.TB) *Server {
	t.Helper()
	exe := strings.TrimSpace(Output(t, "", "git", "--exec-path")) + "/git-http-backend"
	s := &Server{Root: t.TempDir()}
	backend := &cgi.Handler{
		Path: exe, Root: "/", Dir: s.Root, Stderr: &bytes.Buffer{},
		Env: []string{"GIT_PROJECT_ROOT=" + s.Root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + User, "GIT_CONFIG_NOSYSTEM=1", "HOME=" + s.Root},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		intercept := s.intercept
		s.mu.Unlock()
		if intercept != nil && intercept(w, r) {
			return
		}
		user, token, _ := r.BasicAuth()
		known := user == User && (token == Token || token == ReadToken)
		switch {
		case !known && !strings.HasPrefix(r.URL.Path, "/public.git/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
		case token == ReadToken && strings.Contains(r.URL.RequestURI(), "git-receive-pack"):
			http.Error(w, "read only", http.StatusForbidden)
		default:
			// Of the header only the protocol version reaches the backend.
			request := r.Clone(r.Context())
			handler := *backend
			handler.Env = append(append([]string{}, backend.Env...), "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
			handler.Stderr = &bytes.Buffer{}
			handler.ServeHTTP(&counter{w, &s.sent}, request)
		}
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Intercept answers requests in the server's place when f returns true.
func (s *Server) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Requests lists what was asked since the last call.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// Sent is how many bytes git's answers had since the last call.
func (s *Server) Sent() int64 { return s.sent.Swap(0) }

type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

// Repo is a bare repository of a Server, with a clone to work in.
type Repo struct {
	Bare, Work, URL string
	t               testing.TB
}

// Repo makes a repository whose branch main has one commit with the files (name to content; a name that ends with "@"
// is a link with that target).
func (s *Server) Repo(t testing.TB, name string, files map[string]string) *Repo {
	t.Helper()
	r := &Repo{Bare: filepath.Join(s.Root, name), Work: t.TempDir(), URL: s.URL + "/" + name, t: t}
	r.git("init", "-q", "--bare", "-b", "main", r.Bare)
	for _, setting := range []string{"uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"} {
		r.git("-C", r.Bare, "config", setting, "true")
	}
	r.git("init", "-q", "-b", "main", r.Work)
	r.git("-C", r.Work, "remote", "add", "origin", r.Bare)
	r.Commit(files)
	return r
}

// Commit adds files to main, pushes it and returns the commit.
func (r *Repo) Commit(files map[string]string) string {
	r.t.Helper()
	for name, content := range files {
		r.Write(name, content)
	}
	r.git("-C", r.Work, "add", "-A", "-f")
	r.git("-C", r.Work, "commit", "-q", "--allow-empty", "-m", "commit")
	return r.Push("main")
}

// Write writes a file of the clone.
func (r *Repo) Write(name, content string) {
	r.t.Helper()
	link := strings.HasSuffix(name, "@")
	path := filepath.Join(r.Work, strings.TrimSuffix(name, "@"))
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil && link {
		err = os.Symlink(content, path)
	} else if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Push pushes the clone's head to a branch and returns the commit.
func (r *Repo) Push(branch string) string {
	r.t.Helper()
	r.git("-C", r.Work, "push", "-q", "-f", "origin", "HEAD:refs/heads/"+branch)
	return strings.TrimSpace(r.git("-C", r.Work, "rev-parse", "HEAD"))
}

// Git runs git in the clone.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.git(append([]string{"-C", r.Work}, args...)...)
}

func (r *Repo) git(args ...string) string { r.t.Helper(); return Output(r.t, "", "git", args...) }

// Output runs a program with git's identity set and none of the user's configuration.
func Output(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, stderr.String())
	}
	return string(out)
}
