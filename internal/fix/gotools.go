package fix

import (
	"go/version"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// installGoTool builds a tool from its own module into a cache of its own, once. It sees no work tree, so nothing of
// the repository has a say in it, and building a Go program runs none of it.
const installGoTool = `if [ ! -e "$SRE_TOOL/.complete" ]; then
  (
    export GOENV=off GOTOOLCHAIN=local GOWORK=off GOVCS='*:off' GOFLAGS=-modcacherw CGO_ENABLED=0
    export GOPROXY="${GOPROXY:-https://proxy.golang.org}" GOBIN="$SRE_TOOL/bin"
    export GOPATH="$SRE_TOOL/.build" GOMODCACHE="$SRE_TOOL/.build/mod" GOCACHE="$SRE_TOOL/.build/cache"
    rm -rf -- "$SRE_TOOL/.build"
    go install -ldflags='-s -w' `

const installed = `
    rm -rf -- "$SRE_TOOL/.build"
  )
`

// goToolRule is for tools that are Go programs: the version that the repository pins, built from source.
func goToolRule(e *entry, in Inputs) (decision, error) {
	if have := in.Tools["go"]; !version.IsValid(have) {
		return decision{}, fault.Permf(ReasonToolVersionUnknown, "the sandbox's go says %q of its version", have)
	}
	c, err := e.Tool.called(in)
	if err != nil {
		return decision{}, err
	}
	p, err := e.Tool.pinned(in)
	if err != nil {
		return decision{}, err
	}
	pkg, err := e.Tool.goPackage(p.version)
	if err != nil {
		return decision{}, err
	}
	install := installGoTool + Quote(pkg+"@"+p.version) + installed
	if p.exact() {
		install += `  : > "$SRE_TOOL/.complete"` + "\n"
	}
	flags := c.flags
	if flags != "" {
		flags = " " + flags
	}
	return decision{
		dir: ".", files: in.Match.Files, command: in.Report.Command,
		values: map[string]any{
			"Files": quotePaths(in.Match.Files), "Flags": flags, "Install": install + "fi",
			"Sources":   e.Tool.sources(in.Match.Files),
			"CacheName": e.Tool.Names[0] + "-" + p.version, "Version": p.version, "Words": c.words,
		},
	}, nil
}

// sources lists the files to work on, each with a NUL after it: those that the failure names, else the repository's
// own. Files that say that they are generated are left to their generator.
func (t toolSpec) sources(files []string) string {
	list := "printf '%s\\0' " + quotePaths(files)
	if len(files) == 0 {
		var names []string
		for _, name := range t.Find {
			names = append(names, "-name "+Quote(name))
		}
		list = `find . \( -name .git -o -name vendor -o -name node_modules -o -name testdata \) -prune -o -type f \( ` + strings.Join(names, " -o ") + ` \) -print0`
	}
	return list + ` | xargs -0 -r grep -LZE '^(//|#) Code generated .* DO NOT EDIT\.$' --`
}

// bufRule runs buf where its configuration is.
func bufRule(e *entry, in Inputs) (decision, error) {
	d, err := goToolRule(e, in)
	if err != nil {
		return d, err
	}
	var dirs []string
	for _, name := range []string{"buf.work.yaml", "buf.yaml"} {
		if dirs = dirsWith(name, in.RepoFiles); len(dirs) > 0 {
			break
		}
	}
	switch {
	case slices.Contains(dirs, ".") || len(dirs) == 0:
	case len(dirs) == 1:
		d.dir = dirs[0]
	default:
		return d, fault.Permf(ReasonAmbiguousFolder, "%d folders have a buf.yaml, and not the root", len(dirs))
	}
	files := relative(d.dir, in.Match.Files)
	if len(files) == 0 && len(in.Match.Files) > 0 {
		return d, fault.Permf(ReasonAmbiguousFolder, "the failure names files outside of %s", d.dir)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, "--path "+quotePaths([]string{f}))
	}
	d.values["Paths"] = strings.Join(paths, " ")
	return d, nil
}

var (
	configMajor = regexp.MustCompile(`(?m)^["']?version["']?\s*[:=]\s*["']?(\d+)`)
	golangciCfg = regexp.MustCompile(`(?:^|/)\.golangci\.(?:ya?ml|toml|json)$`)
)

// golangciRule runs golangci-lint on the module whose files the failure names. The module's dependencies are fetched
// beforehand, by the text of its go.mod alone.
func golangciRule(e *entry, in Inputs) (decision, error) {
	if len(in.Match.Files) == 0 {
		return decision{}, fault.Permf(ReasonNoCheck, "the failure names no file for golangci-lint to mend")
	}
	d, err := goToolRule(e, in)
	if err != nil {
		return d, err
	}
	if d.dir, err = moduleOf(in.Match.Files, in.RepoFiles); err != nil {
		return d, err
	}
	for name, data := range in.Files {
		m := configMajor.FindSubmatch(data)
		if !golangciCfg.MatchString(name) || !inFolder(name, d.dir) {
			continue
		}
		if (m != nil && string(m[1]) == "2") != strings.HasPrefix(d.values["Version"].(string), "v2.") {
			return d, fault.Permf(ReasonToolVersion, "%s is for another major version than golangci-lint %s", name, d.values["Version"])
		}
	}
	name := path.Join(d.dir, "go.mod")
	if d.values["Modules"], err = fetchModules(d.dir, in); err != nil {
		return d, fault.Permf(ReasonBadManifest, "%s: %v", name, err)
	}
	want, err := ReadGoMod(in.Files[name])
	if err != nil {
		return d, err
	}
	if have := in.Tools["go"]; want.Go != "" && version.Compare(want.Go, have) > 0 {
		return d, fault.Permf(ReasonToolVersion, "%s asks for %s and the sandbox has %s", name, want.Go, have)
	}
	var dirs []string
	for _, f := range relative(d.dir, in.Match.Files) {
		if dir := "./" + path.Dir(f); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	d.values["Folders"], d.values["Files"] = quotePaths(dirs), quotePaths(relative(d.dir, in.Match.Files))
	d.values["Fmt"] = slices.Contains(d.values["Words"].([]string), "fmt")
	return d, nil
}

// moduleOf is the folder of the one module that holds all of the files.
func moduleOf(files, repoFiles []string) (string, error) {
	modules := dirsWith("go.mod", repoFiles)
	found := ""
	for _, f := range files {
		dir := path.Dir(f)
		for !slices.Contains(modules, dir) && dir != "." {
			dir = path.Dir(dir)
		}
		if !slices.Contains(modules, dir) {
			return "", fault.Permf(ReasonAmbiguousFolder, "%s belongs to no module", f)
		}
		if found != "" && dir != found {
			return "", fault.Permf(ReasonAmbiguousFolder, "the failure names files of two modules, %s and %s", found, dir)
		}
		found = dir
	}
	return found, nil
}

func inFolder(name, dir string) bool {
	return path.Dir(name) == dir || path.Dir(name) == "."
}

// maxGoMod is the largest go.mod that travels in a script.
const maxGoMod = 60_000

// withoutLocal takes out of a go.mod what only the work tree has: modules that it replaces by folders.
func withoutLocal(data []byte) (string, error) {
	if len(data) > maxGoMod {
		return "", fault.Permf(ReasonBadManifest, "%d bytes", len(data))
	}
	f, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return "", err
	}
	for _, r := range slices.Clone(f.Replace) {
		if !modfile.IsDirectoryPath(r.New.Path) {
			continue
		}
		old := r.Old // dropping empties what r points to
		if err := f.DropReplace(old.Path, old.Version); err != nil {
			return "", err
		}
		if err := f.DropRequire(old.Path); err != nil {
			return "", err
		}
	}
	f.Cleanup()
	out, err := f.Format()
	return string(out), err
}
