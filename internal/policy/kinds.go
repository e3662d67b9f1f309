package policy

import "github.com/sre-agent/sre-agent/internal/patch"

// kindsAllowed: a patch changes the text of regular files, and nothing else about them.
func kindsAllowed(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, f := range p.Files {
		switch {
		case f.Symlink():
			out = append(out, Finding{ReasonSymlink, f.Path(), "symbolic links are not changed"})
		case f.Gitlink():
			out = append(out, Finding{ReasonGitlink, f.Path(), "submodules are not changed"})
		case f.IsBinary:
			out = append(out, Finding{ReasonBinary, f.Path(), "binary files are not changed"})
		case f.ModeChange():
			out = append(out, Finding{ReasonMode, f.Path(), "file modes are not changed"})
		case f.IsNew && f.NewMode != patch.ModeRegular:
			out = append(out, Finding{ReasonMode, f.Path(), "new files are not executable"})
		}
	}
	return out
}
