package policy

import (
	"fmt"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// credentials are the shapes of common credentials. The scan knows many more; these need nothing but the patch.
var credentials = anyOf(
	`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY`,
	`\bgh[pousr]_[A-Za-z0-9]{30,}`, `\bgithub_pat_[A-Za-z0-9_]{40,}`, `\bglpat-[A-Za-z0-9_-]{20,}`,
	`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`, `\bxox[abeoprs]-[A-Za-z0-9-]{10,}`, `\bnpm_[A-Za-z0-9]{36}\b`, `\bpypi-[A-Za-z0-9_-]{40,}`,
	`\bAIza[A-Za-z0-9_-]{35}\b`, `\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}`, `\bsk_live_[A-Za-z0-9]{16,}`, `\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`,
	`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`,
)

// secretsAbsent: no added line has the shape of a credential that the file did not show before.
func secretsAbsent(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		found := surplus(c.added, c.removed, func(line string) []string { return credentials.FindAllString(line, -1) })
		if len(found) > 0 {
			out = append(out, Finding{ReasonSecret, c.Path(), fmt.Sprintf("%d added value(s) have the shape of a credential", len(found))})
		}
	}
	return out
}
