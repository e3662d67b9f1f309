// Package policy says whether a patch may be published, and how dangerous it is.
//
// It promises that a verdict depends on the patch and the rules alone, that every refusal names its rule and
// file, that only what the patch adds or takes away counts (what was there before is no finding), and that a
// repository's settings only ever add to a rule. One predicate a file.
package policy

import (
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
	ReasonSecret     = "secret_pattern"
	ReasonHook       = "install_hook"
	ReasonSource     = "dependency_source"
	ReasonTestGone   = "test_deleted"
	ReasonTestSkip   = "test_skipped"
	ReasonTestWeak   = "test_weakened"
	ReasonSilenced   = "check_silenced"
	ReasonThreshold  = "threshold_lowered"
)

// The classes of a patch by its danger.
const (
	ClassSafe        = "safe"
	ClassNeedsReview = "needs-review"
)

// Rules are the limits of a patch. A glob without a slash matches a name at any depth, one with a slash matches
// from the root; case never matters, because a file system may ignore it.
type Rules struct {
	// Allow are lists of globs: a path has to match one of each list.
	Allow      [][]string
	Forbid     []string
	MaxFiles   int
	MaxAdded   int
	MaxRemoved int
	MaxBytes   int
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
		Allow:      [][]string{{"**"}},
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

// Check judges a patch. The kinds say what made it, for the danger score; they change nothing else.
func Check(p *patch.Patch, rules Rules, kinds ...Kind) Verdict {
	v := Verdict{Reason: ReasonWithin, Danger: danger(p, kinds)}
	for _, predicate := range []func(*patch.Patch, Rules) []Finding{
		notEmpty,
		pathsAllowed,
		kindsAllowed,
		secretsAbsent,
		hooksAbsent,
		sourcesKept,
		hostsKept,
		imagesKept,
		testsKept,
		testsRun,
		assertionsKept,
		checksKept,
		thresholdsKept,
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
