package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/receipt"
)

// keygen makes a key by the command, and returns it with its public key's file.
func keygen(t *testing.T) (minisign.SecretKey, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "receipt.key")
	sreAgent(t, nil, "receipt", "keygen", "--out", file).want(t, 0, "The secret key is in "+file, "")
	sreAgent(t, nil, "receipt", "keygen", "--out", file).want(t, 1, "", "file exists")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := minisign.ParseSecretKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return key, file + ".pub"
}

func signedReceipt(t *testing.T, key minisign.SecretKey, pr string) receipt.Signed {
	t.Helper()
	s, err := receipt.Sign(receipt.Receipt{
		Diff: receipt.Digest([]byte(fineDiff)), PR: pr, Version: receipt.Version, Fixer: receipt.Fixer{Name: "gofmt"}, Policy: receipt.Policy{Class: "safe", Danger: 5},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAReceiptInAFileIsChecked(t *testing.T) {
	t.Parallel()
	key, public := keygen(t)
	_, other := keygen(t)
	s := signedReceipt(t, key, "https://github.com/acme/hello/pull/1")
	file := write(t, "receipt.json", string(s.Text)+"\n")
	if err := os.WriteFile(file+".minisig", []byte(s.Minisig), 0o600); err != nil {
		t.Fatal(err)
	}
	comment := write(t, "comment.md", "text before\n\n"+s.Comment(markup.Of("github"), "0123"))
	for _, what := range []string{file, comment} {
		sreAgent(t, nil, "verify", what, "--public-key", public).want(t, 0, "the change, byte for byte", "")
		sreAgent(t, nil, "verify", what, "--public-key", public, "--diff", write(t, "a.diff", fineDiff)).want(t, 0, "the diff is the one that was verified", "")
		sreAgent(t, nil, "verify", what, "--public-key", public, "--diff", write(t, "a.diff", severalTwo)).want(t, 1, "FAILED  diff", "does not hold")
		sreAgent(t, nil, "verify", what, "--public-key", public, "--diff", write(t, "a.diff", "")).want(t, 1, "FAILED  diff", "does not hold")
		sreAgent(t, nil, "verify", what, "--public-key", other).want(t, 1, "FAILED  signature", "does not hold")
		sreAgent(t, nil, "verify", what, "--public-key", public, "--json").want(t, 0, `"ok": true`, "")
	}
	sreAgent(t, nil, "verify", write(t, "x.md", "no receipt"), "--public-key", public).want(t, 1, "", "no receipt is in it")
	sreAgent(t, nil, "verify", file).want(t, 2, "", "--public-key is required")
	sreAgent(t, nil, "verify", file, "--public-key", file).want(t, 2, "", "no minisign public key")
	sreAgent(t, nil, "verify", file, "--public-key", public, "--diff", "/nowhere").want(t, 2, "", "no such file")
}

func TestAReceiptOnAPullRequestIsChecked(t *testing.T) {
	t.Parallel()
	key, public := keygen(t)
	stranger, _ := keygen(t)
	var bodies []string
	asked := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization")
		out := []map[string]any{}
		for i, b := range bodies {
			out = append(out, map[string]any{"id": i + 1, "body": b, "user": map[string]any{"login": "x"}, "created_at": "2026-01-01T00:00:00Z"})
		}
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(srv.Close)
	env := map[string]string{"GITHUB_API_URL": srv.URL, "GITHUB_GIT_URL": srv.URL}
	pr := srv.URL + "/acme/hello/pull/7"
	comment := func(k minisign.SecretKey, pr string) string {
		return signedReceipt(t, k, pr).Comment(markup.Of("github"), "0123")
	}
	verify := func(args ...string) outcome {
		return sreAgent(t, env, append([]string{"verify", pr, "--public-key", public}, args...)...)
	}

	verify().want(t, 1, "", "none of the 0 comments has a receipt")
	bodies = []string{"hello", comment(stranger, pr)}
	verify().want(t, 1, "FAILED  signature", "does not hold")
	bodies = append(bodies, comment(key, srv.URL+"/acme/hello/pull/6"))
	verify().want(t, 1, "FAILED  pull request", "does not hold")
	bodies = append(bodies, comment(key, pr))
	verify("--token-file", write(t, "token", "the-token\n")).want(t, 0, "the receipt is for this pull request", "")
	if asked != "GET /repos/acme/hello/issues/7/comments Bearer the-token" {
		t.Errorf("asked %q", asked)
	}
	sreAgent(t, env, "verify", pr+"/#issuecomment-1", "--public-key", public).want(t, 0, "the receipt is for this pull request", "")
	verify("--diff", write(t, "a.diff", severalTwo)).want(t, 1, "FAILED  diff", "does not hold")

	asked = ""
	for _, elsewhere := range []string{"https://evil.example/acme/hello/pull/7", srv.URL + "/acme/hello/issues/7", srv.URL + "/acme/hello/-/merge_requests/7"} {
		sreAgent(t, env, "verify", elsewhere, "--public-key", public).want(t, 2, "", "")
	}
	if asked != "" {
		t.Errorf("asked %q", asked)
	}
}
