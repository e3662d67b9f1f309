package host

import (
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// ChangedPaths are the paths that a diff of git's changes, in its order: after the change, or before it for a file that
// is gone.
func ChangedPaths(diff string) []string {
	files, _, err := gitdiff.Parse(strings.NewReader(diff))
	if err != nil {
		return nil
	}
	var out []string
	for _, f := range files {
		if f.IsDelete {
			out = append(out, f.OldName)
			continue
		}
		out = append(out, f.NewName)
	}
	return out
}
