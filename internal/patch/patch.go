// Package patch reads a git diff and says what it does, without applying it.
//
// It promises that a Patch is the whole truth about the bytes it came from: a diff that git would not have
// written, that says anything outside a file's change, or that names a path which could leave the work tree or
// reach a .git folder on any file system is refused. It is pure.
package patch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// MaxBytes is the size above which a diff is not even read. The policy's own limit is far lower.
const MaxBytes = 8 << 20

// The reasons of Parse's errors. ReasonBad is that of a diff that git would not have written, or that can be read in
// two ways; the others say what is wrong with a path.
const (
	ReasonBad       = "bad_patch"
	ReasonTwice     = "changed_twice"
	ReasonPath      = "bad_path"
	ReasonOutside   = "path_outside_tree"
	ReasonGitFolder = "git_folder"
)

// Git's file modes, as they stand in a diff.
const (
	ModeRegular    = 0o100644
	ModeExecutable = 0o100755
	ModeSymlink    = 0o120000
	ModeGitlink    = 0o160000
)

// Patch is a parsed diff.
type Patch struct {
	Files []File
	// Added and Removed are the changed lines of text files, in the order of the diff.
	Added   []Line
	Removed []Line
	// Context are the lines around the changes, as they are after them.
	Context []Line
	// Bytes is the size of the diff itself.
	Bytes int
}

// File is the change to one file. OldPath is empty for a new file, NewPath for a deleted one.
type File struct {
	OldPath, NewPath string
	Added, Removed   int
	IsNew, IsDelete  bool
	IsRename, IsCopy bool
	IsBinary         bool
	// OldMode and NewMode are git's modes, 0 where the diff doesn't say.
	OldMode, NewMode uint32
}

// Line is one added or removed line. Number counts from 1 in the file as it is after (for an added line) or
// before (for a removed one). Text has no line end.
type Line struct {
	File   string
	Number int
	Text   string
}

// Path is the file's path after the change, or before it when the file is deleted.
func (f File) Path() string {
	if f.NewPath != "" {
		return f.NewPath
	}
	return f.OldPath
}

// Paths are all the paths that the change touches: one, or two for a rename.
func (f File) Paths() []string {
	if f.OldPath != "" && f.NewPath != "" && f.OldPath != f.NewPath {
		return []string{f.OldPath, f.NewPath}
	}
	return []string{f.Path()}
}

// ModeChange says whether an existing file gets another mode.
func (f File) ModeChange() bool {
	return !f.IsNew && !f.IsDelete && f.NewMode != 0 && f.OldMode != f.NewMode
}

// Symlink says whether the file is a symbolic link before or after the change.
func (f File) Symlink() bool { return f.OldMode == ModeSymlink || f.NewMode == ModeSymlink }

// Gitlink says whether the file is a submodule before or after the change.
func (f File) Gitlink() bool { return f.OldMode == ModeGitlink || f.NewMode == ModeGitlink }

// Digest names a diff by its bytes: "sha256:" and 64 hexadecimal digits.
func Digest(diff []byte) string {
	sum := sha256.Sum256(diff)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Parse reads a diff as git writes it (with a/ and b/ prefixes). An empty diff is a patch of no files. Every
// error is permanent under ReasonBad.
func Parse(diff []byte) (*Patch, error) {
	if len(diff) > MaxBytes {
		return nil, fault.Permf(ReasonBad, "diff of %d bytes: more than %d", len(diff), MaxBytes)
	}
	shape, err := walk(diff)
	if err != nil {
		return nil, fault.Perm(ReasonBad, err)
	}
	files, preamble, err := gitdiff.Parse(bytes.NewReader(diff))
	if err != nil {
		return nil, fault.Perm(ReasonBad, err)
	}
	if preamble != "" {
		return nil, fault.Permf(ReasonBad, "text before the first file")
	}
	p := &Patch{Bytes: len(diff)}
	seen := map[string]bool{}
	for _, gf := range files {
		f, err := p.add(gf)
		if _, named := fault.Reason(err); named {
			return nil, err
		}
		if err != nil {
			return nil, fault.Perm(ReasonBad, err)
		}
		for _, path := range f.Paths() {
			if seen[path] {
				return nil, fault.Permf(ReasonTwice, "%q is changed twice", path)
			}
			seen[path] = true
		}
		p.Files = append(p.Files, f)
	}
	// Two readers that disagree about a diff are how something gets past one of them.
	if got := (counts{len(p.Files), len(p.Added), len(p.Removed)}); got != shape {
		return nil, fault.Permf(ReasonBad, "ambiguous diff: read as %+v and as %+v", shape, got)
	}
	return p, nil
}

func (p *Patch) add(gf *gitdiff.File) (File, error) {
	f := File{
		OldPath: gf.OldName, NewPath: gf.NewName,
		IsNew: gf.IsNew, IsDelete: gf.IsDelete, IsRename: gf.IsRename, IsCopy: gf.IsCopy,
		IsBinary: gf.IsBinary || gf.BinaryFragment != nil,
		OldMode:  uint32(gf.OldMode), NewMode: uint32(gf.NewMode),
	}
	if f.IsNew {
		f.OldPath = ""
	}
	if f.IsDelete {
		f.NewPath = ""
	}
	if err := f.check(); err != nil {
		return File{}, err
	}
	for _, frag := range gf.TextFragments {
		oldLine, newLine := int(frag.OldPosition), int(frag.NewPosition)
		for _, l := range frag.Lines {
			text := strings.TrimSuffix(l.Line, "\n")
			switch l.Op {
			case gitdiff.OpAdd:
				p.Added = append(p.Added, Line{File: f.Path(), Number: newLine, Text: text})
				f.Added++
				newLine++
			case gitdiff.OpDelete:
				p.Removed = append(p.Removed, Line{File: f.OldPath, Number: oldLine, Text: text})
				f.Removed++
				oldLine++
			case gitdiff.OpContext:
				p.Context = append(p.Context, Line{File: f.Path(), Number: newLine, Text: text})
				oldLine++
				newLine++
			}
		}
	}
	return f, nil
}

func (f File) check() error {
	for _, path := range []string{f.OldPath, f.NewPath} {
		if path == "" {
			continue
		}
		if err := CheckPath(path); err != nil {
			return err
		}
	}
	if f.Path() == "" {
		return fmt.Errorf("a change without a path")
	}
	if !f.IsNew && !f.IsDelete && !f.IsRename && !f.IsCopy && f.OldPath != f.NewPath {
		return fmt.Errorf("%q becomes %q without a rename", f.OldPath, f.NewPath)
	}
	for _, mode := range []uint32{f.OldMode, f.NewMode} {
		switch mode {
		case 0, ModeRegular, ModeExecutable, ModeSymlink, ModeGitlink:
		default:
			return fmt.Errorf("%q: mode %o", f.Path(), mode)
		}
	}
	return nil
}
