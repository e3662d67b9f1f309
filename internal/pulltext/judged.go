package pulltext

import (
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/markup"
)

// answers are what a person can do about a pull request. A command begins a comment of its own; here each stands in code,
// where no forge takes it for one.
const answers = "Merge it, if it is right: sre-agent never does that by itself. Close it, if it is not: that is taken as a no for this " +
	"trouble, until somebody lifts it. People who may write to this repository can also answer with one of these as a comment:\n\n" +
	"- `/sre-agent retry`: try this once more\n" +
	"- `/sre-agent stop`: leave this trouble alone\n" +
	"- `/sre-agent why`: say in full what was seen, done and decided\n" +
	"- `/sre-agent off`: do nothing in this repository any more; so does `mode: off` in `.sre-agent.yaml` on the default branch\n"

func (in Input) judged(b *strings.Builder) {
	r := in.Report
	fmt.Fprintf(b, "- Made by: %s\n", markup.Code(in.Fixer))
	if m := r.Model; m != nil {
		fmt.Fprintf(b, "- Model: %s, %d calls, %d tokens\n", markup.Code(m.Model), m.Calls, m.Tokens)
	}
	if a := r.Agent; a != nil {
		fmt.Fprintf(b, "- Agent: %s\n", markup.Code(a.Command))
	}
	if p := r.Policy; p != nil {
		fmt.Fprintf(b, "- Policy: allowed, %s\n", markup.Code(p.Class))
		fmt.Fprintf(b, "- Danger score: %d%s\n", p.Danger, parts(p.Parts))
	}
	b.WriteString("- Secrets: the added lines were scanned, nothing was found\n")
	if r.Scan != nil && r.Scan.Compared {
		fmt.Fprintf(b, "- Scanners: the tree was compared before and after, %d findings are new\n", r.Scan.Issues)
	}
	b.WriteString("- Sandbox: the check ran without network and without secrets\n")
	fmt.Fprintf(b, "- The diff: %s\n", markup.Code(in.Digest))
}

const maxParts = 12

func parts(all []string) string {
	if len(all) == 0 {
		return ""
	}
	shown := make([]string, 0, maxParts)
	for _, p := range all[:min(len(all), maxParts)] {
		shown = append(shown, markup.Code(p))
	}
	if len(all) > maxParts {
		shown = append(shown, fmt.Sprintf("and %d more", len(all)-maxParts))
	}
	return ": " + strings.Join(shown, ", ")
}

// mark is how sre-agent knows the pull request again.
func (in Input) mark() string {
	return fmt.Sprintf("run=%d fence=%d digest=%s key=%s", in.RunID, in.Fence, in.Digest, markup.Clip(in.RunKey, maxMark))
}

const maxMark = 600
