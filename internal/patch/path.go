package patch

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPath says why a path may not stand in a patch. It refuses what could leave the work tree or reach a .git
// folder on any file system, after git's own verify_path with core.protectHFS and core.protectNTFS.
func CheckPath(path string) error {
	switch {
	case path == "" || len(path) > 4096:
		return fmt.Errorf("path of %d bytes", len(path))
	case !utf8.ValidString(path):
		return fmt.Errorf("%q: not UTF-8", path)
	case strings.HasPrefix(path, "/") || (len(path) > 1 && path[1] == ':'):
		return fmt.Errorf("%q: absolute path", path)
	case strings.Contains(path, `\`):
		return fmt.Errorf("%q: backslash in path", path)
	}
	for _, r := range path {
		// Format characters are invisible, and HFS+ ignores them: ".g\u200cit" is .git there.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("%q: control or invisible character in path", path)
		}
	}
	for _, part := range strings.Split(path, "/") {
		if err := checkComponent(part); err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
	}
	return nil
}

func checkComponent(part string) error {
	if part == "" || part == "." || part == ".." {
		return fmt.Errorf("component %q", part)
	}
	// NTFS drops trailing dots and spaces and takes ":" for the start of a stream's name.
	name, _, _ := strings.Cut(part, ":")
	name = strings.ToLower(strings.TrimRight(name, ". "))
	if name == "" || name == ".git" || (strings.HasPrefix(name, "git~") && isDigits(name[4:])) {
		return fmt.Errorf("component %q reaches git's own folder", part)
	}
	return nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
