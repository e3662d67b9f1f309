package fix

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// packageJSON is what of a package.json matters here. Odd types elsewhere must not make it unreadable.
type packageJSON struct {
	Dependencies         map[string]string          `json:"dependencies"`
	DevDependencies      map[string]string          `json:"devDependencies"`
	OptionalDependencies map[string]string          `json:"optionalDependencies"`
	Scripts              map[string]json.RawMessage `json:"scripts"`
	Prettier             json.RawMessage            `json:"prettier"`
	Workspaces           json.RawMessage            `json:"workspaces"`
	PackageManager       json.RawMessage            `json:"packageManager"`
}

func readPackage(data []byte) (packageJSON, error) {
	var p packageJSON
	if len(data) > 4<<20 {
		return p, fault.Permf(ReasonBadManifest, "package.json of %d bytes", len(data))
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fault.Permf(ReasonBadManifest, "package.json: %v", err)
	}
	return p, nil
}

// spec is what a package.json asks for of a tool, "" if it doesn't.
func (p packageJSON) spec(tool string) string {
	if s := p.DevDependencies[tool]; s != "" {
		return s
	}
	return p.Dependencies[tool]
}

func (p packageJSON) script(name string) string { return jsonString(p.Scripts[name]) }

func jsonString(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

var (
	exactVersion = regexp.MustCompile(`^\d{1,4}\.\d{1,4}\.\d{1,4}(?:-[0-9A-Za-z.-]{1,40})?$`)
	rangeVersion = regexp.MustCompile(`^[~^]?\d{1,4}(?:\.(?:\d{1,4}|x)){0,2}(?:-[0-9A-Za-z.-]{1,40})?$`)
)

// nodeVersion is the version of a tool that a repository uses: the one that a lock file pins, else what its
// package.json says, exact or as a range. Locks are the lock files of the folder by name.
func nodeVersion(tool string, manifest []byte, locks map[string][]byte) (spec string, exact bool, err error) {
	pkg, err := readPackage(manifest)
	if err != nil {
		return "", false, err
	}
	for _, name := range lockNames {
		if v := lockedVersion(tool, name, locks[name]); exactVersion.MatchString(v) {
			return v, true, nil
		}
	}
	spec = strings.TrimPrefix(strings.TrimSpace(pkg.spec(tool)), "=")
	switch {
	case exactVersion.MatchString(spec):
		return spec, true, nil
	case rangeVersion.MatchString(spec):
		return spec, false, nil
	case spec == "":
		return "", false, fault.Permf(ReasonToolVersionUnknown, "neither a lock file nor package.json says which %s", tool)
	}
	return "", false, fault.Permf(ReasonToolVersionUnknown, "package.json asks for a version of %s that is none of the registry", tool)
}

// The lock files of Node's package managers, in the order in which they are looked at.
var lockNames = []string{npmShrinkwrap, npmLock, yarnLock, pnpmLock}

const (
	npmShrinkwrap = "npm-shrinkwrap.json"
	npmLock       = "package-lock.json"
	yarnLock      = "yarn.lock"
	pnpmLock      = "pnpm-lock.yaml"
)

// lockedVersion is the version of a package in a lock file, if it is there and the only one.
func lockedVersion(pkg, name string, data []byte) string {
	if len(data) == 0 || len(data) > 64<<20 {
		return ""
	}
	quoted := regexp.QuoteMeta(pkg)
	var re *regexp.Regexp
	switch name {
	case yarnLock:
		re = regexp.MustCompile(`(?m)^"?` + quoted + `@(?:npm:)?[^\n]*:\n(?:[ \t]+[^\n]*\n)*?[ \t]+version:? "?([0-9][^"\s]*)"?`)
	case pnpmLock:
		re = regexp.MustCompile(`(?m)^\s+'?/?` + quoted + `[@/](\d[^:('"\s]*)(?:\([^)]*\))*'?:`)
	default:
		return npmLocked(pkg, data)
	}
	version := ""
	for _, m := range re.FindAllSubmatch(data, 10) {
		if v := string(m[1]); version == "" || version == v {
			version = v
		} else {
			return ""
		}
	}
	return version
}

func npmLocked(pkg string, data []byte) string {
	type locked struct {
		Version string `json:"version"`
	}
	var lock struct {
		Packages     map[string]json.RawMessage `json:"packages"`
		Dependencies map[string]json.RawMessage `json:"dependencies"`
	}
	if json.Unmarshal(data, &lock) != nil {
		return ""
	}
	for _, raw := range []json.RawMessage{lock.Packages["node_modules/"+pkg], lock.Dependencies[pkg]} {
		var l locked
		if json.Unmarshal(raw, &l) == nil && l.Version != "" {
			return l.Version
		}
	}
	return ""
}

// nodeDir is the folder whose package.json asks for a tool: the root's if it does, else the only one, else the
// nearest that holds every file that the failure names.
func nodeDir(tool string, in Inputs) (string, packageJSON, error) {
	var found []string
	pkgs := map[string]packageJSON{}
	for _, dir := range dirsWith("package.json", in.RepoFiles) {
		data, ok := in.Files[path.Join(dir, "package.json")]
		if !ok {
			continue
		}
		pkg, err := readPackage(data)
		if err != nil && dir == "." {
			return "", pkg, err
		}
		if err != nil || pkg.spec(tool) == "" {
			continue
		}
		pkgs[dir] = pkg
		found = append(found, dir)
	}
	switch {
	case slices.Contains(found, "."):
		return ".", pkgs["."], nil
	case len(found) == 1:
		return found[0], pkgs[found[0]], nil
	case len(found) == 0:
		return "", packageJSON{}, fault.Permf(ReasonToolVersionUnknown, "no package.json asks for %s", tool)
	}
	if dir := deepestAround(in.Match.Files, found); dir != "" {
		return dir, pkgs[dir], nil
	}
	return "", packageJSON{}, fault.Permf(ReasonAmbiguousFolder, "%d folders ask for %s, and not the root", len(found), tool)
}

// deepestAround is the deepest of the folders that holds all of the files, "" if none does.
func deepestAround(files, dirs []string) string {
	best := ""
	for _, dir := range dirs {
		if len(files) > 0 && len(relative(dir, files)) == len(files) && len(dir) > len(best) {
			best = dir
		}
	}
	return best
}

// upwards are a folder and those above it, the repository's root as ".".
func upwards(dir string) []string {
	out := []string{dir}
	for dir != "." && dir != "/" {
		dir = path.Dir(dir)
		out = append(out, dir)
	}
	return out
}

// repoPaths are the paths from the repository's root of files that a rule found below a folder.
func repoPaths(dir string, files []string) []string {
	var out []string
	for _, f := range files {
		out = append(out, path.Join(dir, f))
	}
	return out
}

var (
	runScript = regexp.MustCompile(`^(?:(?:npm|pnpm|yarn) run(?:-script)?|yarn|pnpm)(?: -s| --silent)* ([\w:.-]+)$`)
	between   = regexp.MustCompile(`\s*(?:&&|\n|;)\s*`)
	word      = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)
)

// scriptCall is the first part of a command line that calls a tool, itself or by a script that it runs; "" if none
// does. At most depth scripts are followed.
func scriptCall(call *regexp.Regexp, command string, pkg packageJSON, depth int) string {
	if depth == 0 {
		return ""
	}
	for _, part := range between.Split(strings.TrimSpace(command), 20) {
		if call.MatchString(part) {
			return part
		}
		if m := runScript.FindStringSubmatch(part); m != nil {
			if found := scriptCall(call, pkg.script(m[1]), pkg, depth-1); found != "" {
				return found
			}
		}
	}
	return ""
}
