package docker

import (
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// from is a base image and the place of its reference.
type from struct {
	image
	stage      string
	start, end int
}

// From pins a base image. Group names one stage; without it every stage with the image is meant.
func From(src []byte, dep edit.Dependency) ([]byte, error) {
	if dep.Action != edit.Pin {
		return nil, fault.Permf(edit.NoAdapter, "of a Dockerfile's images only pin_dependency is known")
	}
	if len(dep.Name) > 255 || !nameRE.MatchString(dep.Name) {
		return nil, fault.Permf(edit.Invalid, "name %q is no image's name", dep.Name)
	}
	want, err := version(dep.Version)
	if err != nil {
		return nil, err
	}
	all, err := read(src)
	if err != nil {
		return nil, err
	}
	var found []from
	for _, f := range bases(src, all) {
		if f.name == dep.Name && (dep.Group == "" || strings.EqualFold(f.stage, dep.Group)) {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil, fault.Permf(edit.NotFound, "no stage is built from %s", dep.Name)
	}
	var edits []edit.Edit
	for _, f := range found {
		if f.image != found[0].image {
			return nil, fault.Permf(edit.Ambiguous, "%s is used with several tags: name the stage as the group", dep.Name)
		}
		e, err := pin(src, all, f, want)
		if err != nil {
			return nil, err
		}
		if e.Start < e.End && (len(edits) == 0 || edits[len(edits)-1] != e) {
			edits = append(edits, e)
		}
	}
	return edit.Do(src, edits...)
}

// bases finds the reference of every FROM, in the text itself.
func bases(src []byte, all []instruction) []from {
	var out []from
	stages := map[string]bool{}
	for _, in := range all {
		if in.word != "from" || in.node.Next == nil {
			continue
		}
		ref, stage := in.node.Next.Value, ""
		if as := in.node.Next.Next; as != nil && strings.EqualFold(as.Value, "as") && as.Next != nil {
			stage = as.Next.Value
		}
		if !stages[strings.ToLower(ref)] {
			if at := word(src[in.start:in.end], ref); at >= 0 {
				out = append(out, from{parseImage(ref), stage, in.start + at, in.start + at + len(ref)})
			}
		}
		stages[strings.ToLower(stage)] = true
	}
	return out
}

// word is where the text has the word between blanks, behind its first word, or -1.
func word(text []byte, w string) int {
	at := strings.IndexAny(string(text), " \t")
	for at >= 0 && at < len(text) {
		i := strings.Index(string(text[at:]), w)
		if i < 0 {
			return -1
		}
		i += at
		end := i + len(w)
		if strings.ContainsRune(" \t", rune(text[i-1])) && (end == len(text) || strings.ContainsRune(" \t\r\n", rune(text[end]))) {
			return i
		}
		at = i + 1
	}
	return -1
}

func pin(src []byte, all []instruction, f from, want image) (edit.Edit, error) {
	if m := argRE.FindStringSubmatch(f.tag); m != nil && f.digest == "" {
		return pinArg(src, all, m[1]+m[2], want)
	}
	if strings.Contains(f.tag+f.digest, "$") {
		return edit.Edit{}, fault.Permf(edit.Declined, "%s is put together from variables", f.image)
	}
	next := image{f.name, want.tag, want.digest}
	if next.tag == "" {
		next.tag = f.tag
	}
	if next.digest == "" && f.digest != "" {
		if next.tag == f.tag {
			return edit.Edit{}, nil
		}
		return edit.Edit{}, fault.Permf(edit.Declined, "%s has a digest: give the new one too, as tag@sha256:…", f.image)
	}
	if next == f.image {
		return edit.Edit{}, nil
	}
	return edit.Edit{Start: f.start, End: f.end, Text: next.String()}, nil
}

// pinArg changes the default of the argument that holds the tag, if nothing but this image's FROM uses it.
func pinArg(src []byte, all []instruction, name string, want image) (edit.Edit, error) {
	value := want.tag
	if want.digest != "" {
		return edit.Edit{}, fault.Permf(edit.Declined, "the tag is the argument %s: it can't hold a digest", name)
	}
	if uses(src, all, name) != 1 {
		return edit.Edit{}, fault.Permf(edit.Ambiguous, "the argument %s is used more than once", name)
	}
	for _, in := range all {
		if in.word == "from" {
			break
		}
		if in.word != "arg" || in.node.Next == nil || in.node.Next.Next != nil {
			continue
		}
		have, ok := strings.CutPrefix(in.node.Next.Value, name+"=")
		if !ok || !tagRE.MatchString(have) {
			continue
		}
		at := word(src[in.start:in.end], in.node.Next.Value)
		if at < 0 {
			continue
		}
		if have == value {
			return edit.Edit{}, nil
		}
		start := in.start + at + len(name) + 1
		return edit.Edit{Start: start, End: start + len(have), Text: value}, nil
	}
	return edit.Edit{}, fault.Permf(edit.Declined, "the tag is the argument %s, which has no plain default", name)
}

// uses counts the uses of an argument; an ARG inside a stage brings it in there too.
func uses(src []byte, all []instruction, name string) int {
	n := len(regexp.MustCompile(`\$(\{`+name+`\b|`+name+`\b)`).FindAll(src, -1))
	seen := false
	for _, in := range all {
		seen = seen || in.word == "from"
		if seen && in.word == "arg" && in.node.Next != nil && in.node.Next.Value == name {
			n++
		}
	}
	return n
}
