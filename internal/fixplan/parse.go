package fixplan

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// MaxBytes is the largest plan that is read.
const MaxBytes = 64 << 10

// Parse reads a plan. Every error has the reason plan_invalid and says what is wrong and where, for whoever repairs it.
func Parse(data []byte) (Plan, error) {
	if len(data) > MaxBytes {
		return Plan{}, fault.Permf(edit.Invalid, "the plan has %d bytes: write at most %d", len(data), MaxBytes)
	}
	if !utf8.Valid(data) {
		return Plan{}, fault.Permf(edit.Invalid, "the plan is not UTF-8")
	}
	var p Plan
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return Plan{}, fault.Permf(edit.Invalid, "%s", plainError(err))
	}
	if err := complete(data); err != nil {
		return Plan{}, err
	}
	if err := Check(p); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// complete refuses a plan without a field, which would read as an empty one.
func complete(data []byte) error {
	var fields map[string]jsontext.Value
	if err := json.Unmarshal(data, &fields); err != nil {
		return fault.Permf(edit.Invalid, "%s", plainError(err))
	}
	for _, name := range []string{"root_cause", "category", "confidence", "files", "operations"} {
		if v, ok := fields[name]; !ok || v.Kind() == 'n' {
			return fault.Permf(edit.Invalid, "/%s is missing", name)
		}
	}
	return nil
}

// plainError leaves away the parser's name for itself and for our types.
func plainError(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), "jsontext: ")
	return brief(strings.NewReplacer("Go ", "", "fixplan.", "", " of type ", " of kind ").Replace(text))
}

// brief keeps the first line of a message, and not all of a long one: parsers quote what they were given.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return strings.ToValidUTF8(text[:min(len(text), 400)], "")
}
