package minisign_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/minisign"
)

func newKey(t *testing.T, seed byte) minisign.SecretKey {
	t.Helper()
	k, err := minisign.New(bytes.Repeat([]byte{seed}, 40))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// program runs the minisign program in dir.
func program(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "minisign", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheProgramTakesOurKeysAndSignatures(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKey(t, 7)
	sig, err := k.Sign([]byte("hello\n"), "made by hand")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "f", "hello\n")
	write(t, dir, "f.minisig", sig)
	write(t, dir, "k.pub", k.Public().Text())
	write(t, dir, "k.key", k.Text())
	if out, err := program(t, dir, "-V", "-m", "f", "-p", "k.pub"); err != nil || !strings.Contains(out, "Trusted comment: made by hand") {
		t.Errorf("%v\n%s", err, out)
	}
	write(t, dir, "f", "hellO\n")
	if out, err := program(t, dir, "-V", "-m", "f", "-p", "k.pub"); err == nil {
		t.Errorf("another text is taken: %s", out)
	}
	if out, err := program(t, dir, "-S", "-s", "k.key", "-m", "f", "-t", "theirs"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if comment, err := k.Public().Verify([]byte("hellO\n"), read(t, dir, "f.minisig")); err != nil || comment != "theirs" {
		t.Errorf("what the program signs by our key: %q, %v", comment, err)
	}
}

func TestWeTakeTheProgramsKeysAndSignatures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := program(t, dir, "-G", "-W", "-p", "k.pub", "-s", "k.key"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k, err := minisign.ParseSecretKey(read(t, dir, "k.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := minisign.ParsePublicKey(read(t, dir, "k.pub"))
	if err != nil || public.Text() != k.Public().Text() || !strings.Contains(read(t, dir, "k.pub"), public.ID()) {
		t.Errorf("%v, %s", err, public.Text())
	}
	again, err := minisign.ParseSecretKey(k.Text())
	if err != nil || again.Text() != k.Text() {
		t.Errorf("our own form of it: %v", err)
	}
}

func TestASignatureIsTheSameEachTimeAndHoldsForNothingElse(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, 1), newKey(t, 2)
	sig, err := k.Sign([]byte("text"), "comment")
	again, _ := k.Sign([]byte("text"), "comment")
	if err != nil || sig != again {
		t.Errorf("%v, or another signature", err)
	}
	if _, err := k.Public().Verify([]byte("text"), strings.ReplaceAll(sig, "\n", "\r\n")); err != nil {
		t.Error(err)
	}
	lines := strings.Split(sig, "\n")
	flip := func(n int) string {
		out := append([]string{}, lines...)
		c := byte('A')
		if out[n][20] == c {
			c = 'B'
		}
		out[n] = out[n][:20] + string(c) + out[n][21:]
		return strings.Join(out, "\n")
	}
	for name, v := range map[string]struct {
		key  minisign.PublicKey
		text string
		sig  string
	}{
		"another text":      {k.Public(), "texT", sig},
		"another key":       {other.Public(), "text", sig},
		"another comment":   {k.Public(), "text", strings.Replace(sig, "comment: comment", "comment: commenT", 1)},
		"a changed key id":  {k.Public(), "text", flip(1)},
		"a changed global":  {k.Public(), "text", flip(3)},
		"nothing":           {k.Public(), "text", ""},
		"a line too many":   {k.Public(), "text", sig + "x\n"},
		"another algorithm": {k.Public(), "text", strings.Replace(sig, "\nRU", "\nRW", 1)},
	} {
		if comment, err := v.key.Verify([]byte(v.text), v.sig); err == nil || comment != "" {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := k.Sign(nil, "a\nb"); err == nil {
		t.Error("a comment of two lines is signed")
	}
}

func TestATokenIsTheKeysOwn(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, 1).Token("x"), newKey(t, 2).Token("x")
	if a == b || a == newKey(t, 1).Token("y") || a != newKey(t, 1).Token("x") || len(a) != 32 {
		t.Errorf("%s %s", a, b)
	}
}

func TestABadKeyIsRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	good := newKey(t, 3).Text()
	line := strings.Split(good, "\n")[1]
	for name, text := range map[string]string{
		"empty": "", "a public key": newKey(t, 3).Public().Text(), "short": good[:len(good)-9], "no base64": "x\n!" + line[1:],
		"a password": strings.Replace(good, "RWQAAEIy", "RWRTY0Iy", 1), "damaged": good[:150] + "zz" + good[152:],
	} {
		if _, err := minisign.ParseSecretKey(text); err == nil || strings.Contains(err.Error(), line[40:60]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", good, "untrusted comment: x\nRWQ="} {
		if _, err := minisign.ParsePublicKey(text); err == nil {
			t.Errorf("%q is taken for a public key", text)
		}
	}
}
