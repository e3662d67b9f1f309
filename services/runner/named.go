package runner

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// fileIndex finds the repository's file that an output means by a name.
type fileIndex struct {
	all    map[string]bool
	byBase map[string][]string
}

func newFileIndex(files []string) *fileIndex {
	x := &fileIndex{all: make(map[string]bool, len(files)), byBase: map[string][]string{}}
	for _, f := range files {
		x.all[f] = true
		x.byBase[path.Base(f)] = append(x.byBase[path.Base(f)], f)
	}
	return x
}

// index is the commit's files.
func (w *work) index() *fileIndex {
	if w.names == nil {
		w.names = newFileIndex(w.files)
	}
	return w.names
}

// find is the very path; else the only file whose path ends with the name, as a tool that ran in a subfolder prints it;
// else the longest file that the name ends with, as one below another machine's folders is.
func (x *fileIndex) find(name string) string {
	if x.all[name] {
		return name
	}
	found := ""
	for _, f := range x.byBase[path.Base(name)] {
		switch {
		case strings.HasSuffix(f, "/"+name):
			if found != "" {
				return ""
			}
			found = f
		case found == "" && strings.Contains(f, "/") && strings.HasSuffix(name, "/"+f):
			return f
		}
	}
	return found
}

// maxNamed is how many files a report names at most: one that names as many may have named more.
const maxNamed = 500

// of are the repository's files that a report names; none where it may have named more than it holds.
func (x *fileIndex) of(r failure.Report) map[string]bool {
	out := map[string]bool{}
	if len(r.Files) >= maxNamed {
		return out
	}
	for _, name := range r.Files {
		if f := x.find(name); f != "" {
			out[f] = true
		}
	}
	for _, d := range r.Diagnostics {
		if f := x.find(d.File); f != "" {
			out[f] = true
		}
	}
	return out
}

// apart says whether two outputs each name files, and none is in both.
func apart(a, b map[string]bool) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	for name := range a {
		if b[name] {
			return false
		}
	}
	return true
}

// some is the first files of a set, for a sentence.
func some(files map[string]bool) string {
	const most = 3
	names := slices.Sorted(maps.Keys(files))
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

var insideSource = regexp.MustCompile(`(^|[^\w./@+-])` + sandbox.Source + "/")

// atRoot takes the sandbox's folder off the paths of an output.
func atRoot(output string) string { return insideSource.ReplaceAllString(output, "$1") }
