package failure

import (
	"slices"
	"strings"
)

// keyLine stands for a line of a private key, which no pattern tells from other text once it stands alone.
const keyLine = "[redacted]"

// Redacted is the report with every text of it made clean, which the given function does.
func (r Report) Redacted(clean func(string) string) Report {
	r.Excerpt = redactLines(r.Excerpt, clean)
	if r.Evidence != nil {
		evidence := redactLines([]Line{*r.Evidence}, clean)[0]
		for _, l := range r.Excerpt {
			if l.Number == evidence.Number {
				evidence = l
			}
		}
		r.Evidence = &evidence
	}
	r.Command, r.Step = clean(r.Command), clean(r.Step)
	r.Files, r.Diagnostics = slices.Clone(r.Files), slices.Clone(r.Diagnostics)
	for i := range r.Files {
		r.Files[i] = clean(r.Files[i])
	}
	for i := range r.Diagnostics {
		d := &r.Diagnostics[i]
		d.File, d.Rule, d.Message = clean(d.File), clean(d.Rule), clean(d.Message)
	}
	r.Text = joined(r.Excerpt)
	return r
}

// redactLines takes the lines of a private key out whole: each of them is nothing that a pattern knows.
func redactLines(lines []Line, clean func(string) string) []Line {
	out := make([]Line, len(lines))
	key := false
	for i, l := range lines {
		begins := strings.Contains(l.Text, "-----BEGIN ") && strings.Contains(l.Text, "PRIVATE KEY")
		ends := strings.Contains(l.Text, "-----END ")
		switch {
		case key || begins:
			out[i] = Line{l.Number, keyLine}
		default:
			out[i] = Line{l.Number, clean(l.Text)}
		}
		key = (key || begins) && !ends
	}
	return out
}

func joined(lines []Line) string {
	text := make([]string, len(lines))
	for i, l := range lines {
		text[i] = l.Text
	}
	return strings.Join(text, "\n")
}
