package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// shortSecret is the length below which a webhook secret is worth a warning.
const shortSecret = 16

// warn collects what is odd but no reason to refuse the start.
func (l *loader) warn(vars []Variable) {
	c := l.cfg
	c.warnings = append(c.warnings, misspelt(vars, l.environ)...)
	if c.program != Operator {
		for _, v := range vars {
			if v.Secret && !v.readBy(c.program) && (l.environ[v.Name] != "" || l.environ[v.Name+"_FILE"] != "") {
				c.warnings = append(c.warnings, v.Name+" is set, but "+string(c.program)+" has no use for it: take it out of this program's environment")
			}
		}
	}
	for _, k := range c.WebhookKeys() {
		c.warnShort(WebhookPrefix(k.Provider)+"_WEBHOOK_SECRETS", k.Secrets)
		c.warnShort(WebhookPrefix(k.Provider)+"_WEBHOOK_TOKENS", k.Tokens)
	}
	addresses := map[string]string{"GITHUB_API_URL": c.GitHubAPIURL, "GITHUB_GIT_URL": c.GitHubGitURL, "GITLAB_API_URL": c.GitLabAPIURL}
	maps.Copy(addresses, c.readAddresses())
	for name, address := range addresses {
		if u, err := url.Parse(address); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			c.warnings = append(c.warnings, name+" is plain http: the tokens travel in clear text")
		}
	}
	slices.Sort(c.warnings)
}

func (c *Config) warnShort(variable string, secrets SecretList) {
	for i, s := range secrets {
		if len(s.Reveal()) < shortSecret {
			c.warnings = append(c.warnings, fmt.Sprintf("%s: secret %d is shorter than %d characters: it can be guessed; `openssl rand -hex 32` makes a good one", variable, i+1, shortSecret))
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// misspelt finds variables that are probably meant for us: those that begin with SRE_AGENT_, and those that are
// within two letters of one of ours.
func misspelt(vars []Variable, environ map[string]string) []string {
	known := make(map[string]bool)
	for _, v := range vars {
		known[v.Name] = true
		if v.Secret {
			known[v.Name+"_FILE"] = true
		}
	}
	var out []string
	for name := range environ {
		if known[name] {
			continue
		}
		bare, ours := strings.CutPrefix(name, "SRE_AGENT_")
		guess := nearest(bare, known)
		switch {
		case guess != "":
			out = append(out, fmt.Sprintf("unknown variable %s: is %s meant?", clip(name), guess))
		case ours:
			out = append(out, fmt.Sprintf("unknown variable %s", clip(name)))
		}
	}
	return out
}

func nearest(name string, known map[string]bool) string {
	best, bestDistance := "", 3
	if len(name) < 8 || len(name) > 64 {
		return ""
	}
	for candidate := range known {
		if len(candidate) < 8 {
			continue
		}
		if d := distance(name, candidate); d < bestDistance || d == bestDistance && d < 3 && candidate < best {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is Levenshtein's: how many letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
