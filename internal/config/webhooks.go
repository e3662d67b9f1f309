package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Webhooks are the keys of every provider, and how requests reach us. A provider without a key is off.
type Webhooks struct {
	GitHubWebhookSecrets    SecretList `env:"GITHUB_WEBHOOK_SECRETS" for:"ingest,all" example:"the-new-secret,the-old-secret" desc:"Secrets of GitHub's webhook, separated by commas or line ends; each of them is accepted, so that one can be replaced without a gap. So it is with all lists of secrets and tokens below. A provider that has none is off; ingest needs at least one."`
	GitLabWebhookSecrets    SecretList `env:"GITLAB_WEBHOOK_SECRETS" for:"ingest,all" example:"whsec_..." desc:"Signing tokens of GitLab's webhooks."`
	GitLabWebhookTokens     SecretList `env:"GITLAB_WEBHOOK_TOKENS" for:"ingest,all" example:"the-token" desc:"Secret tokens of GitLab's webhooks (X-Gitlab-Token). They travel with each request: TLS is needed."`
	CircleCIWebhookSecrets  SecretList `env:"CIRCLECI_WEBHOOK_SECRETS" for:"ingest,all" example:"the-secret" desc:"Secrets of CircleCI's webhooks."`
	JenkinsWebhookTokens    SecretList `env:"JENKINS_WEBHOOK_TOKENS" for:"ingest,all" example:"the-token" desc:"Tokens in the address that Jenkins' notification plugin calls (?token=...). They travel with each request: TLS is needed."`
	AzureWebhookTokens      SecretList `env:"AZURE_DEVOPS_WEBHOOK_TOKENS" for:"ingest,all" example:"sre-agent:the-password" desc:"User and password, with a colon between them, of Azure DevOps' service hooks. They travel with each request: TLS is needed."`
	BuildkiteWebhookSecrets SecretList `env:"BUILDKITE_WEBHOOK_SECRETS" for:"ingest,all" example:"the-token" desc:"Tokens of Buildkite's webhooks that are set to send an HMAC signature."`
	BuildkiteWebhookTokens  SecretList `env:"BUILDKITE_WEBHOOK_TOKENS" for:"ingest,all" example:"the-token" desc:"Tokens of Buildkite's webhooks that are set to send the token itself. They travel with each request: TLS is needed."`
	GiteaWebhookSecrets     SecretList `env:"GITEA_WEBHOOK_SECRETS" for:"ingest,all" example:"the-secret" desc:"Secrets of Gitea's webhooks."`
	ForgejoWebhookSecrets   SecretList `env:"FORGEJO_WEBHOOK_SECRETS" for:"ingest,all" example:"the-secret" desc:"Secrets of Forgejo's webhooks."`
	BitbucketWebhookSecrets SecretList `env:"BITBUCKET_WEBHOOK_SECRETS" for:"ingest,all" example:"the-secret" desc:"Secrets of Bitbucket Cloud's webhooks."`
	GenericWebhookSecrets   SecretList `env:"GENERIC_WEBHOOK_SECRETS" for:"ingest,all" example:"whsec_..." desc:"Secrets of the generic endpoint, which follows Standard Webhooks."`
	ScopedWebhookSecrets    SecretList `env:"WEBHOOK_SCOPED_SECRETS" for:"ingest,all" check:"scoped" example:"github/acme/api=the-secret,gitlab/acme=another" desc:"Secrets for one owner or one repository alone, as provider/owner=secret or provider/owner/name=secret. Such a secret never works for another repository; the provider's own secrets still work for all."`
	ScopedWebhookTokens     SecretList `env:"WEBHOOK_SCOPED_TOKENS" for:"ingest,all" check:"scoped" example:"jenkins/acme/api=the-token" desc:"The same for tokens, which travel with each request."`

	WebhookTLSCertFile string `env:"WEBHOOK_TLS_CERT_FILE" for:"ingest,all" example:"/run/secrets/tls.crt" desc:"Certificate, PEM, with which the listener speaks TLS itself. Needs WEBHOOK_TLS_KEY_FILE."`
	WebhookTLSKeyFile  string `env:"WEBHOOK_TLS_KEY_FILE" for:"ingest,all" example:"/run/secrets/tls.key" desc:"The certificate's private key, PEM."`
	TrustedProxies     List   `env:"WEBHOOK_TRUSTED_PROXIES" for:"ingest,all" check:"networks" example:"10.0.0.0/8,192.0.2.7" desc:"Addresses or networks of the proxies that speak TLS to the senders. Their X-Forwarded-For is believed, nobody else's. Providers with plain tokens start only with this or with a certificate of our own."`
	AllowedAddresses   List   `env:"WEBHOOK_ALLOWED_ADDRESSES" for:"ingest,all" check:"networks" example:"192.30.252.0/22,185.199.108.0/22" desc:"Networks that may send webhooks; anybody may when it is empty. The signature is checked all the same."`

	GitHubHooks         List   `env:"GITHUB_HOOKS" for:"throttle,all,operator" check:"githubhooks" example:"repo:acme/shop:123,org:acme:45,app" desc:"GitHub's webhooks whose failed deliveries are asked for again, after the start and each hour: repo:owner/name:id, org:name:id, or app for the webhook of GITHUB_APP_ID. The id ends the address of the webhook's settings. Off when empty."`
	GitHubHookToken     Secret `env:"GITHUB_HOOK_TOKEN" for:"throttle,all,operator" example:"github_pat_..." desc:"Token that lists and redelivers the deliveries of the repositories and organisations of GITHUB_HOOKS: permission Webhooks, read and write. It is for nothing else."`
	GitHubAppID         string `env:"GITHUB_APP_ID" for:"throttle,publisher,all,operator" check:"appid" example:"123456" desc:"App ID or client ID of the GitHub App that opens pull requests when there is no GITHUB_WRITE_TOKEN, and whose webhook is app in GITHUB_HOOKS."`
	GitHubAppPrivateKey Secret `env:"GITHUB_APP_PRIVATE_KEY" for:"throttle,publisher,all,operator" check:"pem" example:"-----BEGIN RSA PRIVATE KEY-----..." desc:"The App's private key. The publisher gets itself a token of an hour for each repository with it, the throttle asks about the App's own webhook. Whoever has it can do all that the App may: for GITHUB_HOOKS alone, give the throttle an App of its own."`
	GitLabHooks         List   `env:"GITLAB_HOOKS" for:"throttle,all,operator" check:"gitlabhooks" example:"project:acme/shop:7,group:acme:5" desc:"The same for GitLab's webhooks: project:path:id or group:path:id; the path may be the number of the project or group. Off when empty."`
	GitLabHookToken     Secret `env:"GITLAB_HOOK_TOKEN" for:"throttle,all,operator" example:"glpat-..." desc:"Token that lists and resends the events of GITLAB_HOOKS: scope api, of a Maintainer of the project or an Owner of the group."`
	GitLabAPIURL        string `env:"GITLAB_API_URL" envDefault:"https://gitlab.com/api/v4" for:"throttle,runner,publisher,all,operator" url:"https,http" desc:"Base of GitLab's REST API. GITLAB_HOOK_TOKEN, GITLAB_READ_TOKEN and GITLAB_WRITE_TOKEN are sent here."`
}

// WebhookKeys are one provider's secrets, which sign, and tokens, which travel.
type WebhookKeys struct {
	Provider        string
	Secrets, Tokens SecretList
}

// WebhookKeys lists the keys of all providers.
func (w Webhooks) WebhookKeys() []WebhookKeys {
	return []WebhookKeys{
		{"github", w.GitHubWebhookSecrets, nil},
		{"gitlab", w.GitLabWebhookSecrets, w.GitLabWebhookTokens},
		{"circleci", w.CircleCIWebhookSecrets, nil},
		{"jenkins", nil, w.JenkinsWebhookTokens},
		{"azure-devops", nil, w.AzureWebhookTokens},
		{"buildkite", w.BuildkiteWebhookSecrets, w.BuildkiteWebhookTokens},
		{"gitea", w.GiteaWebhookSecrets, nil},
		{"forgejo", w.ForgejoWebhookSecrets, nil},
		{"bitbucket", w.BitbucketWebhookSecrets, nil},
		{"generic", w.GenericWebhookSecrets, nil},
	}
}

// WebhookPrefix begins the names of a provider's variables.
func WebhookPrefix(provider string) string {
	return strings.ToUpper(strings.ReplaceAll(provider, "-", "_"))
}

// plainTokens names the variables that hold keys which travel with each request.
func (w Webhooks) plainTokens() []string {
	var names []string
	for _, k := range w.WebhookKeys() {
		if len(k.Tokens) > 0 {
			names = append(names, WebhookPrefix(k.Provider)+"_WEBHOOK_TOKENS")
		}
	}
	if len(w.ScopedWebhookTokens) > 0 {
		names = append(names, "WEBHOOK_SCOPED_TOKENS")
	}
	return names
}

func (w Webhooks) anyKey() bool {
	return len(w.ScopedWebhookSecrets) > 0 || len(w.ScopedWebhookTokens) > 0 ||
		slices.ContainsFunc(w.WebhookKeys(), func(k WebhookKeys) bool { return len(k.Secrets) > 0 || len(k.Tokens) > 0 })
}

// checkWebhooks holds the webhooks' variables to each other.
func (l *loader) checkWebhooks() {
	c := l.cfg
	l.checkHooks()
	if _, reads := c.sources["GITHUB_WEBHOOK_SECRETS"]; !reads || c.program == Operator {
		return
	}
	if !c.anyKey() && !l.bad["GITHUB_WEBHOOK_SECRETS"] {
		l.problems = append(l.problems, Problem{
			Variable: "GITHUB_WEBHOOK_SECRETS", Given: "is not set, nor is a secret or token of any other provider",
			Want: "at least one secret, separated by commas or line ends, or the name of a file that holds it in GITHUB_WEBHOOK_SECRETS_FILE", Example: "the-new-secret,the-old-secret",
		})
	}
	if (c.WebhookTLSCertFile == "") != (c.WebhookTLSKeyFile == "") {
		l.problems = append(l.problems, Problem{Variable: "WEBHOOK_TLS_CERT_FILE", Given: "and WEBHOOK_TLS_KEY_FILE are not both set", Want: "both or neither"})
	}
	if plain := c.plainTokens(); len(plain) > 0 && c.WebhookTLSCertFile == "" && len(c.TrustedProxies) == 0 {
		l.problems = append(l.problems, Problem{
			Variable: plain[0], Given: "holds tokens that anybody on the way could read",
			Want: "WEBHOOK_TLS_CERT_FILE and WEBHOOK_TLS_KEY_FILE, or the proxies that speak TLS in WEBHOOK_TRUSTED_PROXIES",
		})
	}
}

// isScoped wants each entry to be provider/owner[/name]=secret, of a provider that there is.
func isScoped(entries []string) bool {
	known := Webhooks{}.WebhookKeys()
	return !slices.ContainsFunc(entries, func(e string) bool {
		scope, _, err := SplitScoped(e)
		provider, _, _ := strings.Cut(scope, "/")
		return err != nil || !slices.ContainsFunc(known, func(k WebhookKeys) bool { return k.Provider == provider })
	})
}

// SplitScoped splits "provider/owner[/name]=secret"; the scope comes in lower case. The error never holds the secret.
func SplitScoped(entry string) (scope, secret string, err error) {
	scope, secret, ok := strings.Cut(entry, "=")
	parts := strings.Split(scope, "/")
	if !ok || secret == "" || len(parts) < 2 || slices.Contains(parts, "") {
		return "", "", errors.New("want provider/owner=secret or provider/owner/name=secret")
	}
	return strings.ToLower(scope), secret, nil
}

// ParseNetworks reads addresses and networks; an address is a network of one.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address, aerr := netip.ParseAddr(text)
			if aerr != nil {
				return nil, err
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}
