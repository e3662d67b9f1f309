// Package scan finds secrets in what a patch adds.
//
// It promises that a finding never holds the secret itself, that nothing in the patch can switch the scan off (no
// ignore file, no inline comment, no file name), that a secret which the patch merely moves is not held against
// it, and that nothing is printed. A Scanner is safe for concurrent use.
package scan

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// The rules of our own; all others are gitleaks's.
const (
	RuleKnown         = "known-secret"
	RuleURLCredential = "url-credential" //nolint:gosec // the name of a rule, not a credential
)

// ReasonFound is the reason of a run that a finding ends. A finding is definitive: there is no retry.
const ReasonFound = "secret_found"

// genericRule guesses by entropy; in files of hashes it is wrong all the time.
const genericRule = "generic-api-key"

// Finding says which rule an added line breaks. It never holds the secret or the line.
type Finding struct {
	Rule string `json:"rule"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// Scanner holds the compiled rules: make one and share it.
type Scanner struct {
	rules config.Config
	quiet []*config.Allowlist
	// known are the exact values, in every form.
	known []string
}

// New compiles gitleaks's default rules. Known are exact values that must never leave in any common encoding, such as
// the agent's own tokens; those shorter than six characters are left alone.
func New(known ...string) (*Scanner, error) {
	// Its own viper: gitleaks's constructor reads and writes the global one, so two of them race.
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		return nil, fmt.Errorf("scan: read gitleaks's rules: %w", err)
	}
	var vc config.ViperConfig
	if err := v.Unmarshal(&vc); err != nil {
		return nil, fmt.Errorf("scan: decode gitleaks's rules: %w", err)
	}
	rules, err := vc.Translate()
	if err != nil {
		return nil, fmt.Errorf("scan: compile gitleaks's rules: %w", err)
	}
	s := &Scanner{rules: rules}
	if err := s.openPaths(); err != nil {
		return nil, err
	}
	for _, k := range known {
		if k = strings.TrimSpace(k); len(k) >= minKnown {
			s.known = append(s.known, forms(k)...)
		}
	}
	return s, nil
}

// openPaths makes the rules look into every file. By default gitleaks passes over lock files, images and vendored
// code by name, and a hostile patch chooses its file names. Only the entropy rule stays out of those.
func (s *Scanner) openPaths() error {
	for _, a := range s.rules.Allowlists {
		s.quiet = append(s.quiet, &config.Allowlist{Paths: a.Paths})
	}
	var err error
	if s.rules.Allowlists, err = withoutPaths(s.rules.Allowlists); err != nil {
		return err
	}
	for id, rule := range s.rules.Rules {
		if rule.Allowlists, err = withoutPaths(rule.Allowlists); err != nil {
			return err
		}
		s.rules.Rules[id] = rule
	}
	return nil
}

// withoutPaths drops the paths for which alone something would be allowed. A path that narrows another condition
// stays.
func withoutPaths(lists []*config.Allowlist) ([]*config.Allowlist, error) {
	var out []*config.Allowlist
	for _, a := range lists {
		if len(a.Paths) == 0 || (a.MatchCondition == config.AllowlistMatchAnd && len(a.Regexes)+len(a.StopWords) > 0) {
			out = append(out, a)
			continue
		}
		if len(a.Regexes)+len(a.StopWords)+len(a.Commits) == 0 {
			continue
		}
		// A new value: the old one keeps its compiled paths.
		b := &config.Allowlist{
			Description: a.Description, MatchCondition: a.MatchCondition, Commits: a.Commits,
			RegexTarget: a.RegexTarget, Regexes: a.Regexes, StopWords: a.StopWords,
		}
		if err := b.Validate(); err != nil {
			return nil, fmt.Errorf("scan: allow list %q: %w", a.Description, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// Scan returns what the added lines give away, sorted by file, line and rule. An error says that the scan did not
// end; it is never a clean result.
func (s *Scanner) Scan(ctx context.Context, p *patch.Patch) ([]Finding, error) {
	detector := detect.NewDetectorContext(ctx, s.rules)
	detector.IgnoreGitleaksAllow = true
	detector.MaxDecodeDepth = 2

	moved := map[hit]bool{}
	for _, f := range fragments(p.Removed) {
		for _, h := range s.leaks(ctx, detector, f) {
			moved[h.hit] = true
		}
	}
	found := map[Finding]bool{}
	for _, f := range fragments(p.Added) {
		for _, h := range s.leaks(ctx, detector, f) {
			if !moved[h.hit] {
				found[Finding{h.rule, f.file, f.number(h.index)}] = true
			}
		}
		for i, line := range f.lines {
			if credentialInURL(line) {
				found[Finding{RuleURLCredential, f.file, f.number(i)}] = true
			}
		}
		for _, i := range s.knownIn(f) {
			found[Finding{RuleKnown, f.file, f.number(i)}] = true
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("scan: stopped before its end: %w", err)
	}
	return sorted(found), nil
}

// hit is a secret without its text: what tells that the same one was there before.
type hit struct {
	rule string
	sum  [sha256.Size]byte
}

type place struct {
	hit
	index int
}

func (s *Scanner) leaks(ctx context.Context, d *detect.Detector, f fragment) []place {
	var out []place
	for _, l := range d.DetectContext(ctx, detect.Fragment{Raw: f.text(), FilePath: f.file}) { //nolint:staticcheck // v8 offers no other way to scan text
		if l.RuleID == genericRule && s.holdsHashes(f.file) {
			continue
		}
		out = append(out, place{hit{l.RuleID, sha256.Sum256([]byte(l.Secret))}, l.StartLine})
	}
	return out
}

func (s *Scanner) holdsHashes(path string) bool {
	for _, a := range s.quiet {
		if a.PathAllowed(path) {
			return true
		}
	}
	return false
}

var urlCredential = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]{0,30}://[^\s/@:"'<>]*:([^\s/@"'<>]+)@`)

// placeholder passwords are what documentation and examples say: variables and the words themselves.
var placeholder = regexp.MustCompile(`(?i)^(?:\$.*|%.*|\{.*|<.*|\*+|x+|\.+|pass(?:word)?|passwd|pwd|secret|token|changeme|example)$`)

func credentialInURL(line string) bool {
	for _, m := range urlCredential.FindAllStringSubmatch(line, -1) {
		if !placeholder.MatchString(m[1]) {
			return true
		}
	}
	return false
}

func sorted(found map[Finding]bool) []Finding {
	out := make([]Finding, 0, len(found))
	for f := range found {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Rule < b.Rule
	})
	return out
}
