package model

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"strings"
)

// guard finds known secrets in what is about to be sent. Redaction has taken them out already; this is a second look by
// other code, for what redaction missed.
type guard struct{ forms []string }

const (
	// minSecret is the shortest value that is looked for.
	minSecret = 8
	// minPrefix is how much of a secret is looked for when the rest of it may have been cut off.
	minPrefix = 12
)

func newGuard(known []string) *guard {
	g := &guard{}
	seen := map[string]bool{}
	for _, secret := range known {
		secret = strings.TrimSpace(secret)
		if len(secret) < minSecret {
			continue
		}
		candidates := []string{secret}
		// The beginning of a URL is no secret, and its password is a known value of its own.
		if half := len(secret) / 2; half >= minPrefix && !strings.Contains(secret, "://") && !strings.HasPrefix(secret, "-----") {
			candidates = append(candidates, secret[:half])
		}
		for _, line := range strings.Split(secret, "\n") {
			if line = strings.TrimSpace(line); len(line) >= 2*minSecret && !strings.HasPrefix(line, "-----") {
				candidates = append(candidates, line)
			}
		}
		for _, c := range candidates {
			for _, form := range encodings(c) {
				if !seen[form] {
					seen[form] = true
					g.forms = append(g.forms, form)
				}
			}
		}
	}
	return g
}

// holds says whether a text holds a known secret in any of the encodings.
func (g *guard) holds(text string) bool {
	for _, form := range g.forms {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// encodings are the eight ways that a secret is looked for: plain, base64 in both alphabets, hexadecimal in both cases,
// URL, JSON and HTML.
func encodings(secret string) []string {
	inJSON, _ := json.Marshal(secret) // a string always encodes
	out := []string{
		secret,
		hex.EncodeToString([]byte(secret)),
		strings.ToUpper(hex.EncodeToString([]byte(secret))),
		url.QueryEscape(secret),
		strings.Trim(string(inJSON), `"`),
		html.EscapeString(secret),
	}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			out = append(out, inner64(alphabet, secret, before))
		}
	}
	return out
}

// inner64 is the part of a secret's base64 that is the same whatever stands around it, with so many bytes before it in
// its group of three.
func inner64(alphabet *base64.Encoding, secret string, before int) string {
	bits := before * 8
	first, last := (bits+5)/6, (bits+8*len(secret))/6
	return alphabet.EncodeToString(append(make([]byte, before), secret...))[first:last]
}
