package failure

import (
	"regexp"
	"strings"
)

// fileSet gathers the paths that an output names.
type fileSet struct {
	names []string
	seen  map[string]bool
}

func newFileSet() *fileSet { return &fileSet{seen: map[string]bool{}} }

var (
	// checkout is where runners put the work tree.
	checkout = regexp.MustCompile(`(?:/home/runner/work/[^/\s]+/[^/\s]+|/__w/[^/\s]+/[^/\s]+|/Users/runner/work/[^/\s]+/[^/\s]+|/builds/[^/\s]+/[^/\s]+|/github/workspace)/`)
	// token is a path with an extension, or one of the well-known names without.
	token = regexp.MustCompile(`(?:[\w.@+\[\]()~-]+/)*(?:[\w.@+\[\]()~-]*\.[A-Za-z][\w]{0,9}|Makefile|Dockerfile|go\.mod|go\.sum)`)
	// wholeLine is a line that is nothing but a path, as gofmt -l and prettier print it; it may hold blanks.
	wholeLine = regexp.MustCompile(`^(?:\[(?:warn|error)\] )?(?:\./)?([^\s:][^:]{0,300}\.\w{1,10})$`)
	gitPrefix = regexp.MustCompile(`^(?:diff --git |diff |--- |\+\+\+ )`)
)

func (s *fileSet) see(text string) {
	if len(s.names) >= maxFiles || text == "" {
		return
	}
	text = checkout.ReplaceAllString(text, "")
	if m := wholeLine.FindStringSubmatch(text); m != nil {
		s.add(m[1])
	}
	git := gitPrefix.MatchString(text)
	for _, name := range token.FindAllString(text, 50) {
		s.add(name)
		if rest, ok := strings.CutPrefix(name, "a/"); git && ok {
			s.add(rest)
		}
		if rest, ok := strings.CutPrefix(name, "b/"); git && ok {
			s.add(rest)
		}
		s.add(strings.TrimSuffix(name, ".orig"))
	}
}

func (s *fileSet) add(name string) {
	name = strings.TrimPrefix(name, "./")
	if name == "" || s.seen[name] || len(s.names) >= maxFiles || strings.HasPrefix(name, "/") || strings.Contains("/"+name+"/", "/../") {
		return
	}
	s.seen[name] = true
	s.names = append(s.names, name)
}
