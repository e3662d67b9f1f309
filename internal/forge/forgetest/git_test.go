package forgetest_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

const (
	reader = "read-token"
	writer = "write-token"
)

var zeros = strings.Repeat("0", 40)

func startForge(t *testing.T) (*forgetest.Server, forgetest.Repo) {
	t.Helper()
	s, err := forgetest.Start(forgetest.Options{ReadTokens: []string{reader}, WriteTokens: []string{writer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	re, err := s.CreateRepo("acme", "shop", "main")
	if err != nil {
		t.Fatal(err)
	}
	return s, re
}

// gitTry runs git with a token in the environment, never in argv.
func gitTry(t *testing.T, dir, token string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=http.extraHeader",
		"GIT_CONFIG_VALUE_0=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("x-access-token:"+token)),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
	)
	if token == "" {
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=0")
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func git(t *testing.T, dir, token string, args ...string) string {
	t.Helper()
	out, err := gitTry(t, dir, token, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// commit writes a file, commits it on a branch and returns the commit.
func commit(t *testing.T, dir, branch, file, text string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		git(t, dir, "", "init", "-q", "-b", branch)
	}
	if git(t, dir, "", "branch", "--show-current") != branch {
		git(t, dir, "", "checkout", "-q", "-B", branch)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "", "add", "-A")
	git(t, dir, "", "commit", "-q", "-m", "change "+file)
	return git(t, dir, "", "rev-parse", "HEAD")
}

func TestGitClonesWithAReadTokenAndPushesWithAWriteToken(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	one := commit(t, work, "main", "a.txt", "one")
	if out, err := gitTry(t, work, reader, "push", re.CloneURL, "main"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("push with a read token: %v\n%s", err, out)
	}
	for _, token := range []string{"", "wrong"} {
		if out, err := gitTry(t, work, token, "ls-remote", re.CloneURL); err == nil {
			t.Errorf("token %q can list refs:\n%s", token, out)
		}
	}
	if len(s.Requests()) != 0 {
		t.Errorf("a refused push is on record as one: %+v", s.Requests())
	}
	git(t, work, writer, "push", "-q", re.CloneURL, "main")
	two := commit(t, work, "main", "a.txt", "two")
	git(t, work, writer, "push", "-q", re.CloneURL, "main", "main:refs/heads/fix/one")

	want := []forgetest.Request{
		{Method: "POST", Path: "/acme/shop.git/git-receive-pack", Status: 200, Updates: []forgetest.RefUpdate{
			{Ref: "refs/heads/main", Old: zeros, New: one, Applied: true},
		}},
		{Method: "POST", Path: "/acme/shop.git/git-receive-pack", Status: 200, Updates: []forgetest.RefUpdate{
			{Ref: "refs/heads/main", Old: one, New: two, Applied: true},
			{Ref: "refs/heads/fix/one", Old: zeros, New: two, Applied: true},
		}},
	}
	if diff := cmp.Diff(want, s.Requests(), cmpopts.IgnoreFields(forgetest.Request{}, "Time")); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, work, reader, "clone", "-q", re.CloneURL, clone)
	if got := git(t, clone, "", "rev-parse", "HEAD"); got != two {
		t.Errorf("cloned %s, want %s", got, two)
	}
	if head, err := s.BranchHead("ACME", "Shop", "fix/one"); head != two || err != nil {
		t.Errorf("BranchHead = %q, %v", head, err)
	}
}

func TestALeaseOnTheExpectedRefIsKept(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	commit(t, work, "main", "a.txt", "one")
	git(t, work, writer, "push", "-q", re.CloneURL, "main")
	commit(t, work, "main", "a.txt", "two")
	out, err := gitTry(t, work, writer, "push", "--force-with-lease=main:"+zeros, re.CloneURL, "main")
	if err == nil || !strings.Contains(out, "stale info") {
		t.Errorf("a push on a stale lease passed: %v\n%s", err, out)
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("%d pushes on record, want 1", n)
	}
}

func TestAPartialCloneFetchesWhatIsMissingLater(t *testing.T) {
	_, re := startForge(t)
	work := t.TempDir()
	commit(t, work, "main", "old.txt", "old contents")
	if err := os.Remove(filepath.Join(work, "old.txt")); err != nil {
		t.Fatal(err)
	}
	commit(t, work, "main", "new.txt", "new contents")
	git(t, work, writer, "push", "-q", re.CloneURL, "main")
	blob := git(t, work, "", "rev-parse", "HEAD~1:old.txt")

	clone := filepath.Join(t.TempDir(), "clone")
	git(t, work, reader, "clone", "-q", "--bare", "--filter=blob:none", re.CloneURL, clone)
	missing := git(t, clone, "", "rev-list", "--objects", "--all", "--missing=print")
	if !strings.Contains(missing, "?"+blob) {
		t.Errorf("the filter was ignored; objects:\n%s", missing)
	}
	if got := git(t, clone, reader, "cat-file", "blob", blob); got != "old contents" {
		t.Errorf("the missing blob = %q", got)
	}
	git(t, clone, reader, "fetch", "-q", "--depth=1", re.CloneURL, blob) // any id in a want
}

func TestALargePushArrivesInChunks(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	var b strings.Builder
	for i := range 400_000 { // more than git's 1 MiB buffer, hard to compress
		b.WriteString(base64.StdEncoding.EncodeToString([]byte{byte(i), byte(i * i >> 3), byte(i * 7 >> 5), byte(i >> 8)}))
	}
	head := commit(t, work, "main", "big", b.String())
	git(t, work, writer, "-c", "http.postBuffer=65536", "push", "-q", re.CloneURL, "main")
	if got, _ := s.BranchHead("acme", "shop", "main"); got != head {
		t.Errorf("main is at %q, want %s", got, head)
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("%d pushes on record, want 1 (git's probe is none)", n)
	}
}

func TestAnArchivedRepositoryTakesNoPush(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	commit(t, work, "main", "a.txt", "one")
	if err := s.SetArchived("acme", "shop", true); err != nil {
		t.Fatal(err)
	}
	if out, err := gitTry(t, work, writer, "push", re.CloneURL, "main"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("push to an archived repository: %v\n%s", err, out)
	}
}

func TestAPushMayTakeEffectAndLoseItsReply(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	head := commit(t, work, "main", "a.txt", "one")
	s.SetFault(func(r *http.Request) *forgetest.Fault {
		if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			return &forgetest.Fault{AfterEffect: true, Drop: true}
		}
		return nil
	})
	if out, err := gitTry(t, work, writer, "push", re.CloneURL, "main"); err == nil {
		t.Errorf("the push got a reply:\n%s", out)
	}
	if got, _ := s.BranchHead("acme", "shop", "main"); got != head {
		t.Errorf("main is at %q, want %s", got, head)
	}
	reqs := s.Requests()
	if len(reqs) != 1 || !reqs[0].Dropped || !reqs[0].Updates[0].Applied {
		t.Errorf("requests = %+v", reqs)
	}
}

func TestNoPathLeadsOutOfARepository(t *testing.T) {
	s, re := startForge(t)
	work := t.TempDir()
	commit(t, work, "main", "a.txt", "one")
	git(t, work, writer, "push", "-q", re.CloneURL, "main")
	host := strings.TrimPrefix(s.URL(), "http://")
	for _, path := range []string{
		"/acme/shop.git/config", "/acme/shop.git/HEAD", "/acme/shop.git/objects/info/packs",
		"/acme/shop.git/../shop.git/config", "/acme/%2e%2e/acme/shop.git/info/refs?service=git-upload-pack",
		"/acme%2Fshop.git/info/refs?service=git-upload-pack", "/../../etc/passwd", "/acme/shop.git/..%2f..%2fconfig",
		"/acme/shop.git/info/refs", "/acme/shop.git/info/refs?service=git-upload-archive", "/acme/none.git/info/refs?service=git-upload-pack",
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+host, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + host + path
		req.SetBasicAuth("x-access-token", writer)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s, want 404", path, resp.Status)
		}
	}
}

func TestHostileRepositoryNamesAreRefused(t *testing.T) {
	s, _ := startForge(t)
	for _, name := range []string{"", ".", "..", "a/b", "%2e", "x.git", "-rf", "a b", "a\nb", ".hidden", strings.Repeat("a", 101)} {
		if _, err := s.CreateRepo("acme", name, "main"); err == nil {
			t.Errorf("CreateRepo took the name %q", name)
		}
		if _, err := s.CreateRepo(name, "ok", "main"); err == nil {
			t.Errorf("CreateRepo took the owner %q", name)
		}
	}
	if _, err := s.CreateRepo("ACME", "SHOP", "main"); err == nil {
		t.Error("CreateRepo made a repository twice")
	}
}
