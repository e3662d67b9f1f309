// Package policy says whether a patch may be published, and how dangerous it is.
//
// It promises that a verdict depends on the patch and the rules alone, that every refusal names its rule and
// file, and that a rule is only ever added to by a repository's settings, never lifted. One predicate a file.
package policy

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// The rules that a verdict can name. ReasonWithin is the reason of a patch that breaks none.
const (
	ReasonWithin     = "within_policy"
	ReasonEmpty      = "empty_patch"
	ReasonForbidden  = "forbidden_path"
	ReasonNotAllowed = "path_not_allowed"
	ReasonFiles      = "too_many_files"
	ReasonAdded      = "too_many_added_lines"
	ReasonRemoved    = "too_many_removed_lines"
	ReasonBytes      = "too_many_bytes"
	ReasonSymlink    = "symlink"
	ReasonGitlink    = "gitlink"
	ReasonMode       = "mode_change"
	ReasonBinary     = "binary"
	ReasonTestGone   = "test_deleted"
	ReasonTestWeak   = "test_skipped"
)

// The classes of a patch by its danger.
const (
	ClassSafe        = "safe"
	ClassNeedsReview = "needs-review"
)

// Rules are the limits of a patch. A glob without a slash matches a name at any depth, one with a slash matches
// from the root; case never matters, because a file system may ignore it.
type Rules struct {
	Allow, Forbid []string
	MaxFiles      int
	MaxAdded      int
	MaxRemoved    int
	MaxBytes      int
	// MaxSafe is the highest danger score that is still safe.
	MaxSafe int
}

// Finding is one broken rule.
type Finding struct {
	Rule    string `json:"rule"`
	File    string `json:"file,omitempty"`
	Message string `json:"message"`
}

// Verdict is the policy's answer. Reason is the first broken rule, or ReasonWithin.
type Verdict struct {
	Allowed bool      `json:"allowed"`
	Reason  string    `json:"reason"`
	Details []Finding `json:"details,omitempty"`
	Danger  Danger    `json:"danger"`
	Class   string    `json:"class"`
}

// Default are the rules that hold everywhere.
func Default() Rules {
	return Rules{
		Allow:      []string{"**"},
		Forbid:     forbidden(),
		MaxFiles:   5,
		MaxAdded:   200,
		MaxRemoved: 200,
		MaxBytes:   200_000,
		MaxSafe:    20,
	}
}

// Forbidding returns the rules with more forbidden paths.
func (r Rules) Forbidding(globs ...string) Rules {
	r.Forbid = append(append([]string(nil), r.Forbid...), globs...)
	return r
}

// Validate says which glob is malformed: a glob that never matches would forbid nothing.
func (r Rules) Validate() error {
	for _, glob := range append(append([]string(nil), r.Allow...), r.Forbid...) {
		if glob == "" || !doublestar.ValidatePattern(glob) {
			return fmt.Errorf("policy: malformed glob %q", glob)
		}
	}
	return nil
}

// Check judges a patch.
func Check(p *patch.Patch, rules Rules) Verdict {
	v := Verdict{Reason: ReasonWithin, Danger: danger(p)}
	for _, predicate := range []func(*patch.Patch, Rules) []Finding{
		notEmpty,
		pathsAllowed,
		kindsAllowed,
		testsKept,
		withinLimits,
	} {
		v.Details = append(v.Details, predicate(p, rules)...)
	}
	v.Allowed = len(v.Details) == 0
	if !v.Allowed {
		v.Reason = v.Details[0].Rule
	}
	v.Class = ClassNeedsReview
	if v.Allowed && v.Danger.Score <= rules.MaxSafe {
		v.Class = ClassSafe
	}
	return v
}

func notEmpty(p *patch.Patch, _ Rules) []Finding {
	if len(p.Files) > 0 {
		return nil
	}
	return []Finding{{Rule: ReasonEmpty, Message: "the patch changes nothing"}}
}
