package config

import (
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Item is one line of the effective configuration.
type Item struct {
	Name string `json:"name"`
	// Value is "[hidden]" for a secret, and empty when there is none.
	Value string `json:"value"`
	// Source is FromEnvironment, FromFile, FromDefault or NotSet.
	Source string `json:"source"`
}

// Effective lists what the program of this configuration works with, secrets hidden.
func Effective(c *Config) []Item {
	var items []Item
	for _, v := range Describe() {
		if source, ok := c.sources[v.Name]; ok {
			items = append(items, Item{Name: v.Name, Value: c.text(v), Source: source})
		}
	}
	return items
}

// KnownSecrets reveals every secret of this configuration, the passwords inside of its URLs one by one, and what the NATS
// credentials file holds, for the redactor that keeps them out of logs and pull requests.
func (c *Config) KnownSecrets() []string {
	var known []string
	add := func(s string) {
		if s != "" {
			known = append(known, s)
		}
	}
	root := reflect.ValueOf(c).Elem()
	for _, v := range Describe() {
		var texts []string
		switch x := root.FieldByIndex(v.index).Interface().(type) {
		case Secret:
			texts = []string{x.Reveal()}
		case SecretList:
			for _, s := range x {
				texts = append(texts, s.Reveal())
			}
		case string:
			if len(v.schemes) > 0 {
				for _, part := range split(x) {
					addPassword(part, add)
				}
			}
		}
		for _, text := range texts {
			if v.check == "scoped" {
				_, text, _ = strings.Cut(text, "=")
			}
			add(text)
			addPassword(text, add)
		}
	}
	for _, text := range credentialWords(c.NATSCredsFile) {
		add(text)
	}
	return known
}

// credentialWords are the token and the key of a NATS credentials file: its long words. A file that can't be read
// has none here; the connection to NATS says why.
func credentialWords(path string) []string {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Fields(string(data)), func(word string) bool { return len(word) < 32 || strings.ContainsAny(word[:1], "-*") })
}

// addPassword adds the password of a URL, as it is and as it is escaped; for a user without a password, as NATS has
// tokens, the user.
func addPassword(text string, add func(string)) {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return
	}
	secret, ok := u.User.Password()
	if !ok {
		if u.Scheme != "nats" && u.Scheme != "tls" {
			return
		}
		secret = u.User.Username()
	}
	add(secret)
	if escaped := url.QueryEscape(secret); escaped != secret {
		add(escaped)
	}
}
