package policy

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"
)

// Settings are rules as a person writes them down; what is not given stays as it is.
type Settings struct {
	// Allow are the only paths that may change. Forbid are paths that may not.
	Allow  []string `yaml:"allow"`
	Forbid []string `yaml:"forbid"`
	// The limits of a patch.
	MaxFiles        *int `yaml:"max_files"`
	MaxAddedLines   *int `yaml:"max_added_lines"`
	MaxRemovedLines *int `yaml:"max_removed_lines"`
	MaxBytes        *int `yaml:"max_bytes"`
	// MaxSafeDanger is the highest danger score that is still safe.
	MaxSafeDanger *int `yaml:"max_safe_danger"`
}

const maxGlobs = 200

// limits are the settings that are numbers, with what they may be at most. The database holds no larger patch.
func (s *Settings) limits() []limit {
	return []limit{
		{"max_files", s.MaxFiles, 1, 100, func(r *Rules) *int { return &r.MaxFiles }},
		{"max_added_lines", s.MaxAddedLines, 0, 10_000, func(r *Rules) *int { return &r.MaxAdded }},
		{"max_removed_lines", s.MaxRemovedLines, 0, 10_000, func(r *Rules) *int { return &r.MaxRemoved }},
		{"max_bytes", s.MaxBytes, 1, 1_000_000, func(r *Rules) *int { return &r.MaxBytes }},
		{"max_safe_danger", s.MaxSafeDanger, 0, 1000, func(r *Rules) *int { return &r.MaxSafe }},
	}
}

type limit struct {
	name      string
	value     *int
	low, high int
	of        func(*Rules) *int
}

// Problem is what is wrong with a setting. Field is its name, and Index its place in a list, or -1.
type Problem struct {
	Field string
	Index int
	Text  string
}

func (p *Problem) Error() string { return p.Text }

// Validate says what is wrong first, as a *Problem.
func (s *Settings) Validate() error {
	for _, list := range []struct {
		name  string
		globs []string
	}{{"allow", s.Allow}, {"forbid", s.Forbid}} {
		if len(list.globs) > maxGlobs {
			return &Problem{list.name, -1, fmt.Sprintf("%d globs in %s: write at most %d", len(list.globs), list.name, maxGlobs)}
		}
		for i, glob := range list.globs {
			if glob == "" || !doublestar.ValidatePattern(glob) {
				return &Problem{list.name, i, fmt.Sprintf("%q is no glob: use *, ** and ? as in generated/**", glob)}
			}
		}
	}
	if s.Allow != nil && len(s.Allow) == 0 {
		return &Problem{"allow", -1, "allow is empty, so nothing may change: remove it, or write mode: off"}
	}
	for _, l := range s.limits() {
		if l.value != nil && (*l.value < l.low || *l.value > l.high) {
			return &Problem{l.name, -1, fmt.Sprintf("%s is %d: write a number from %d to %d", l.name, *l.value, l.low, l.high)}
		}
	}
	return nil
}

// Tightened returns the rules with a repository's settings: more is forbidden, less is allowed, no limit is higher.
func (r Rules) Tightened(s Settings) Rules {
	r = r.Forbidding(s.Forbid...)
	if s.Allow != nil {
		r.Allow = append(append([][]string(nil), r.Allow...), s.Allow)
	}
	for _, l := range s.limits() {
		if of := l.of(&r); l.value != nil {
			*of = min(*of, *l.value)
		}
	}
	return r
}

// Set returns the rules with an operator's settings: its limits and its allowed paths stand instead of those that
// were there. What is forbidden by default stays forbidden.
func (r Rules) Set(s Settings) Rules {
	r = r.Forbidding(s.Forbid...)
	if s.Allow != nil {
		r.Allow = [][]string{s.Allow}
	}
	for _, l := range s.limits() {
		if of := l.of(&r); l.value != nil {
			*of = *l.value
		}
	}
	return r
}
