package gitrepo_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n"})
	var mu sync.Mutex
	var leaked []string
	thief := gittest.New(t)
	thief.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		leaked = append(leaked, r.URL.Path)
		return false
	})
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, thief.URL+r.URL.RequestURI(), http.StatusMovedPermanently)
		return true
	})
	wantReason(t, "a redirect", open(t, newGit(t), remote(repo.URL)).Fetch(t.Context(), repo.Push("main")), "repository_moved")
	mu.Lock()
	defer mu.Unlock()
	if len(leaked) > 0 {
		t.Errorf("followed to %v", leaked)
	}
}

func TestHostileRemotesAreRefusedBeforeGitRuns(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	canary := filepath.Join(t.TempDir(), "canary")
	for _, url := range []string{
		"", "ext::sh -c touch% " + canary, "file:///etc", "/etc", "../x", "ssh://host/x", "git@host:x", "git://host/x",
		"-oProxyCommand=touch " + canary, "--upload-pack=touch " + canary, "https://host/x\nextraHeader: y", "https://host/x y",
		"https://user:pass@host/x", "https://user@host/x", "http://", "https:///x", "https://-oProxyCommand=x/y", "https://host/x?y=z",
		"https://host/x#y", "https://host/a/../b", "https://host/\x00", "https://host/\u202e", "http::https://host/x", "https://host/" + strings.Repeat("x", 3000),
	} {
		_, err := g.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "m"), gitrepo.Remote{URL: url})
		wantReason(t, fmt.Sprintf("%.60q", url), err, "bad_repository_url")
	}
	_, err := g.OpenMirror(t.Context(), filepath.Join(t.TempDir(), "m"), gitrepo.Remote{URL: "https://host/x", Token: "a\nHost: b"})
	wantReason(t, "a token with a line end", err, "bad_credentials")
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command of the URL was run")
	}
}

func TestGitItselfSpeaksNothingButHTTP(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	canary := filepath.Join(t.TempDir(), "canary")
	for _, url := range []string{repo.Bare, "file://" + repo.Bare, "ext::touch " + canary} {
		// Past the check of the URL, as an argument.
		out, err := newGit(t).Run(t.Context(), gitrepo.Cmd{Args: []string{"ls-remote", "--", url}})
		if err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %s, %v", url, out, err)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command was run")
	}
}

func TestOnlyKnownCommandsRun(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	for _, args := range [][]string{nil, {"push"}, {"format-patch"}, {"send-pack"}, {"receive-pack"}, {"-c", "alias.x=!touch y", "x"}, {"http-push"}, {"remote-https"}, {"clone"}, {"config"}} {
		if _, err := g.Run(t.Context(), gitrepo.Cmd{Args: args}); err == nil || !strings.Contains(err.Error(), "allowed") && args != nil {
			t.Errorf("git %v: %v", args, err)
		}
	}
}

func TestTheTokenIsNowhereToBeFound(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	top := t.TempDir()
	argv := filepath.Join(top, "argv")
	bin := filepath.Join(top, "git")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+argv+"\nexec git \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	g, err := gitrepo.New(bin, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	r := remote(repo.URL)
	m, err := g.OpenMirror(t.Context(), filepath.Join(top, "mirror"), r)
	if err != nil {
		t.Fatal(err)
	}
	commit := repo.Push("main")
	fetch(t, m, commit)
	fetch(t, m, repo.Commit(map[string]string{"a": "2\n"}))
	missing := m.Fetch(t.Context(), strings.Repeat("12", 20))
	if missing == nil {
		t.Fatal("a missing commit was fetched")
	}
	tree, err := m.Checkout(t.Context(), commit, filepath.Join(top, "src"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Diff(t.Context()); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "remote", r, "error", missing)
	texts := map[string]string{
		"the log": log.String(), "an error": missing.Error(), "%v": fmt.Sprintf("%v %+v %s", r, r, r), "%#v": fmt.Sprintf("%#v", r),
	}
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			content, _ := os.ReadFile(path)
			texts[path] = string(content)
		}
		return nil
	})
	if !strings.Contains(texts[argv], "fetch\n") || len(texts) < 20 {
		t.Fatalf("only %d texts were looked at; argv: %s", len(texts), texts[argv])
	}
	for where, text := range texts {
		// Also as it goes over the wire: base64 of "agent:s3cret...".
		for _, secret := range []string{gittest.Token, "YWdlbnQ6czNjcmV0", "uthorization"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, where)
			}
		}
	}
}

func TestTheHostsConfigurationHasNoSay(t *testing.T) {
	// Not parallel: it changes the environment.
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\r\n"})
	home := t.TempDir()
	canary := filepath.Join(home, "canary")
	config := "[core]\n\tautocrlf = true\n\tfsmonitor = touch " + canary + "\n\thooksPath = " + home + "\n[alias]\n\tfetch = !touch " + canary + "\n[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http\n"
	for _, name := range []string{".gitconfig", "config"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	hook := filepath.Join(home, "post-checkout")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+canary+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := open(t, newGit(t), remote(repo.URL))
	commit := repo.Push("main")
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, "config"))
	t.Setenv("GIT_CONFIG_PARAMETERS", "'core.hookspath'='"+home+"'")
	t.Setenv("GIT_DIR", home)
	t.Setenv("GIT_EXEC_PATH", home)
	fetch(t, m, commit)
	tree := checkout(t, m, commit)
	if got := files(t, tree.Dir()); got["a"] != "1\r\n" {
		t.Errorf("got %q", got)
	}
	if diff, err := tree.Diff(t.Context()); err != nil || len(diff) > 0 {
		t.Errorf("diff %s, %v", diff, err)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command of the configuration was run")
	}
}

func TestErrorsOfTheServerAreMadeHarmless(t *testing.T) {
	t.Parallel()
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{"a": "1\n"})
	s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "\x1b]0;title\x07 "+gittest.Token+strings.Repeat("y", 100_000)+"\n"+gittest.Token+"\n")
		return true
	})
	err := open(t, newGit(t), remote(repo.URL)).Fetch(t.Context(), repo.Push("main"))
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07") || strings.Contains(err.Error(), gittest.Token) || len(err.Error()) > 3000 {
		t.Errorf("got %.4000v", err)
	}
	if diff := cmp.Diff(true, strings.Contains(err.Error(), "error: 500")); diff != "" {
		t.Error(err)
	}
}
