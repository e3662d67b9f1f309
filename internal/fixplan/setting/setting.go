// Package setting changes one setting of a JSON, TOML, YAML or INI file.
//
// It promises that comments, order, quoting, indentation and line ends stay, that the value is one scalar of the kind
// that was there, and that a setting is added only to a section that is there. It is pure.
package setting

import (
	"path"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// Do changes the setting in the file; the file's name says its format.
func Do(file string, src []byte, set edit.Setting) ([]byte, error) {
	base := strings.ToLower(path.Base(file))
	ext := path.Ext(base)
	switch {
	case ext == ".json" || ext == ".jsonc" || ext == ".json5" || base == ".prettierrc" || base == ".eslintrc" || base == ".babelrc":
		return inJSON(src, set, base != "package.json")
	case ext == ".toml":
		return inTOML(src, set)
	case ext == ".yml" || ext == ".yaml" || base == ".clang-format" || base == ".clang-tidy" || base == ".yamllint":
		return inYAML(src, set)
	case ext == ".ini" || ext == ".cfg" || ext == ".conf" || ext == ".properties" || base == ".editorconfig" || base == ".flake8" || base == ".pylintrc" || base == ".coveragerc":
		return inINI(src, set)
	}
	return nil, fault.Permf(edit.NoAdapter, "%s is no JSON, TOML, YAML or INI file by its name", base)
}

var (
	numberRE = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	boolRE   = regexp.MustCompile(`^(true|false)$`)
)

// isText says whether a value is no number and no boolean.
func isText(value string) bool { return !numberRE.MatchString(value) && !boolRE.MatchString(value) }

func notScalar(set edit.Setting) error {
	return fault.Permf(edit.Declined, "%s is a list or a section: only a single value is set", strings.Join(set.Key, "."))
}

func noSection(set edit.Setting) error {
	return fault.Permf(edit.NotFound, "the section of %s is not there", strings.Join(set.Key, "."))
}

func kindDiffers(set edit.Setting, have string) error {
	return fault.Permf(edit.Conflict, "%s is %s there, which %q is not", strings.Join(set.Key, "."), have, set.Value)
}
