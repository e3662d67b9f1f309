// Package redact takes secrets out of text before it is stored, logged or shown.
//
// It promises that no secret it was given leaves in any of the encodings that it knows (plain, base64 in its two
// alphabets and three alignments, URL, hexadecimal, JSON), that common tokens go too even when nobody named them,
// and that the time is linear in the text. It never lengthens a text by much, and never fails.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"sort"
	"strings"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// minSecret is the shortest known value that is looked for: a shorter one would tear holes into ordinary words.
const minSecret = 6

// Redactor replaces secrets. It is safe for concurrent use; a nil Redactor knows only the patterns.
type Redactor struct {
	known *strings.Replacer
}

// New makes a redactor for the known secrets; those shorter than six characters are left alone.
func New(known []string) *Redactor {
	seen := map[string]bool{}
	for _, secret := range known {
		for _, part := range parts(secret) {
			for _, form := range Forms(part) {
				seen[form] = true
			}
		}
	}
	all := make([]string, 0, len(seen))
	for form := range seen {
		all = append(all, form)
	}
	// At one place the replacer takes the first that fits, so the longest goes first.
	sort.Slice(all, func(i, j int) bool {
		if len(all[i]) != len(all[j]) {
			return len(all[i]) > len(all[j])
		}
		return all[i] < all[j]
	})
	pairs := make([]string, 0, 2*len(all))
	for _, form := range all {
		pairs = append(pairs, form, Mark)
	}
	return &Redactor{known: strings.NewReplacer(pairs...)}
}

// String returns s without secrets.
func (r *Redactor) String(s string) string {
	if r != nil && r.known != nil {
		s = r.known.Replace(s)
	}
	for _, p := range patterns {
		s = p.re.ReplaceAllString(s, p.with)
	}
	return s
}

// parts are the secret itself and, for one of many lines such as a private key, each of its longer lines: a log
// prints them one by one, each behind a timestamp.
func parts(secret string) []string {
	secret = strings.TrimSpace(secret)
	if len(secret) < minSecret {
		return nil
	}
	out := []string{secret}
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, line := range lines {
			line = strings.TrimSpace(line)
			if len(line) >= 2*minSecret && !strings.HasPrefix(line, "-----") {
				out = append(out, line)
			}
		}
	}
	return out
}

// Forms are the encodings of a secret that are looked for, the secret itself among them.
func Forms(secret string) []string {
	out := []string{
		secret,
		url.QueryEscape(secret), url.PathEscape(secret), lowerEscapes(url.QueryEscape(secret)), lowerEscapes(url.PathEscape(secret)),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	out = append(out, jsonForms(secret)...)
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			out = append(out, aligned(enc, secret, shift))
		}
	}
	return out
}

// aligned is the part of the secret's base64 that doesn't depend on what stands around it, when shift bytes
// stand before it in its group of three.
func aligned(enc *base64.Encoding, secret string, shift int) string {
	whole := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
	start := (shift*8 + 5) / 6
	end := (shift + len(secret)) * 8 / 6
	return whole[start:end]
}

func jsonForms(secret string) []string {
	var out []string
	for _, escapeHTML := range []bool{true, false} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		if enc.Encode(secret) != nil {
			continue
		}
		once := strings.Trim(strings.TrimSpace(b.String()), `"`)
		out = append(out, once, strings.ReplaceAll(once, "/", `\/`))
	}
	return out
}

var escape = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerEscapes(s string) string { return escape.ReplaceAllStringFunc(s, strings.ToLower) }

type pattern struct {
	re   *regexp.Regexp
	with string
}

// patterns are the shapes of common tokens, from the issuers' own documents.
var patterns = []pattern{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)`), Mark},
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token|digest)\s+)?)[^\s"',;]{6,}`), "${1}" + Mark},
	{regexp.MustCompile(`(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}`), "${1}" + Mark},
	{regexp.MustCompile(`(?i)\b((?:private-token|job-token|x-api-key|x-auth-token|set-cookie|cookie)["']?\s*[:=]\s*["']?)[^\s"',;]{6,}`), "${1}" + Mark},
	{regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]{0,30}://)[^\s/@:"']*:[^\s/"']+@`), "${1}" + Mark + "@"},
	{regexp.MustCompile(`(?i)\b(https?://)[^\s/@:"']{16,}@`), "${1}" + Mark + "@"},
	{regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9_.-]{16,}`), Mark},
	{regexp.MustCompile(`\bgithub_pat_[A-Za-z0-9_]{16,}`), Mark},
	{regexp.MustCompile(`\bgl(?:pat|rt|dt|cbt|ptt|soat|ft|agent|oas|ffct|imt)-[A-Za-z0-9_.-]{16,}`), Mark},
	{regexp.MustCompile(`\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b`), Mark},
	{regexp.MustCompile(`\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}`), Mark},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*`), Mark},
	{regexp.MustCompile(`\bnpm_[A-Za-z0-9]{30,}`), Mark},
	{regexp.MustCompile(`\bpypi-[A-Za-z0-9_-]{30,}`), Mark},
	{regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{35}`), Mark},
	{regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{20,}`), Mark},
	{regexp.MustCompile(`\b(?:hvs|hvb|s)\.[A-Za-z0-9_-]{24,}`), Mark},
	{regexp.MustCompile(`\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`), Mark},
	{regexp.MustCompile(`\bdo[opr]_v1_[a-f0-9]{32,}`), Mark},
}
