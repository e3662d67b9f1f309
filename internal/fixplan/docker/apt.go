package docker

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// The settings of an apt-get line. The value is a package that the line installs, and so says which one is meant.
const (
	KeyCleanUp      = "apt-get.clean-up"
	KeyNoRecommends = "apt-get.no-install-recommends"
)

const cleanUp = "rm -rf /var/lib/apt/lists/*"

var (
	installRE = regexp.MustCompile(`\bapt-get((?:[ \t]+-[^ \t\r\n]+)*)[ \t]+install\b`)
	packageRE = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	listsRE   = regexp.MustCompile(`rm\s+-[a-z]*r[a-z]*\s+[^&;|]*/var/lib/apt/lists`)
)

// Apt changes the RUN instruction that installs the package by apt-get.
func Apt(src []byte, set edit.Setting) ([]byte, error) {
	key := strings.Join(set.Key, ".")
	if key != KeyCleanUp && key != KeyNoRecommends {
		return nil, fault.Permf(edit.NoAdapter, "key %q: of a Dockerfile %s and %s are known", key, KeyCleanUp, KeyNoRecommends)
	}
	if len(set.Value) > 100 || !packageRE.MatchString(set.Value) {
		return nil, fault.Permf(edit.Invalid, "value %q is no Debian package's name", set.Value)
	}
	all, err := read(src)
	if err != nil {
		return nil, err
	}
	var found []instruction
	for _, in := range all {
		if in.word == "run" && installs(string(src[in.start:in.end]), set.Value) {
			found = append(found, in)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fault.Permf(edit.NotFound, "no RUN installs %s by apt-get", set.Value)
	case len(found) > 1:
		return nil, fault.Permf(edit.Ambiguous, "%d RUN instructions install %s", len(found), set.Value)
	}
	in := found[0]
	if len(in.node.Heredocs) > 0 || in.node.Attributes["json"] {
		return nil, fault.Permf(edit.Declined, "the RUN is a here-document or a list")
	}
	if key == KeyNoRecommends {
		return noRecommends(src, in)
	}
	return clean(src, in)
}

func installs(text, name string) bool {
	at := installRE.FindStringIndex(text)
	return at != nil && slices.ContainsFunc(strings.Fields(text[at[1]:]), func(w string) bool {
		pkg, _, _ := strings.Cut(strings.TrimRight(w, ";"), "=")
		return pkg == name
	})
}

func noRecommends(src []byte, in instruction) ([]byte, error) {
	text := string(src[in.start:in.end])
	if strings.Contains(text, "--no-install-recommends") || strings.Contains(text, "APT::Install-Recommends") {
		return src, nil
	}
	at := installRE.FindAllStringIndex(text, 2)
	if len(at) > 1 {
		return nil, fault.Permf(edit.Ambiguous, "the RUN has several apt-get install")
	}
	place := in.start + at[0][1]
	return edit.Do(src, edit.Edit{Start: place, End: place, Text: " --no-install-recommends"})
}

// clean adds the command at the instruction's end, in the way that its lines are continued.
func clean(src []byte, in instruction) ([]byte, error) {
	text := string(src[in.start:in.end])
	if listsRE.MatchString(text) || strings.Contains(text, "--mount=type=cache") {
		return src, nil
	}
	body := strings.TrimRight(text, " \t\r\n")
	lastLine := body[strings.LastIndexByte(body, '\n')+1:]
	if strings.ContainsAny(lastLine, "#|`\"'") || strings.HasSuffix(body, `\`) || strings.HasSuffix(body, ";") || strings.HasSuffix(body, "&") || strings.Contains(body, "||") {
		return nil, fault.Permf(edit.Declined, "the RUN ends in a way that can't be continued")
	}
	at := in.start + len(body)
	add := " && " + cleanUp
	if first := strings.IndexByte(body, '\n'); first >= 0 {
		head := strings.TrimRight(body[:first], " \t\r")
		if !strings.HasSuffix(head, `\`) && !strings.HasSuffix(head, "`") {
			return nil, fault.Permf(edit.Declined, "the RUN is continued in an unusual way")
		}
		add = " " + head[len(head)-1:] + edit.LineEnd(src) + leadOf(body, lastLine) + "&& " + cleanUp
	}
	return edit.Do(src, edit.Edit{Start: at, End: at, Text: add})
}

// leadOf is what stands before the first && that begins a line, or before the last line.
func leadOf(body, lastLine string) string {
	for _, line := range strings.Split(body, "\n") {
		if rest := strings.TrimLeft(line, " \t"); strings.HasPrefix(rest, "&& ") {
			return line[:len(line)-len(rest)]
		}
	}
	return lastLine[:len(lastLine)-len(strings.TrimLeft(lastLine, " \t"))]
}
