package java

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// declaration is a dependency in a build file and the places of its line and version.
type declaration struct {
	configuration string
	name, version string
	start, end    int
	// versionAt is where the version stands, or 0.
	versionAt, versionTo int
	top                  bool
}

// gradleFile is what a build file says of dependencies.
type gradleFile struct {
	src   []byte
	found []declaration
	// closing is the place of the brace that closes the top dependencies block, or 0.
	closing, opening int
}

// Gradle changes a build.gradle or a build.gradle.kts. Group is a configuration, such as testImplementation.
func Gradle(src []byte, dep edit.Dependency) ([]byte, error) {
	if err := check(dep); err != nil {
		return nil, err
	}
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	f := readGradle(src)
	var found []declaration
	for _, d := range f.found {
		if d.name == dep.Name && (dep.Group == "" || d.configuration == dep.Group) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0 && dep.Action == edit.Pin:
		return nil, notFound(dep)
	case len(found) == 0 && dep.Action == edit.Remove:
		return src, nil
	case len(found) == 0:
		return f.add(dep)
	case dep.Action == edit.Remove:
		return f.remove(found)
	}
	return f.pin(found, dep)
}

func readGradle(src []byte) *gradleFile {
	f := &gradleFile{src: src}
	tokens := lex(string(src))
	// block is how many braces are open at each dependencies block that is open.
	var blocks []int
	depth, begin := 0, 0
	for i, t := range tokens {
		switch t.kind {
		case '{':
			depth++
			if i > 0 && tokens[i-1].text == "dependencies" && tokens[i-1].kind == 'w' {
				blocks = append(blocks, depth)
				if depth == 1 && f.opening == 0 {
					f.opening = t.end
				}
			}
			begin = i + 1
		case '}':
			if len(blocks) > 0 && blocks[len(blocks)-1] == depth {
				blocks = blocks[:len(blocks)-1]
				f.take(tokens[begin:i], depth == 1)
				if depth == 1 && f.closing == 0 {
					f.closing = t.start
				}
			}
			depth = max(depth-1, 0)
			begin = i + 1
		case '\n', ';':
			if len(blocks) > 0 {
				f.take(tokens[begin:i], depth == 1)
			}
			begin = i + 1
		}
		if t.kind == '{' && len(blocks) > 0 && depth > blocks[len(blocks)-1] {
			// A closure belongs to the declaration before it: implementation("a:b:1") { exclude(...) }.
			f.takeBefore(tokens, i, depth == 2)
		}
	}
	return f
}

// takeBefore reads the declaration on the line of a closure's brace.
func (f *gradleFile) takeBefore(tokens []token, brace int, top bool) {
	begin := brace
	for begin > 0 && tokens[begin-1].kind != '\n' && tokens[begin-1].kind != '{' && tokens[begin-1].kind != '}' && tokens[begin-1].kind != ';' {
		begin--
	}
	n := len(f.found)
	f.take(tokens[begin:brace], top)
	for i := n; i < len(f.found); i++ {
		// What has a closure is never taken away by its line.
		f.found[i].end = 0
	}
}

// take reads one line: configuration 'g:a:v', configuration("g:a:v"), or the same with names.
func (f *gradleFile) take(line []token, top bool) {
	if len(line) < 2 || line[0].kind != 'w' || !groupRE.MatchString(line[0].text) {
		return
	}
	d := declaration{configuration: line[0].text, start: line[0].start, end: line[len(line)-1].end, top: top}
	var texts []token
	named := map[string]token{}
	for i, t := range line[1:] {
		if t.kind != 's' {
			continue
		}
		texts = append(texts, t)
		// line[i] stands before t, because i counts from the second.
		if i > 0 && (line[i].kind == ':' || line[i].kind == '=') {
			named[line[i-1].text] = t
		}
	}
	if len(named) > 0 {
		d.name, d.version = named["group"].text+":"+named["name"].text, named["version"].text
		if v, ok := named["version"]; ok {
			d.versionAt, d.versionTo = v.start+1, v.end-1
		}
		f.found = append(f.found, d)
		return
	}
	if len(texts) != 1 {
		return
	}
	parts := strings.SplitN(texts[0].text, ":", 3)
	if len(parts) < 2 {
		return
	}
	d.name = parts[0] + ":" + parts[1]
	if len(parts) == 3 {
		d.versionAt = texts[0].start + 1 + len(d.name) + 1
		d.version = parts[2][:endOf(parts[2])]
		d.versionTo = d.versionAt + len(d.version)
	}
	f.found = append(f.found, d)
}

// endOf is where a version ends and a classifier or an extension begins.
func endOf(s string) int {
	if i := strings.IndexAny(s, ":@"); i >= 0 {
		return i
	}
	return len(s)
}

func (f *gradleFile) pin(found []declaration, dep edit.Dependency) ([]byte, error) {
	var edits []edit.Edit
	for _, d := range found {
		switch {
		case d.version != found[0].version:
			return nil, fault.Permf(edit.Ambiguous, "%s is there several times, with different versions", dep.Name)
		case d.version == dep.Version:
			continue
		case dep.Action == edit.Add:
			return nil, conflict(dep, d.version)
		case d.versionAt == 0 || !versionRE.MatchString(d.version):
			return nil, fault.Permf(edit.Declined, "the version of %s is set elsewhere: it is %q here", dep.Name, d.version)
		}
		edits = append(edits, edit.Edit{Start: d.versionAt, End: d.versionTo, Text: dep.Version})
	}
	return edit.Do(f.src, edits...)
}

func (f *gradleFile) remove(found []declaration) ([]byte, error) {
	if len(found) > 1 {
		return nil, fault.Permf(edit.Ambiguous, "%s is there %d times", found[0].name, len(found))
	}
	d := found[0]
	stop := edit.LineStop(f.src, d.start)
	rest := ""
	if d.end > 0 && d.end <= stop {
		rest = strings.TrimSpace(string(f.src[d.end:stop]))
	}
	alone := strings.TrimSpace(string(f.src[edit.LineStart(f.src, d.start):d.start])) == ""
	if d.end == 0 || d.end > stop || !alone || (rest != "" && !strings.HasPrefix(rest, "//")) {
		return nil, fault.Permf(edit.Declined, "%s does not stand on a line of its own", d.name)
	}
	return edit.Do(f.src, edit.Edit{Start: edit.LineStart(f.src, d.start), End: stop})
}

// add puts a line behind the last one of the same configuration, or of the top block, and writes it as that is.
func (f *gradleFile) add(dep edit.Dependency) ([]byte, error) {
	if f.opening == 0 || f.closing == 0 {
		return nil, fault.Permf(edit.NotFound, "the file has no block dependencies at its top")
	}
	configuration := dep.Group
	if configuration == "" {
		configuration = "implementation"
	}
	var like *declaration
	for i, d := range f.found {
		if d.top && d.end > 0 && (like == nil || d.configuration == configuration || like.configuration != configuration) {
			like = &f.found[i]
		}
	}
	coordinates := dep.Name + ":" + dep.Version
	if like == nil {
		line := configuration + `("` + coordinates + `")`
		at := edit.LineStop(f.src, f.opening)
		if at > f.closing {
			return nil, fault.Permf(edit.Declined, "the block dependencies is on one line")
		}
		indent := edit.Indent(f.src, f.closing) + "    "
		return edit.Do(f.src, edit.Edit{Start: at, End: at, Text: indent + line + edit.LineEnd(f.src)})
	}
	quote, open, shut := `"`, "(", ")"
	text := string(f.src[like.start:like.end])
	if !strings.Contains(text, "(") {
		open, shut = " ", ""
	}
	if strings.Contains(text, "'") {
		quote = "'"
	}
	stop := edit.LineStop(f.src, like.end-1)
	if stop > f.closing {
		return nil, fault.Permf(edit.Declined, "the block dependencies is on one line")
	}
	line := edit.Indent(f.src, like.start) + configuration + open + quote + coordinates + quote + shut
	return edit.Do(f.src, edit.Edit{Start: stop, End: stop, Text: line + edit.LineEnd(f.src)})
}
