package model

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// Line is a line of the log's excerpt.
type Line struct {
	Number int
	Text   string
}

// Diagnostic is one message of a tool about one place.
type Diagnostic struct {
	Tool, File string
	Line       int
	Rule       string
	Message    string
}

// Input is what is known of a failure. All texts in it are from outside.
type Input struct {
	RunID, RepositoryID int64
	Class, Command      string
	Excerpt             []Line
	Diagnostics         []Diagnostic
	// Named are further paths that the log names.
	Named []string
	// Files are the contents of the files that Wants names; some may be missing.
	Files map[string][]byte
	// EditOnly asks for nothing but changes of exact texts in the files that are shown.
	EditOnly bool
}

const (
	// MaxFiles is how many files a question shows.
	MaxFiles = 6
	// MaxFile is the largest file that is worth reading for a question, in bytes.
	MaxFile = 1 << 20
)

// Wants are the repository's files that a question would show, the most blamed ones first: those that the diagnostics
// name, then those that the log names. A file that the rules forbid to change is never shown: it may hold a secret.
func Wants(in Input, repoFiles []string, rules policy.Rules) []string {
	var out []string
	add := func(name string) {
		path := resolve(name, repoFiles)
		if path != "" && len(out) < MaxFiles && !slices.Contains(out, path) && mayShow(path, rules) {
			out = append(out, path)
		}
	}
	for _, name := range blamed(in.Diagnostics) {
		add(name)
	}
	for _, name := range in.Named {
		add(name)
	}
	return out
}

// blamed are the files of the diagnostics, those with the most first.
func blamed(all []Diagnostic) []string {
	count := map[string]int{}
	var names []string
	for _, d := range all {
		if d.File == "" {
			continue
		}
		if count[d.File] == 0 {
			names = append(names, d.File)
		}
		count[d.File]++
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	return names
}

// resolve finds the repository's file that a log means: the very path, or the only one that ends with it, or that it
// ends with, as absolute paths do.
func resolve(name string, repoFiles []string) string {
	name = strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "./")
	if name == "" {
		return ""
	}
	if slices.Contains(repoFiles, name) {
		return name
	}
	found := ""
	for _, f := range repoFiles {
		if !strings.HasSuffix(f, "/"+name) && !(strings.HasPrefix(name, "/") && strings.Contains(f, "/") && strings.HasSuffix(name, "/"+f)) {
			continue
		}
		if found != "" {
			return ""
		}
		found = f
	}
	return found
}

func mayShow(path string, rules policy.Rules) bool {
	v := policy.Check(&patch.Patch{Files: []patch.File{{OldPath: path, NewPath: path}}}, rules)
	return !slices.ContainsFunc(v.Details, func(f policy.Finding) bool { return f.Rule == policy.ReasonForbidden })
}

// window is a part of a file: whole lines, as many as fit, around the lines that are blamed.
type window struct {
	first, last, of int
	text            string
}

func windowOf(content string, blamed []int, most int) window {
	lines := strings.SplitAfter(strings.TrimSuffix(content, "\n"), "\n")
	w := window{first: 1, last: len(lines), of: len(lines), text: content}
	if len(content) <= most {
		return w
	}
	centre := 0
	if len(blamed) > 0 {
		centre = min(max(slices.Min(blamed)-1, 0), len(lines)-1)
	}
	if len(lines[centre]) > most {
		return window{first: centre + 1, last: centre + 1, of: len(lines), text: clip(lines[centre], most)}
	}
	from, to, size := centre, centre+1, len(lines[centre])
	for grew := true; grew; {
		grew = false
		if to < len(lines) && size+len(lines[to]) <= most {
			size, to, grew = size+len(lines[to]), to+1, true
		}
		if from > 0 && size+len(lines[from-1]) <= most {
			size, from, grew = size+len(lines[from-1]), from-1, true
		}
	}
	return window{first: from + 1, last: to, of: len(lines), text: strings.Join(lines[from:to], "")}
}
