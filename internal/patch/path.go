package patch

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// CheckPath says why a path may not stand in a patch, with one of the reasons of paths. It refuses what could leave the work tree or reach a .git
// folder on any file system, after git's own verify_path with core.protectHFS and core.protectNTFS.
func CheckPath(path string) error {
	switch {
	case path == "" || len(path) > 4096:
		return fault.Permf(ReasonPath, "path of %d bytes", len(path))
	case !utf8.ValidString(path):
		return fault.Permf(ReasonPath, "%q: not UTF-8", path)
	case strings.HasPrefix(path, "/") || (len(path) > 1 && path[1] == ':'):
		return fault.Permf(ReasonOutside, "%q: absolute path", path)
	case strings.Contains(path, `\`):
		return fault.Permf(ReasonPath, "%q: backslash in path", path)
	}
	for _, r := range path {
		// Format characters are invisible, and HFS+ ignores them: ".g\u200cit" is .git there.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return fault.Permf(ReasonPath, "%q: control or invisible character in path", path)
		}
	}
	for _, part := range strings.Split(path, "/") {
		switch {
		case part == "..":
			return fault.Permf(ReasonOutside, "%q climbs out of the tree", path)
		case part == "" || part == ".":
			return fault.Permf(ReasonPath, "%q: component %q", path, part)
		case reachesGit(part):
			return fault.Permf(ReasonGitFolder, "%q: component %q reaches git's own folder", path, part)
		}
	}
	return nil
}

func reachesGit(part string) bool {
	// NTFS drops trailing dots and spaces and takes ":" for the start of a stream's name.
	name, _, _ := strings.Cut(part, ":")
	name = strings.ToLower(strings.TrimRight(name, ". "))
	return name == "" || name == ".git" || (strings.HasPrefix(name, "git~") && isDigits(name[4:]))
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
