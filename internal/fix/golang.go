package fix

import (
	"fmt"
	"go/version"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// GoVersions are what a go.mod asks for, as "go1.22.1"; "" where it doesn't say.
type GoVersions struct{ Go, Toolchain string }

// ReadGoMod reads the versions out of a go.mod.
func ReadGoMod(data []byte) (GoVersions, error) {
	if len(data) > 1<<20 {
		return GoVersions{}, fault.Permf(ReasonBadManifest, "go.mod of %d bytes", len(data))
	}
	f, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil {
		return GoVersions{}, fault.Permf(ReasonBadManifest, "go.mod: %v", err)
	}
	var v GoVersions
	if f.Go != nil {
		v.Go = "go" + f.Go.Version
	}
	// The lax parser, which forgives what a newer Go added, also passes over the toolchain.
	for _, stmt := range f.Syntax.Stmt {
		line, ok := stmt.(*modfile.Line)
		if ok && len(line.Token) == 2 && line.Token[0] == "toolchain" && version.IsValid(line.Token[1]) {
			v.Toolchain = line.Token[1]
		}
	}
	return v, nil
}

var (
	goVersionKey = regexp.MustCompile(`(?m)^\s*(?:-\s+)?["']?go(?:[-_]versions?)?["']?:\s*(.+)$`)
	goVersionNum = regexp.MustCompile(`\b1\.\d{1,3}(?:\.\d{1,3})?\b`)
	floating     = regexp.MustCompile(`stable|\^|>|\.x|~|\$\{\{`)
)

// WorkflowGoVersion is the highest Go version that a GitHub workflow pins, "" if it pins none or lets it float.
func WorkflowGoVersion(workflow []byte) string {
	highest := ""
	for _, m := range goVersionKey.FindAllSubmatch(workflow[:min(len(workflow), 1<<20)], 100) {
		value, _, _ := strings.Cut(string(m[1]), " #")
		if floating.MatchString(value) {
			return ""
		}
		for _, num := range goVersionNum.FindAllString(value, -1) {
			if v := "go" + num; highest == "" || version.Compare(v, highest) > 0 {
				highest = v
			}
		}
	}
	return highest
}

// docComments is the first Go whose gofmt rewrites doc comments. In a repository of an older Go, a newer gofmt
// changes files that are right for their own CI.
const docComments = "go1.19"

var simplify = regexp.MustCompile(`\bgofmt\b[^|;&\n]*\s-s\b`)

func gofmtRule(_ *entry, in Inputs) (decision, error) {
	have := in.Tools["go"]
	if !version.IsValid(have) {
		return decision{}, fault.Permf(ReasonToolVersionUnknown, "the sandbox's go says %q of its version", have)
	}
	want, from, err := repositoryGo(in)
	if err != nil {
		return decision{}, err
	}
	switch {
	case want == "":
	case version.Compare(version.Lang(want), version.Lang(have)) > 0:
		return decision{}, fault.Permf(ReasonToolVersion, "%s asks for %s and the sandbox has %s", from, want, have)
	case version.Compare(want, docComments) < 0 && version.Compare(have, docComments) >= 0:
		return decision{}, fault.Permf(ReasonToolVersion, "%s asks for %s, whose gofmt formats comments otherwise than %s does", from, want, have)
	}
	flag := ""
	if simplify.MatchString(in.Report.Command) {
		flag = " -s"
	}
	return decision{
		dir: ".", files: in.Match.Files, command: in.Report.Command,
		values: map[string]any{"Files": quotePaths(in.Match.Files), "Simplify": flag},
	}, nil
}

// repositoryGo is the Go that the repository's CI uses: what its workflows pin, else what its go.mod says.
func repositoryGo(in Inputs) (want, from string, err error) {
	for name, data := range in.Files {
		if !strings.HasPrefix(name, ".github/workflows/") {
			continue
		}
		if v := WorkflowGoVersion(data); v != "" && (want == "" || version.Compare(v, want) > 0) {
			want, from = v, "a workflow"
		}
	}
	if want != "" {
		return want, from, nil
	}
	dirs := dirsWith("go.mod", in.RepoFiles)
	if len(dirs) == 0 {
		return "", "", nil
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(a) - len(b) })
	name := path.Join(dirs[0], "go.mod")
	v, err := ReadGoMod(in.Files[name])
	if err != nil {
		return "", "", err
	}
	if v.Toolchain != "" && version.Compare(v.Toolchain, v.Go) > 0 {
		return v.Toolchain, name, nil
	}
	return v.Go, name, nil
}

var (
	goChdir = regexp.MustCompile(`\bgo -C ([\w./-]+) mod\b`)
	cd      = regexp.MustCompile(`(?:^|[\n;&(]\s*)cd ([\w./-]+)\s*(?:&&|;|\n)`)
)

func goModuleRule(_ *entry, in Inputs) (decision, error) {
	dir, err := moduleDir(in)
	if err != nil {
		return decision{}, err
	}
	name := path.Join(dir, "go.mod")
	data, ok := in.Files[name]
	if !ok {
		return decision{}, fault.Permf(ReasonBadManifest, "%s could not be read", name)
	}
	want, err := ReadGoMod(data)
	if err != nil {
		return decision{}, err
	}
	have := in.Tools["go"]
	if !version.IsValid(have) {
		return decision{}, fault.Permf(ReasonToolVersionUnknown, "the sandbox's go says %q of its version", have)
	}
	for _, v := range []string{want.Go, want.Toolchain} {
		if v != "" && version.Compare(v, have) > 0 {
			return decision{}, fault.Permf(ReasonToolVersion, "%s asks for %s and the sandbox has %s", name, v, have)
		}
	}
	if slices.Contains(in.RepoFiles, path.Join(dir, "vendor/modules.txt")) {
		return decision{}, fault.Permf(ReasonVendored, "%s is vendored: go mod tidy alone would leave the vendor folder behind", name)
	}
	return decision{
		dir: dir, command: in.Report.Command, values: map[string]any{},
		files: []string{name, path.Join(dir, "go.sum")},
	}, nil
}

// moduleDir is the folder of the module that the failure is about: the one that the command names, else the only
// one, else the root's.
func moduleDir(in Inputs) (string, error) {
	dirs := dirsWith("go.mod", in.RepoFiles)
	for _, re := range []*regexp.Regexp{goChdir, cd} {
		if m := re.FindStringSubmatch(in.Report.Command); m != nil {
			if dir := path.Clean(m[1]); slices.Contains(dirs, dir) {
				return dir, nil
			}
		}
	}
	switch {
	case len(dirs) == 1:
		return dirs[0], nil
	case slices.Contains(dirs, "."):
		return ".", nil
	}
	return "", fault.Perm(ReasonAmbiguousFolder, fmt.Errorf("%d modules, none at the root, and the failure names none", len(dirs)))
}
