package config_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
)

func TestWhatWritesToForgesIsWholeOrRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pemKey := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for name, tc := range map[string]struct {
		pairs []string
		app   bool
		bad   []string // the variables with a problem
	}{
		"a token":                        {nil, false, nil},
		"an App":                         {[]string{"GITHUB_WRITE_TOKEN", "", "GITHUB_APP_ID", "7", "GITHUB_APP_PRIVATE_KEY", pemKey}, true, nil},
		"both: the token goes first":     {[]string{"GITHUB_APP_ID", "7", "GITHUB_APP_PRIVATE_KEY", pemKey}, false, nil},
		"neither":                        {[]string{"GITHUB_WRITE_TOKEN", ""}, false, []string{"GITHUB_WRITE_TOKEN"}},
		"an App without a key":           {[]string{"GITHUB_WRITE_TOKEN", "", "GITHUB_APP_ID", "7"}, false, []string{"GITHUB_WRITE_TOKEN"}},
		"an App whose key is no key":     {[]string{"GITHUB_WRITE_TOKEN", "", "GITHUB_APP_ID", "7", "GITHUB_APP_PRIVATE_KEY", "secret"}, false, []string{"GITHUB_APP_PRIVATE_KEY"}},
		"plain git":                      {[]string{"PLAIN_GIT_URL", "https://git.example", "PLAIN_GIT_WRITE_TOKEN", "x", "PLAIN_GIT_PATCH_DIR", "/p"}, false, nil},
		"plain git without an address":   {[]string{"PLAIN_GIT_WRITE_TOKEN", "x", "PLAIN_GIT_PATCH_DIR", "/p"}, false, []string{"PLAIN_GIT_URL"}},
		"plain git without a folder":     {[]string{"PLAIN_GIT_URL", "https://git.example", "PLAIN_GIT_WRITE_TOKEN", "x"}, false, []string{"PLAIN_GIT_PATCH_DIR"}},
		"mail without a server":          {[]string{"PLAIN_GIT_MAIL_TO", "a@b.example"}, false, []string{"SMTP_ADDRESS"}},
		"a mail server without a port":   {[]string{"PLAIN_GIT_MAIL_TO", "a@b.example", "SMTP_ADDRESS", "mail.example"}, false, []string{"SMTP_ADDRESS"}},
		"an address with a header in it": {[]string{"PLAIN_GIT_MAIL_TO", "a@b.example\nBcc: c@d.example", "SMTP_ADDRESS", "mail.example:25"}, false, []string{"PLAIN_GIT_MAIL_TO"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Load(config.Publisher, with(tc.pairs...))
			var refused *config.Error
			var bad []string
			if errors.As(err, &refused) {
				for _, p := range refused.Problems {
					bad = append(bad, p.Variable)
				}
			}
			if diff := cmp.Diff(tc.bad, bad); diff != "" || (err == nil && cfg.WritesAsApp() != tc.app) {
				t.Errorf("as App %t; problems (-want +got):\n%s", cfg.WritesAsApp(), diff)
			}
		})
	}
}
