package fixplan

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/patch"
)

const (
	maxSentence = 500
	maxWord     = 300
	maxText     = 20 << 10
	maxPath     = 500
	maxKeyParts = 20
)

// Categories are the classes of failure that a change of the code can mend.
func Categories() []string {
	return []string{"format", "lint", "dependency", "generated", "compile", "test", "config", "unknown"}
}

// Kinds are the kinds of operation.
func Kinds() []Kind {
	return []Kind{AddDependency, PinDependency, UpdateConfig, ModifyCode, RemoveUnused}
}

// Check says why a plan breaks its own rules, with a JSON pointer to the place. It knows no file's content.
func Check(p Plan) error {
	if err := sentence("/root_cause", p.RootCause); err != nil {
		return err
	}
	if !slices.Contains(Categories(), p.Category) {
		return invalid("/category", "%q is none of %s", p.Category, strings.Join(Categories(), ", "))
	}
	if !(p.Confidence >= 0 && p.Confidence <= 1) {
		return invalid("/confidence", "%v is not from 0 to 1", p.Confidence)
	}
	if n := len(p.Operations); n < 1 || n > MaxOperations {
		return invalid("/operations", "there are %d: write 1 to %d", n, MaxOperations)
	}
	if err := checkFiles(p); err != nil {
		return err
	}
	for i, op := range p.Operations {
		if err := op.check(pointer("/operations", i)); err != nil {
			return err
		}
		if !slices.Contains(p.Files, op.File) {
			return invalid(pointer("/operations", i)+"/file", "%q is not in /files", op.File)
		}
		for j, other := range p.Operations[:i] {
			if err := clash(i, j, op, other); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFiles(p Plan) error {
	if len(p.Files) == 0 || len(p.Files) > MaxOperations {
		return invalid("/files", "there are %d: name the file of every operation", len(p.Files))
	}
	for i, file := range p.Files {
		at := pointer("/files", i)
		if len(file) > maxPath {
			return invalid(at, "the path has %d bytes: at most %d", len(file), maxPath)
		}
		if err := patch.CheckPath(file); err != nil {
			return invalid(at, "%v: write a path inside the repository", err)
		}
		if slices.Contains(p.Files[:i], file) {
			return invalid(at, "%q is there twice", file)
		}
		if !slices.ContainsFunc(p.Operations, func(op Operation) bool { return op.File == file }) {
			return invalid(at, "%q has no operation", file)
		}
	}
	return nil
}

func (op Operation) check(at string) error {
	if err := sentence(at+"/rationale", op.Rationale); err != nil {
		return err
	}
	if err := sentence(at+"/evidence", op.Evidence); err != nil {
		return err
	}
	d := op.Details
	at += "/details"
	switch op.Kind {
	case AddDependency, PinDependency:
		if err := fields(at, d, "name", "version"); err != nil {
			return err
		}
		return words(at, d)
	case UpdateConfig:
		if err := fields(at, d, "key", "value"); err != nil {
			return err
		}
		return checkSetting(at, d)
	case ModifyCode:
		if err := fields(at, d, "old", "new"); err != nil {
			return err
		}
		return texts(at, d)
	case RemoveUnused:
		if d.Old != "" {
			if err := fields(at, d, "old"); err != nil {
				return err
			}
			return texts(at, d)
		}
		if err := fields(at, d, "name"); err != nil {
			return err
		}
		return words(at, d)
	}
	return invalid(strings.TrimSuffix(at, "/details")+"/kind", "%q is none of %v", op.Kind, Kinds())
}

// fields refuses what the kind does not use and wants what it needs. A group goes with a name; new may be empty.
func fields(at string, d Details, use ...string) error {
	for _, f := range []struct{ name, value string }{
		{"name", d.Name}, {"version", d.Version}, {"group", d.Group}, {"key", d.Key}, {"value", d.Value}, {"old", d.Old}, {"new", d.New},
	} {
		wanted := slices.Contains(use, f.name)
		switch {
		case wanted && f.value == "" && f.name != "new":
			return invalid(at+"/"+f.name, "it is missing")
		case !wanted && f.value != "" && (f.name != "group" || !slices.Contains(use, "name")):
			return invalid(at+"/"+f.name, "this kind of operation has no such field: leave it away")
		}
	}
	return nil
}

// words refuses names and versions that no ecosystem has: addresses, paths, and what a shell would read.
func words(at string, d Details) error {
	for _, f := range []struct{ name, value string }{{"name", d.Name}, {"version", d.Version}, {"group", d.Group}} {
		lower := strings.ToLower(f.value)
		switch {
		case len(f.value) > maxWord:
			return invalid(at+"/"+f.name, "it has %d bytes: at most %d", len(f.value), maxWord)
		case strings.Contains(lower, "://") || strings.HasPrefix(lower, "git+") || strings.HasPrefix(lower, "file:"):
			return invalid(at+"/"+f.name, "%q is an address: only a registry's names and versions are taken", f.value)
		case strings.HasPrefix(f.value, ".") || strings.HasPrefix(f.value, "/") || strings.HasPrefix(f.value, "-"):
			return invalid(at+"/"+f.name, "%q is a path or an option", f.value)
		case strings.ContainsAny(f.value, " \"'`$;&|\\(){}#%?") || !printable(f.value, ""):
			return invalid(at+"/"+f.name, "%q has blanks, quotes or other characters that no name and no version has", f.value)
		}
	}
	return nil
}

func checkSetting(at string, d Details) error {
	parts := splitKey(d.Key)
	if len(d.Key) > maxWord || len(parts) > maxKeyParts || slices.Contains(parts, "") || !printable(d.Key, "") || strings.ContainsAny(d.Key, `"'[]=`) {
		return invalid(at+"/key", "%q is no dotted path, such as tool.ruff.line-length", d.Key)
	}
	if len(d.Value) > maxSentence || !printable(d.Value, "") || strings.TrimSpace(d.Value) != d.Value {
		return invalid(at+"/value", "it is not one line of at most %d bytes without blanks around it", maxSentence)
	}
	return nil
}

// splitKey splits a dotted path; a dot inside a part is written \.
func splitKey(key string) []string {
	var out []string
	part := ""
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == '\\' && i+1 < len(key) && key[i+1] == '.':
			part += "."
			i++
		case key[i] == '.':
			out, part = append(out, part), ""
		default:
			part += key[i : i+1]
		}
	}
	return append(out, part)
}

func texts(at string, d Details) error {
	for _, f := range []struct{ name, value string }{{"old", d.Old}, {"new", d.New}} {
		if len(f.value) > maxText || !printable(f.value, "\t\r\n\f") {
			return invalid(at+"/"+f.name, "it is no text of at most %d bytes", maxText)
		}
	}
	if strings.TrimSpace(d.Old) == "" {
		return invalid(at+"/old", "it is blank: quote the text that is there")
	}
	if d.Old == d.New {
		return invalid(at+"/new", "it is the same as old")
	}
	return nil
}

func sentence(at, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return invalid(at, "it is missing")
	case len(text) > maxSentence:
		return invalid(at, "it has %d bytes: write at most %d", len(text), maxSentence)
	case !printable(text, "\t"):
		return invalid(at, "it has line ends or control characters: write one line")
	}
	return nil
}

// printable says whether text has no control or invisible character but those allowed.
func printable(text, allowed string) bool {
	for _, r := range text {
		if (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') && !strings.ContainsRune(allowed, r) {
			return false
		}
	}
	return utf8.ValidString(text)
}

// clash refuses two operations on one thing.
func clash(i, j int, a, b Operation) error {
	if a.File != b.File {
		return nil
	}
	x, y := a.Details, b.Details
	same := x.Name == y.Name && x.Group == y.Group && x.Key == y.Key && x.Old == y.Old
	if x.Key != "" && x.Key == y.Key && x.Value != y.Value && strings.HasPrefix(x.Key, "apt-get.") {
		// There the value names the line.
		same = false
	}
	if !same {
		return nil
	}
	if a.Kind == b.Kind && x == y {
		return invalid(pointer("/operations", i), "it is the same as /operations/%d", j)
	}
	return fault.Permf(edit.Conflict, "/operations/%d contradicts /operations/%d", i, j)
}
