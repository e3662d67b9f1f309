package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
)

func TestHooksAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	hooks, err := config.ParseGitHubHooks([]string{"repo:acme/shop:123", "org:acme:45", "app"})
	want := []config.HookAddress{{Kind: "repo", Path: "acme/shop", ID: 123}, {Kind: "org", Path: "acme", ID: 45}, {Kind: "app"}}
	if diff := cmp.Diff(want, hooks); diff != "" || err != nil || hooks[0].String() != "repo:acme/shop:123" || hooks[2].String() != "app" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{
		"", "acme/shop:1", "repo:acme:1", "repo:acme/shop", "repo:acme/shop:0", "repo:acme/shop:-1", "repo:acme/shop:x", "repo:acme/../shop:1",
		"repo:../shop:1", "repo:/shop:1", "org:acme/shop:1", "app:1", "user:acme:1", "repo:acme/shop:1:2", "project:acme/shop:1",
	} {
		if got, err := config.ParseGitHubHooks([]string{bad}); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
	hooks, err = config.ParseGitLabHooks([]string{"project:acme/web/shop:7", "project:42:8", "group:acme:5"})
	if err != nil || len(hooks) != 3 || hooks[0].Path != "acme/web/shop" {
		t.Errorf("%+v, %v", hooks, err)
	}
	for _, bad := range []string{"app", "repo:acme/shop:1", "project:acme//shop:1", "project:.:1"} {
		if got, err := config.ParseGitLabHooks([]string{bad}); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestAHookNeedsWhatAskingAboutItTakes(t *testing.T) {
	t.Parallel()
	key := appKey(t)
	file := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		environ map[string]string
		want    string
	}{
		"none":                          {with(), ""},
		"a repository's":                {with("GITHUB_HOOKS", "repo:a/b:1", "GITHUB_HOOK_TOKEN", canary), ""},
		"a repository's without token":  {with("GITHUB_HOOKS", "repo:a/b:1"), "GITHUB_HOOK_TOKEN is not set"},
		"an App's":                      {with("GITHUB_HOOKS", "app", "GITHUB_APP_ID", "47", "GITHUB_APP_PRIVATE_KEY", key), ""},
		"an App's with its key in file": {with("GITHUB_HOOKS", "app", "GITHUB_APP_ID", "47", "GITHUB_APP_PRIVATE_KEY_FILE", file), ""},
		"an App's without key":          {with("GITHUB_HOOKS", "app", "GITHUB_APP_ID", "47"), "GITHUB_APP_PRIVATE_KEY is not set"},
		"an App's without id":           {with("GITHUB_HOOKS", "app", "GITHUB_APP_PRIVATE_KEY", key), "GITHUB_APP_ID is not set"},
		"a key that is none":            {with("GITHUB_HOOKS", "app", "GITHUB_APP_ID", "47", "GITHUB_APP_PRIVATE_KEY", canary), "GITHUB_APP_PRIVATE_KEY is set to something else"},
		"a hook that can't be read":     {with("GITHUB_HOOKS", "acme/shop"), "GITHUB_HOOKS is \"acme/shop\""},
		"GitLab's without token":        {with("GITLAB_HOOKS", "project:a/b:1"), "GITLAB_HOOK_TOKEN is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(config.Throttle, tc.environ)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("a secret in %v", err)
			}
			if _, err := config.Load(config.Ingest, tc.environ); err != nil {
				t.Errorf("ingest has no use for it: %v", err)
			}
		})
	}
}

func TestAnAppsKeyIsRSA(t *testing.T) {
	t.Parallel()
	if _, err := config.ParseAppKey(appKey(t)); err != nil {
		t.Error(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))} {
		if _, err := config.ParseAppKey(bad); err == nil {
			t.Errorf("%q is taken for a key", bad)
		}
	}
}

func appKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}
