// Package gomod changes the requirements of a go.mod.
//
// It promises that only the line of the named module changes, that versions are canonical for their path, and that
// a module which is replaced or excluded is left to a person. It is pure.
package gomod

import (
	"bytes"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

const indirect = "indirect"

func check(dep edit.Dependency) error {
	if dep.Group != "" && (dep.Group != indirect || dep.Action != edit.Add) {
		return fault.Permf(edit.Invalid, "group %q: go.mod knows only indirect, for add_dependency", dep.Group)
	}
	if dep.Action == edit.Remove {
		if err := module.CheckPath(dep.Name); err != nil {
			return fault.Permf(edit.Invalid, "name %q is no module's path", dep.Name)
		}
		return nil
	}
	if err := module.Check(dep.Name, dep.Version); err != nil || semver.Canonical(dep.Version) == "" {
		return fault.Permf(edit.Invalid, "%q at %q is no module and version, such as golang.org/x/mod and v0.42.0: %v", dep.Name, dep.Version, err)
	}
	return nil
}

// Manifest changes a go.mod. The group "indirect" marks an addition so.
func Manifest(src []byte, dep edit.Dependency) ([]byte, error) {
	if err := check(dep); err != nil {
		return nil, err
	}
	f, err := read(src)
	if err != nil {
		return nil, err
	}
	if err := declined(f, dep); err != nil {
		return nil, err
	}
	var req *modfile.Require
	for _, r := range f.Require {
		if r.Mod.Path == dep.Name {
			if req != nil {
				return nil, fault.Permf(edit.Ambiguous, "%s is required twice", dep.Name)
			}
			req = r
		}
	}
	switch {
	case req == nil && dep.Action == edit.Pin:
		return nil, fault.Permf(edit.NotFound, "%s is not required: add_dependency adds it", dep.Name)
	case req == nil && dep.Action == edit.Remove, req != nil && req.Mod.Version == dep.Version:
		return src, nil
	case req == nil:
		return edit.Do(src, add(src, f, dep))
	case dep.Action == edit.Add:
		return nil, fault.Permf(edit.Conflict, "%s is required already at %s: pin_dependency changes it", dep.Name, req.Mod.Version)
	case dep.Action == edit.Remove:
		return edit.Do(src, drop(src, f, req))
	}
	return pin(src, req, dep.Version)
}

func read(src []byte) (f *modfile.File, err error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	f, err = modfile.Parse("go.mod", src, nil)
	if err != nil {
		return nil, fault.Perm(edit.Unreadable, err)
	}
	if f.Module == nil {
		return nil, fault.Permf(edit.Unreadable, "the file names no module")
	}
	return f, nil
}

func declined(f *modfile.File, dep edit.Dependency) error {
	for _, r := range f.Replace {
		if r.Old.Path == dep.Name {
			return fault.Permf(edit.Declined, "%s is replaced by %s", dep.Name, r.New.Path)
		}
	}
	for _, x := range f.Exclude {
		if x.Mod.Path == dep.Name && x.Mod.Version == dep.Version {
			return fault.Permf(edit.Declined, "%s %s is excluded", dep.Name, dep.Version)
		}
	}
	if f.Module.Mod.Path == dep.Name {
		return fault.Permf(edit.Declined, "%s is the module itself", dep.Name)
	}
	return nil
}

// pin writes the version anew: the last word of the requirement's line.
func pin(src []byte, req *modfile.Require, version string) ([]byte, error) {
	start, end := req.Syntax.Start.Byte, req.Syntax.End.Byte
	word := req.Syntax.Token[len(req.Syntax.Token)-1]
	at := bytes.LastIndex(src[start:end], []byte(word))
	if at < 0 {
		return nil, fault.Permf(edit.Declined, "the version of %s is written in an unusual way", req.Mod.Path)
	}
	return edit.Do(src, edit.Edit{Start: start + at, End: start + at + len(word), Text: version})
}

// add puts the line into the first block of its kind, in order if the block is, or behind the last requirement.
func add(src []byte, f *modfile.File, dep edit.Dependency) edit.Edit {
	text := modfile.AutoQuote(dep.Name) + " " + dep.Version
	if dep.Group == indirect {
		text += " // indirect"
	}
	if block := blockFor(f, dep.Group == indirect); block != nil {
		for _, line := range block.Line {
			if line.Token[0] > dep.Name {
				at := edit.LineStart(src, line.Start.Byte)
				if len(line.Comments.Before) > 0 {
					at = edit.LineStart(src, line.Comments.Before[0].Start.Byte)
				}
				return edit.Edit{Start: at, End: at, Text: "\t" + text + edit.LineEnd(src)}
			}
		}
		return edit.After(src, block.Line[len(block.Line)-1].Start.Byte, "\t"+text)
	}
	last := f.Module.Syntax.End.Byte
	if f.Go != nil {
		last = f.Go.Syntax.End.Byte
	}
	if f.Toolchain != nil {
		last = f.Toolchain.Syntax.End.Byte
	}
	if n := len(f.Require); n > 0 && !f.Require[n-1].Syntax.InBlock {
		return edit.After(src, f.Require[n-1].Syntax.Start.Byte, "require "+text)
	}
	return edit.After(src, max(last-1, 0), edit.LineEnd(src)+"require "+text)
}

// blockFor is the first block of several lines whose requirements are mostly of the kind.
func blockFor(f *modfile.File, indirect bool) *modfile.LineBlock {
	var first *modfile.LineBlock
	for _, stmt := range f.Syntax.Stmt {
		block, ok := stmt.(*modfile.LineBlock)
		if !ok || len(block.Line) == 0 || block.Token[0] != "require" {
			continue
		}
		if first == nil {
			first = block
		}
		n := 0
		for _, line := range block.Line {
			if len(line.Suffix) > 0 && strings.Contains(line.Suffix[0].Token, "indirect") {
				n++
			}
		}
		if (2*n > len(block.Line)) == indirect {
			return block
		}
	}
	return first
}

// drop takes the requirement's line, or the whole block if it is its only one.
func drop(src []byte, f *modfile.File, req *modfile.Require) edit.Edit {
	for _, stmt := range f.Syntax.Stmt {
		if block, ok := stmt.(*modfile.LineBlock); ok && len(block.Line) == 1 && block.Line[0] == req.Syntax {
			start := block.Start.Byte
			stop := edit.LineStop(src, block.RParen.Pos.Byte)
			if rest := src[stop:]; bytes.HasPrefix(rest, []byte("\n")) && (start < 2 || src[start-2] == '\n') {
				stop++
			}
			return edit.Edit{Start: start, End: stop}
		}
	}
	start := edit.LineStart(src, req.Syntax.Start.Byte)
	return edit.Edit{Start: start, End: edit.LineStop(src, req.Syntax.Start.Byte)}
}
