package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
)

const canary = "canary-secret-0123456789"

// complete is the least that each program starts with.
func complete() map[string]string {
	return map[string]string{
		"NATS_URL": "nats://127.0.0.1:4222", "DATABASE_URL": "postgres://u:" + canary + "@db/x", "REDIS_URL": "redis://:" + canary + "@r:6379/0",
		"GITHUB_WEBHOOK_SECRETS": canary, "GITHUB_READ_TOKEN": canary + "-read", "GITHUB_WRITE_TOKEN": canary + "-write",
	}
}

func with(pairs ...string) map[string]string {
	environ := complete()
	for i := 0; i < len(pairs); i += 2 {
		environ[pairs[i]] = pairs[i+1]
	}
	return environ
}

func TestTheDefaultsAreTheDesigns(t *testing.T) {
	for _, program := range []config.Program{config.Ingest, config.Throttle, config.Runner, config.Publisher, config.All} {
		cfg, err := config.Load(program, complete())
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		want := config.Knobs{
			WebhookRatePerMinute: 30, ConcurrencyLimit: 2, ConcurrencyTTLSeconds: 1200, MaxAttempts: 3,
			BaseBackoffSeconds: 30, MaxBackoffSeconds: 600, CooldownSeconds: 900,
		}
		if diff := cmp.Diff(want, cfg.Knobs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", program, diff)
		}
	}
	cfg, err := config.Load(config.All, complete())
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		cfg.ConcurrencyTTL(), cfg.BaseBackoff(), cfg.MaxBackoff(), cfg.Cooldown(), cfg.LeaseTTL(), cfg.SweepInterval(), cfg.ShutdownGrace(),
		cfg.DeliveriesMaxAge(), cfg.SandboxTimeout(), cfg.WebhookMaxBodyBytes, cfg.HTTPAddr, cfg.GitHubAPIURL, cfg.PullRequestDraft, cfg.LogFormat,
	}
	want := []any{
		20 * time.Minute, 30 * time.Second, 10 * time.Minute, 15 * time.Minute, 30 * time.Second, 2 * time.Second, 20 * time.Second,
		7 * 24 * time.Hour, 10 * time.Minute, int64(25 << 20), ":8080", "https://api.github.com", false, "json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachProgramRequiresWhatItNeedsAndNothingElse(t *testing.T) {
	for program, want := range map[config.Program][]string{
		config.Ingest:    {"GITHUB_WEBHOOK_SECRETS", "NATS_URL"},
		config.Throttle:  {"NATS_URL", "DATABASE_URL", "REDIS_URL"},
		config.Runner:    {"GITHUB_READ_TOKEN", "NATS_URL", "DATABASE_URL", "REDIS_URL"},
		config.Publisher: {"GITHUB_WRITE_TOKEN", "NATS_URL", "DATABASE_URL"},
		config.All:       {"GITHUB_WEBHOOK_SECRETS", "GITHUB_READ_TOKEN", "GITHUB_WRITE_TOKEN"},
		config.Operator:  nil,
	} {
		t.Run(string(program), func(t *testing.T) {
			_, err := config.Load(program, map[string]string{})
			if diff := cmp.Diff(want, variables(err)); diff != "" {
				t.Errorf("missing variables (-want +got):\n%s", diff)
			}
			only := make(map[string]string)
			for _, name := range want {
				only[name] = complete()[name]
			}
			if _, err := config.Load(program, only); err != nil {
				t.Errorf("with all of them set: %v", err)
			}
		})
	}
}

func variables(err error) []string {
	var bad *config.Error
	if !errors.As(err, &bad) {
		return nil
	}
	var names []string
	for _, p := range bad.Problems {
		names = append(names, p.Variable)
	}
	return names
}

func TestOneMessageListsEveryProblem(t *testing.T) {
	_, err := config.Load(config.All, with(
		"COOLDOWN_SECONDS", "soon", "MAX_BACKOFF_SECONDS", "10", "MAX_PIPELINE_ATTEMPTS", "0", "LEASE_TTL_SECONDS", "3000",
		"NATS_URL", "http://user:"+canary+"@nats", "DATABASE_URL", "mysql://root:"+canary+"@db", "GITHUB_READ_TOKEN", canary+"\nX-Evil: 1",
		"GITHUB_WEBHOOK_SECRETS", "", "LOG_FORMAT", "xml", "HTTP_ADDR", "8080", "SANDBOX_GOPROXY", "https://proxy.golang.org,direct",
		"SANDBOX_TOOLCHAINS", "/usr/local/go,node", "PULL_REQUEST_DRAFT", "perhaps", "NATS_REPLICAS", "2", "AGENT_EMAIL", "nobody",
	))
	want := strings.TrimPrefix(`
the configuration of all has 15 problems:
  MAX_PIPELINE_ATTEMPTS is 0: want a whole number from 1 to 20; for example MAX_PIPELINE_ATTEMPTS=3
  BASE_BACKOFF_SECONDS is 30: want at most MAX_BACKOFF_SECONDS, which is 10
  COOLDOWN_SECONDS is "soon": want a whole number of seconds from 1 to 604800; for example COOLDOWN_SECONDS=900
  GITHUB_WEBHOOK_SECRETS is not set, nor is a secret or token of any other provider: want at least one secret, separated by commas or line ends, or the name of a file that holds it in GITHUB_WEBHOOK_SECRETS_FILE; for example GITHUB_WEBHOOK_SECRETS=the-new-secret,the-old-secret
  GITHUB_READ_TOKEN is set to something else: want one line of text; for example GITHUB_READ_TOKEN=github_pat_...
  NATS_URL is "http://[hidden]@nats": want URLs that begin with nats://, tls://, ws://, wss://, separated by commas; for example NATS_URL=nats://127.0.0.1:4222
  NATS_REPLICAS is 2: want an odd number, 1, 3 or 5
  DATABASE_URL is set to something else: want a URL that begins with postgres:// or postgresql://; for example DATABASE_URL=postgres://user:password@host:5432/sre_agent
  HTTP_ADDR is "8080": want host:port or :port; for example HTTP_ADDR=:8080
  LEASE_TTL_SECONDS is 3000: want at most REPO_PIPELINE_CONCURRENCY_TTL_SECONDS, which is 1200
  SANDBOX_TOOLCHAINS is "/usr/local/go,node": want absolute paths, separated by commas; for example SANDBOX_TOOLCHAINS=/usr/local/go,/opt/node
  SANDBOX_GOPROXY is "https://proxy.golang.org,direct": want http or https URLs, separated by commas, or off; for example SANDBOX_GOPROXY=https://proxy.golang.org
  AGENT_EMAIL is "nobody": want an e-mail address; for example AGENT_EMAIL=sre-agent@sre-agent.invalid
  PULL_REQUEST_DRAFT is "perhaps": want true or false; for example PULL_REQUEST_DRAFT=false
  LOG_FORMAT is "xml": want one of json, text; for example LOG_FORMAT=json`, "\n")
	if err == nil {
		t.Fatal("Load accepts it")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(err.Error(), canary) {
		t.Error("the message holds a secret")
	}
}

func TestNumbersBeyondTheirTypeAreProblemsOfTheirVariable(t *testing.T) {
	_, err := config.Load(config.All, with("DELIVERIES_MAX_BYTES", "99999999999999999999", "RUNNER_WORKERS", "4294967297", "SANDBOX_PROCESSES", "-1"))
	if diff := cmp.Diff([]string{"DELIVERIES_MAX_BYTES", "RUNNER_WORKERS", "SANDBOX_PROCESSES"}, variables(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, variable, path string
		alsoSet              bool
		want                 string // the secrets, joined by |
		problem, warning     string
	}{
		{name: "the line end is trimmed", variable: "GITHUB_READ_TOKEN", path: write("a", canary+"\r\n", 0o600), want: canary},
		{name: "a list has one secret a line", variable: "GITHUB_WEBHOOK_SECRETS", path: write("b", "new-secret-0123456789\nold-secret-0123456789\n", 0o600), want: "new-secret-0123456789|old-secret-0123456789"},
		{name: "readable by everybody gives a warning", variable: "GITHUB_READ_TOKEN", path: write("c", canary, 0o644), want: canary, warning: "GITHUB_READ_TOKEN_FILE: the file has mode 0644"},
		{name: "writable by everybody is refused", variable: "GITHUB_READ_TOKEN", path: write("d", canary, 0o666), problem: "too open: mode 0666"},
		{name: "a missing file is named", variable: "GITHUB_READ_TOKEN", path: filepath.Join(dir, "none"), problem: "no such file or directory"},
		{name: "a directory is refused", variable: "GITHUB_READ_TOKEN", path: dir, problem: "not a regular file"},
		{name: "a named pipe is refused and does not block", variable: "GITHUB_READ_TOKEN", path: fifo, problem: "not a regular file"},
		{name: "an empty file is refused", variable: "GITHUB_READ_TOKEN", path: write("e", "\n", 0o600), problem: "it is empty"},
		{name: "a huge file is refused", variable: "GITHUB_READ_TOKEN", path: write("f", strings.Repeat("x", 70_000), 0o600), problem: "larger than 65536 bytes"},
		{name: "two lines are not one token", variable: "GITHUB_READ_TOKEN", path: write("g", canary+"\n"+canary, 0o600), problem: "want one line of text"},
		{name: "both set is refused", variable: "GITHUB_READ_TOKEN", path: write("h", canary, 0o600), alsoSet: true, problem: "one of the two"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environ := with(tt.variable+"_FILE", tt.path)
			if !tt.alsoSet {
				delete(environ, tt.variable)
			}
			cfg, err := config.Load(config.All, environ)
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), tt.variable) || strings.Contains(err.Error(), canary) {
					t.Errorf("error %v, want one about %s with %q and without the secret", err, tt.variable, tt.problem)
				}
				if n := len(variables(err)); n != 1 {
					t.Errorf("%d problems, want 1: %v", n, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := cfg.ReadToken.Reveal()
			if tt.variable == "GITHUB_WEBHOOK_SECRETS" {
				var parts []string
				for _, s := range cfg.GitHubWebhookSecrets.Bytes() {
					parts = append(parts, string(s))
				}
				got = strings.Join(parts, "|")
			}
			if got != tt.want {
				t.Errorf("secret %q, want %q", got, tt.want)
			}
			if all := strings.Join(cfg.Warnings(), "\n"); !strings.Contains(all, tt.warning) || tt.warning == "" && all != "" {
				t.Errorf("warnings %q, want %q", all, tt.warning)
			}
		})
	}
}

func TestASecretNeverShowsItself(t *testing.T) {
	s := config.NewSecret(canary)
	inside := struct {
		Public  config.Secret
		private config.Secret
		list    config.SecretList
		pointer *config.Secret
	}{s, s, config.SecretList{s}, &s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		for _, value := range []any{s, &s, config.SecretList{s}, inside, &inside, map[string]any{"k": s}, []any{s}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	text, err := json.Marshal(map[string]any{"s": s, "inside": inside, "list": config.SecretList{s}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("x", "s", s, "inside", inside, "list", config.SecretList{s})
	}
	cfg, err := config.Load(config.All, complete())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v", cfg, *cfg, cfg)
	if err := json.NewEncoder(&out).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret is shown in:\n%s", out.String())
	}
	if s.Reveal() != canary || s.String() != "[hidden]" || (config.Secret{}).IsSet() {
		t.Error("Reveal, String or IsSet is wrong")
	}
}

func TestKnownSecretsHoldEverySecretAndThePasswordsInURLs(t *testing.T) {
	environ := with("NATS_URL", "nats://nats-token@a:4222,nats://u:nats-pass@b:4222", "DATABASE_URL", "postgres://u:p%40ss@db/x", "GITHUB_WEBHOOK_SECRETS", "one,two")
	cfg, err := config.Load(config.All, environ)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, s := range cfg.KnownSecrets() {
		known[s] = true
	}
	for _, want := range []string{"one", "two", canary, canary + "-read", canary + "-write", "nats-token", "nats-pass", "p@ss", "p%40ss", environ["DATABASE_URL"], environ["REDIS_URL"]} {
		if !known[want] {
			t.Errorf("%q is not among them", want)
		}
	}
	if known[""] {
		t.Error("the empty text is among them: a redactor would hide everything")
	}
}

func TestWarnings(t *testing.T) {
	environ := with(
		"SRE_AGENT_FOO", "1", "SRE_AGENT_COOLDOWN_SECONDS", "5", "COOLDOWN_SECOND", "5", "NATS_URL_FILE", "x", "GITHUB_READ_TOKENS", "x",
		"HOME", "/root", "PATH", "/bin", "GITHUB_ACTIONS", "true", "DATABASE", "x", "GITHUB_API_URL", "http://forge.internal:3000", "GITHUB_GIT_URL", "http://127.0.0.1:3000",
	)
	cfg, err := config.Load(config.Publisher, environ)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GITHUB_API_URL is plain http: the tokens travel in clear text",
		"GITHUB_READ_TOKEN is set, but publisher has no use for it: take it out of this program's environment",
		"GITHUB_WEBHOOK_SECRETS is set, but publisher has no use for it: take it out of this program's environment",
		"unknown variable COOLDOWN_SECOND: is COOLDOWN_SECONDS meant?",
		"unknown variable GITHUB_READ_TOKENS: is GITHUB_READ_TOKEN meant?",
		"unknown variable SRE_AGENT_COOLDOWN_SECONDS: is COOLDOWN_SECONDS meant?",
		"unknown variable SRE_AGENT_FOO",
	}
	if diff := cmp.Diff(want, cfg.Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if cfg.ReadToken.IsSet() || len(cfg.GitHubWebhookSecrets) > 0 {
		t.Error("the publisher holds a secret that it has no use for")
	}
	environ = with("GITHUB_WEBHOOK_SECRETS", "short")
	if cfg, err = config.Load(config.All, environ); err != nil || len(cfg.Warnings()) != 1 || strings.Contains(cfg.Warnings()[0], "short,") {
		t.Errorf("warnings %q, %v; want one about the short secret", cfg.Warnings(), err)
	}
}

func TestEffectiveShowsValueAndSourceButNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := with("COOLDOWN_SECONDS", "60", "GITHUB_READ_TOKEN_FILE", file, "NATS_URL", "nats://u:"+canary+"@n:4222")
	maps.DeleteFunc(environ, func(name, _ string) bool { return name == "GITHUB_READ_TOKEN" })
	cfg, err := config.Load(config.Runner, environ)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]config.Item)
	for _, item := range config.Effective(cfg) {
		if strings.Contains(item.Value, canary) {
			t.Errorf("%s shows a secret", item.Name)
		}
		got[item.Name] = item
	}
	for _, want := range []config.Item{
		{Name: "COOLDOWN_SECONDS", Value: "60", Source: config.FromEnvironment},
		{Name: "MAX_BACKOFF_SECONDS", Value: "600", Source: config.FromDefault},
		{Name: "GITHUB_READ_TOKEN", Value: "[hidden]", Source: config.FromFile},
		{Name: "DATABASE_URL", Value: "[hidden]", Source: config.FromEnvironment},
		{Name: "NATS_URL", Value: "nats://[hidden]@n:4222", Source: config.FromEnvironment},
		{Name: "NATS_CREDS_FILE", Source: config.NotSet},
	} {
		if diff := cmp.Diff(want, got[want.Name]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if _, ok := got["GITHUB_WRITE_TOKEN"]; ok {
		t.Error("the runner lists the write token")
	}
}

func TestPlainTokensNeedTLSOrATrustedProxy(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		environ    map[string]string
	}{
		{"a token alone", "JENKINS_WEBHOOK_TOKENS holds tokens that anybody on the way could read", with("JENKINS_WEBHOOK_TOKENS", canary)},
		{"a token for one repository", "WEBHOOK_SCOPED_TOKENS holds tokens", with("WEBHOOK_SCOPED_TOKENS", "jenkins/acme/api="+canary)},
		{"a certificate without its key", "WEBHOOK_TLS_CERT_FILE and WEBHOOK_TLS_KEY_FILE are not both set", with("WEBHOOK_TLS_CERT_FILE", "/c")},
		{"a proxy that is no address", "WEBHOOK_TRUSTED_PROXIES is", with("JENKINS_WEBHOOK_TOKENS", canary, "WEBHOOK_TRUSTED_PROXIES", "the proxy")},
		{"a scope without a secret", "WEBHOOK_SCOPED_SECRETS is set to something else: want provider/owner=secret", with("WEBHOOK_SCOPED_SECRETS", "github/acme/api")},
		{"a scope of a provider that does not exist", "WEBHOOK_SCOPED_SECRETS is set to something else", with("WEBHOOK_SCOPED_SECRETS", "gihub/acme="+canary)},
		{"a token behind a proxy", "", with("JENKINS_WEBHOOK_TOKENS", canary, "WEBHOOK_TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.7")},
		{"a token over our own TLS", "", with("GITLAB_WEBHOOK_TOKENS", canary, "WEBHOOK_TLS_CERT_FILE", "/c", "WEBHOOK_TLS_KEY_FILE", "/k")},
		{"a provider that signs", "", with("GITHUB_WEBHOOK_SECRETS", "", "GITLAB_WEBHOOK_SECRETS", canary)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load(config.Ingest, tt.environ)
			switch {
			case tt.says == "" && err != nil:
				t.Error(err)
			case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("%v, want %q", err, tt.says)
			case err != nil && strings.Contains(err.Error(), canary):
				t.Errorf("the secret is shown: %v", err)
			}
		})
	}
}

func TestAScopedSecretIsKnownWithoutItsScope(t *testing.T) {
	cfg, err := config.Load(config.Ingest, with("WEBHOOK_SCOPED_SECRETS", "github/acme/api=scoped-"+canary))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(cfg.KnownSecrets(), "scoped-"+canary) {
		t.Error("the secret would not be redacted")
	}
}

func TestSplitScopedRefusesWithoutTheSecret(t *testing.T) {
	for _, entry := range []string{"s3cret", "github=s3cret", "github/=s3cret", "/acme=s3cret", "github//shop=s3cret", "github/acme=", "", "github/acme/=s3cret"} {
		_, _, err := config.SplitScoped(entry)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("SplitScoped(%q) = %v, want an error without the secret", entry, err)
		}
	}
	scope, secret, err := config.SplitScoped("GitHub/Acme/Shop=a=b/c")
	if scope != "github/acme/shop" || secret != "a=b/c" || err != nil {
		t.Errorf("SplitScoped = %q, %q, %v; want all after the first = as the secret", scope, secret, err)
	}
}
