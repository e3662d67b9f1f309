package policy

import (
	"fmt"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// withinLimits: the patch is small enough for a person to read.
func withinLimits(p *patch.Patch, rules Rules) []Finding {
	added, removed := 0, 0
	for _, f := range p.Files {
		added += f.Added
		removed += f.Removed
	}
	var out []Finding
	for _, limit := range []struct {
		rule, what string
		n, max     int
	}{
		{ReasonFiles, "files", len(p.Files), rules.MaxFiles},
		{ReasonAdded, "added lines", added, rules.MaxAdded},
		{ReasonRemoved, "removed lines", removed, rules.MaxRemoved},
		{ReasonBytes, "bytes", p.Bytes, rules.MaxBytes},
	} {
		if limit.n > limit.max {
			out = append(out, Finding{Rule: limit.rule, Message: fmt.Sprintf("%d %s: at most %d are allowed", limit.n, limit.what, limit.max)})
		}
	}
	return out
}
