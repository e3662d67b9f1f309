package config

import (
	"bytes"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// checkWords says what each named check wants; checks holds the checks themselves.
var checkWords = map[string]string{
	"address":     "host:port or :port",
	"smtp":        "host:port",
	"paths":       "absolute paths, separated by commas",
	"goproxy":     "http or https URLs, separated by commas, or off",
	"egress":      "name, name:port or http://name:port, separated by commas",
	"email":       "an e-mail address",
	"scoped":      "provider/owner=secret or provider/owner/name=secret, separated by commas or line ends",
	"networks":    "addresses or networks in CIDR form, separated by commas",
	"githubhooks": "repo:owner/name:id, org:name:id or app, separated by commas",
	"gitlabhooks": "project:path:id or group:path:id, separated by commas",
	"appid":       "letters, digits and points",
	"pem":         "an RSA private key in PEM form, of several lines",
	"scanners":    "osv-scanner, trivy or syft, or absolute paths of them, separated by commas",
	"model":       "a model's name: letters, digits and . _ : / @ + -",
	"prices":      "model=input/output with prices per million tokens, separated by commas",
	"hosts":       "host names in small letters, each with a port if it is not 443, separated by commas",
	"header":      "a header's name, and the word before the value if there is one",
	"person":      "a name of at most 100 characters without line ends and < >",
}

var checks = map[string]func(string) bool{
	"address": isAddress,
	"smtp": func(s string) bool {
		host, port, err := net.SplitHostPort(s)
		return err == nil && host != "" && port != ""
	},
	"paths": func(s string) bool {
		return !slices.ContainsFunc(split(s), func(p string) bool { return !filepath.IsAbs(p) })
	},
	"scanners": func(s string) bool {
		return !slices.ContainsFunc(split(s), func(p string) bool {
			name := filepath.Base(p)
			return name != p && !filepath.IsAbs(p) || !slices.Contains([]string{"osv-scanner", "trivy", "syft"}, name)
		})
	},
	"goproxy": func(s string) bool { return s == "off" || allURLs(split(s), []string{"http", "https"}) },
	"egress": func(s string) bool {
		return !slices.ContainsFunc(split(s), func(h string) bool { return !hostPort.MatchString(h) })
	},
	"email":       isEmail,
	"scoped":      func(s string) bool { return isScoped(split(s)) },
	"networks":    func(s string) bool { _, err := ParseNetworks(split(s)); return err == nil },
	"githubhooks": func(s string) bool { _, err := ParseGitHubHooks(split(s)); return err == nil },
	"gitlabhooks": func(s string) bool { _, err := ParseGitLabHooks(split(s)); return err == nil },
	"appid":       func(s string) bool { return len(s) <= 100 && regexp.MustCompile(`^[A-Za-z0-9.]+$`).MatchString(s) },
	"pem":         func(s string) bool { _, err := ParseAppKey(s); return err == nil },
	"model":       modelName.MatchString,
	"prices":      func(s string) bool { _, err := ParseModelPrices(split(s)); return err == nil },
	"hosts": func(s string) bool {
		return !slices.ContainsFunc(split(s), func(h string) bool { return !hostName.MatchString(h) })
	},
	"header": headerName.MatchString,
	"person": func(s string) bool { return len(s) <= 100 && !strings.ContainsAny(s, "<>\r\n\x00") },
}

var hostPort = regexp.MustCompile(`^(?i)(http://)?([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?$`)

// checkVariable holds one variable, already parsed, to its tags.
func (l *loader) checkVariable(v Variable) {
	value := reflect.ValueOf(l.cfg).Elem().FieldByIndex(v.index)
	if number := value.Kind() == reflect.Int || value.Kind() == reflect.Int64; number {
		if low, high := v.bounds(); value.Int() < low || value.Int() > high {
			l.problem(v, "is "+strconv.FormatInt(value.Int(), 10), v.Allowed())
		}
		return
	}
	text := plain(value)
	if text == "" {
		if v.requiredBy(l.cfg.program) {
			l.problem(v, "is not set", v.Allowed()+fileHint(v))
		}
		return
	}
	if !v.accepts(text) {
		l.problem(v, given(v, text), v.Allowed())
	}
}

// plain is a field's value as text, secrets revealed: for checks only.
func plain(value reflect.Value) string {
	switch x := value.Interface().(type) {
	case Secret:
		return x.Reveal()
	case SecretList:
		return string(bytes.Join(x.Bytes(), []byte(",")))
	case List:
		return strings.Join(x, ",")
	default:
		return fmt.Sprint(x)
	}
}

func fileHint(v Variable) string {
	if !v.Secret {
		return ""
	}
	return ", or the name of a file that holds it in " + v.Name + "_FILE"
}

func (v Variable) accepts(text string) bool {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && (v.check != "pem" || r != '\n' && r != '\r') }):
		return false
	case len(v.allowed) > 0:
		return slices.Contains(v.allowed, text)
	case len(v.schemes) > 0 && v.list:
		return allURLs(split(text), v.schemes)
	case len(v.schemes) > 0:
		return allURLs([]string{text}, v.schemes)
	case v.check != "":
		return checks[v.check](text)
	default:
		return true
	}
}

// checkTogether holds variables to each other.
func (l *loader) checkTogether() {
	c := l.cfg
	l.checkWebhooks()
	l.checkModel()
	l.checkReading()
	l.checkPublishing()
	l.checkPlainGit()
	l.atMost("FORGE_WRITES_PER_MINUTE", c.ForgeWritesPerMinute, "FORGE_WRITES_PER_HOUR", c.ForgeWritesPerHour)
	l.atMost("BASE_BACKOFF_SECONDS", c.BaseBackoffSeconds, "MAX_BACKOFF_SECONDS", c.MaxBackoffSeconds)
	l.atMost("WATCH_MIN_SECONDS", c.WatchMinSeconds, "WATCH_MAX_SECONDS", c.WatchMaxSeconds)
	l.atMost("LEASE_TTL_SECONDS", c.LeaseTTLSeconds, "REPO_PIPELINE_CONCURRENCY_TTL_SECONDS", c.ConcurrencyTTLSeconds)
	if c.NATSReplicas%2 == 0 && !l.bad["NATS_REPLICAS"] {
		l.together("NATS_REPLICAS", c.NATSReplicas, "an odd number, 1, 3 or 5")
	}
	l.bothOrNone("NATS_USER", c.NATSUser != "", "NATS_PASSWORD", c.NATSPassword.IsSet())
	l.bothOrNone("NATS_CERT_FILE", c.NATSCertFile != "", "NATS_KEY_FILE", c.NATSKeyFile != "")
}

// bothOrNone wants two variables that are of no use alone.
func (l *loader) bothOrNone(one string, hasOne bool, other string, hasOther bool) {
	if hasOther && !hasOne {
		one, other = other, one
	}
	if hasOne != hasOther && !l.bad[one] && !l.bad[other] {
		l.problems = append(l.problems, Problem{Variable: other, Given: "is not set", Want: "it, as " + one + " is set"})
	}
}

func (l *loader) atMost(small string, a int, large string, b int) {
	// A program that does not read a variable has its default, which must not get in the way.
	if _, reads := l.cfg.sources[small]; !reads || l.bad[small] || l.bad[large] || a <= b {
		return
	}
	l.together(small, a, fmt.Sprintf("at most %s, which is %d", large, b))
}

func (l *loader) together(name string, value int, want string) {
	l.wrong(name, "is "+strconv.Itoa(value), want)
}

// wrong adds what is wrong with a variable beside others, once, and not when it is wrong by itself already.
func (l *loader) wrong(variable, given, want string) {
	if !l.bad[variable] {
		l.problems = append(l.problems, Problem{Variable: variable, Given: given, Want: want})
		l.bad[variable] = true
	}
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= 65535
}

func isEmail(s string) bool {
	address, err := mail.ParseAddress(s)
	return err == nil && address.Address == s
}

// allURLs wants each text to be a URL with one of the schemes and, unless that is about sockets, a host.
func allURLs(texts, schemes []string) bool {
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil || !slices.Contains(schemes, u.Scheme) {
			return false
		}
		if web := u.Scheme == "http" || u.Scheme == "https"; web && (u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
			return false
		}
	}
	return len(texts) > 0
}

var credentials = regexp.MustCompile(`//[^\s,]*@`)

// maskCredentials hides the user part of any URL in a text.
func maskCredentials(s string) string { return credentials.ReplaceAllString(s, "//"+hidden+"@") }
