package gitpush_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

// sshKey has ssh-keygen make a key, and returns the private key's path.
func sshKey(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	gittest.Output(t, "", "ssh-keygen", append([]string{"-q", "-C", "agent", "-f", path}, args...)...)
	return path
}

// gpgKey has gpg make a key in a home of its own, and returns the exported secret key's path and the home.
func gpgKey(t *testing.T, algorithm, passphrase string) (path, home string) {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // short, as the path of its agent's socket has to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	gpg := func(args ...string) string {
		return gittest.Output(t, "", "gpg", append([]string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase}, args...)...)
	}
	gpg("--quiet", "--quick-generate-key", "agent <agent@example.com>", algorithm, "sign", "0")
	path = filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(path, []byte(gpg("--armor", "--export-secret-keys")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, home
}

// signed builds the same signed commit in two mirrors, with the key loaded anew for each, and returns its id and mirror.
func (s *setup) signed(t *testing.T, key string) (id, dir string) {
	t.Helper()
	for range 2 {
		signer, err := gitpush.LoadSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		m := meta()
		m.Signer = signer
		mirror := s.open(t)
		again, err := s.pusher.Commit(t.Context(), mirror, s.base, []byte(patch), m)
		if err != nil {
			t.Fatal(err)
		}
		if id != "" && again != id {
			t.Errorf("built again it is %s, not %s", again, id)
		}
		id, dir = again, mirror.Dir()
	}
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, s.commit(t, "unsigned"), "sre-agent/unsigned", ""); err != nil {
		t.Fatal(err)
	}
	return id, dir
}

func TestACommitSignedByAnSSHKeyIsGoodForGit(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"ed25519": {"-t", "ed25519", "-N", ""}, "rsa": {"-t", "rsa", "-b", "2048", "-N", ""}, "rsa in PEM": {"-t", "rsa", "-m", "PEM", "-N", ""}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			key := sshKey(t, args...)
			id, dir := s.signed(t, key)
			public, err := os.ReadFile(key + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			allowed := filepath.Join(t.TempDir(), "allowed")
			if err := os.WriteFile(allowed, append([]byte("agent@example.com namespaces=\"git\" "), public...), 0o600); err != nil {
				t.Fatal(err)
			}
			gittest.Output(t, "", "git", "-C", dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", id)
			gittest.Output(t, "", "git", "-C", dir, "fsck", "--strict")
		})
	}
}

func TestACommitSignedByAGPGKeyIsGoodForGit(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ed25519", "rsa2048"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			key, home := gpgKey(t, algorithm, "")
			id, dir := s.signed(t, key)
			cmd := exec.CommandContext(t.Context(), "git", "-C", dir, "verify-commit", "--raw", id)
			cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "[GNUPG:] GOODSIG") {
				t.Errorf("%v\n%s", err, out)
			}
			gittest.Output(t, "", "git", "-C", dir, "fsck", "--strict")
		})
	}
}

func TestASignedCommitIsPushedAndItsTreeIsThatOfTheUnsignedOne(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	signer, err := gitpush.LoadSigner(sshKey(t, "-t", "ed25519", "-N", ""))
	if err != nil {
		t.Fatal(err)
	}
	m := meta()
	m.Signer = signer
	id, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(patch), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", ""); err != nil {
		t.Fatal(err)
	}
	show := func(commit string) string {
		return gittest.Output(t, "", "git", "-C", s.repo.Bare, "show", "-s", "--format=%T %P %an %ae %at %B", commit)
	}
	plain := s.commit(t, meta().Message)
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, plain, "sre-agent/y", ""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(show(plain), show(id)); diff != "" || plain == id {
		t.Error(diff)
	}
}

func TestAKeyThatWillNotDoIsRefused(t *testing.T) {
	t.Parallel()
	locked, _ := gpgKey(t, "ed25519", "secret")
	ecdsa, _ := gpgKey(t, "nistp256", "")
	loose := sshKey(t, "-t", "ed25519", "-N", "")
	if err := os.Chmod(loose, 0o640); err != nil {
		t.Fatal(err)
	}
	nonsense := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(nonsense, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret-in-a-broken-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	public := sshKey(t, "-t", "ed25519", "-N", "") + ".pub"
	if err := os.Chmod(public, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, want string }{
		"an SSH key with a passphrase":     {sshKey(t, "-t", "ed25519", "-N", "secret"), "passphrase"},
		"an SSH key with random signature": {sshKey(t, "-t", "ecdsa", "-N", ""), "differ each time"},
		"a GPG key with a passphrase":      {locked, "passphrase"},
		"a GPG key with random signature":  {ecdsa, "differ each time"},
		"a file that a group may read":     {loose, "chmod 600"},
		"a broken key":                     {nonsense, "no SSH private key"},
		"a public key":                     {public, "public key"},
		"no file":                          {nonsense + "x", "no such file"},
		"a folder":                         {t.TempDir(), "is no file"},
	} {
		_, err := gitpush.LoadSigner(tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-in") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestTheCommitterAndTheSignOff(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	for message, want := range map[string]string{
		"Fix":                        "Fix\n\nSigned-off-by: sre-agent <agent@example.com>\n",
		"Fix\n\nBody: of a kind\n":   "Fix\n\nBody: of a kind\nSigned-off-by: sre-agent <agent@example.com>\n",
		"Fix\n\nA body.\n\nRun: 1\n": "Fix\n\nA body.\n\nRun: 1\nSigned-off-by: sre-agent <agent@example.com>\n",
		"Fix\n\nA body.\n":           "Fix\n\nA body.\n\nSigned-off-by: sre-agent <agent@example.com>\n",
		"x: fix\n":                   "x: fix\n\nSigned-off-by: sre-agent <agent@example.com>\n",
	} {
		m := meta()
		m.Message, m.CommitterName, m.CommitterEmail, m.SignOff = message, "robot", "robot@example.com", true
		id, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(patch), m)
		if err != nil {
			t.Fatal(err)
		}
		got := gittest.Output(t, "", "git", "-C", s.mirror.Dir(), "cat-file", "commit", id)
		head, text, _ := strings.Cut(got, "\n\n")
		if diff := cmp.Diff(want, text); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(head, "author sre-agent <agent@example.com> ") || !strings.Contains(head, "committer robot <robot@example.com> ") {
			t.Error(head)
		}
	}
	m := meta()
	m.CommitterName = "a\nb"
	_, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(patch), m)
	wantReason(t, "a committer with a line end", err, "bad_commit_metadata")
}

func TestABranchIsDeletedOnlyWhereItIsExpected(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	mine, next := s.commit(t, "fix"), s.commit(t, "fix 2")
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, mine, "sre-agent/x", ""); err != nil {
		t.Fatal(err)
	}
	remove := func(branch, old string) error {
		return s.pusher.Delete(t.Context(), s.mirror, s.remote, branch, old)
	}
	if err := remove("sre-agent/x", next); err == nil || s.head(t, "sre-agent/x") != mine {
		t.Errorf("a branch that is elsewhere: %v, and it is at %q", err, s.head(t, "sre-agent/x"))
	}
	for range 2 { // the second time it is gone
		if err := remove("sre-agent/x", mine); err != nil || s.head(t, "sre-agent/x") != "" {
			t.Errorf("%v, and it is at %q", err, s.head(t, "sre-agent/x"))
		}
	}
	wantReason(t, "main", remove("main", s.base), "ref_not_allowed")
	wantReason(t, "no lease", remove("sre-agent/x", ""), "bad_commit")
	if s.head(t, "main") != s.base {
		t.Error("main is gone")
	}
}

// TestTheTokenIsNowhereWhileGitPushes looks at every process and at the mirror while the server has the push in hand.
func TestTheTokenIsNowhereWhileGitPushes(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	key := sshKey(t, "-t", "ed25519", "-N", "")
	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gitpush.LoadSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	m := meta()
	m.Signer = signer
	id, err := s.pusher.Commit(t.Context(), s.mirror, s.base, []byte(patch), m)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		gittest.Token, base64.StdEncoding.EncodeToString([]byte(gittest.User + ":" + gittest.Token)), strings.Split(string(private), "\n")[1],
	}
	var mu sync.Mutex
	holders, found := 0, []string{}
	s.server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			h, f := lookAround(t, s.mirror.Dir(), secrets)
			holders, found = holders+h, append(found, f...)
		}
		return false
	})
	if err := s.pusher.Push(t.Context(), s.mirror, s.remote, id, "sre-agent/x", ""); err != nil {
		t.Fatal(err)
	}
	s.server.Intercept(nil)
	if holders == 0 || s.head(t, "sre-agent/x") != id {
		t.Errorf("no process had the token in hand while it pushed, and the branch is at %q", s.head(t, "sre-agent/x"))
	}
	_, after := lookAround(t, s.mirror.Dir(), secrets)
	for _, where := range append(found, after...) {
		t.Error(where)
	}
}

// lookAround says how many processes hold a credential in memory of their own, and where else a secret is.
func lookAround(t *testing.T, dir string, secrets []string) (holders int, found []string) {
	look := func(where string) {
		data, _ := os.ReadFile(where)
		for _, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				found = append(found, where+" has a secret")
			}
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		if environ, _ := os.ReadFile(p + "/environ"); !bytes.Contains(environ, []byte(dir)) {
			continue // no git on this mirror: another test's
		}
		look(p + "/cmdline")
		look(p + "/environ")
		if held, _ := os.Readlink(p + "/fd/3"); strings.HasPrefix(held, "/memfd:git-credential") {
			holders++
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			look(path)
		}
		return nil // git may remove a file meanwhile
	})
	if err != nil {
		t.Error(err)
	}
	return holders, found
}
