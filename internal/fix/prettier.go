package fix

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const npmName = "prettier"

// packageJSON is what of a package.json matters here. Odd types elsewhere must not make it unreadable.
type packageJSON struct {
	Dependencies    map[string]string          `json:"dependencies"`
	DevDependencies map[string]string          `json:"devDependencies"`
	Scripts         map[string]json.RawMessage `json:"scripts"`
	Prettier        json.RawMessage            `json:"prettier"`
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

func (p packageJSON) spec() string {
	if s := p.DevDependencies[npmName]; s != "" {
		return s
	}
	return p.Dependencies[npmName]
}

func (p packageJSON) script(name string) string {
	var s string
	if json.Unmarshal(p.Scripts[name], &s) != nil {
		return ""
	}
	return s
}

var (
	exactVersion = regexp.MustCompile(`^\d{1,4}\.\d{1,4}\.\d{1,4}(?:-[0-9A-Za-z.-]{1,40})?$`)
	rangeVersion = regexp.MustCompile(`^[~^]?\d{1,4}(?:\.(?:\d{1,4}|x)){0,2}(?:-[0-9A-Za-z.-]{1,40})?$`)
	yarnEntry    = regexp.MustCompile(`(?m)^"?prettier@(?:npm:)?[^\n]*:\n(?:[ \t]+[^\n]*\n)*?[ \t]+version:? "?([0-9][^"\s]*)"?`)
	pnpmEntry    = regexp.MustCompile(`(?m)^\s+'?/?prettier[@/](\d[^:('"\s]*)(?:\([^)]*\))*'?:`)
)

// PrettierVersion is the version that a repository uses: the one that a lock file pins, else what its package.json
// says, exact or as a range. Locks are the lock files of that folder by name. It declines with
// ReasonToolVersionUnknown when none says so in a form that a registry understands.
func PrettierVersion(manifest []byte, locks map[string][]byte) (spec string, exact bool, err error) {
	pkg, err := readPackage(manifest)
	if err != nil {
		return "", false, err
	}
	for _, name := range []string{"npm-shrinkwrap.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"} {
		if v := lockedPrettier(name, locks[name]); exactVersion.MatchString(v) {
			return v, true, nil
		}
	}
	spec = strings.TrimPrefix(strings.TrimSpace(pkg.spec()), "=")
	switch {
	case exactVersion.MatchString(spec):
		return spec, true, nil
	case rangeVersion.MatchString(spec):
		return spec, false, nil
	case spec == "":
		return "", false, fault.Permf(ReasonToolVersionUnknown, "neither a lock file nor package.json says which prettier")
	}
	return "", false, fault.Permf(ReasonToolVersionUnknown, "package.json asks for a prettier that is no version of the registry")
}

// lockedPrettier is the version in a lock file, if it is there and the only one.
func lockedPrettier(name string, data []byte) string {
	if len(data) == 0 || len(data) > 64<<20 {
		return ""
	}
	var re *regexp.Regexp
	switch name {
	case "yarn.lock":
		re = yarnEntry
	case "pnpm-lock.yaml":
		re = pnpmEntry
	default:
		return npmLocked(data)
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

func npmLocked(data []byte) string {
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
	for _, raw := range []json.RawMessage{lock.Packages["node_modules/"+npmName], lock.Dependencies[npmName]} {
		var l locked
		if json.Unmarshal(raw, &l) == nil && l.Version != "" {
			return l.Version
		}
	}
	return ""
}

var (
	comments     = regexp.MustCompile(`(?s)/\*.*?\*/|(?m:(?:^|\s)(?://|#).*$)`)
	emptyPlugins = regexp.MustCompile(`["']?plugins["']?\s*:\s*\[\s*\]`)
	loadsCode    = regexp.MustCompile(`\bplugins\b|\bpluginSearchDirs\b|\brequire\b|\bimport\b`)
)

// NeedsPlugins says whether a prettier configuration loads code that isn't prettier's own: plugins, or in a
// configuration that is a program, any other module. In doubt it does.
func NeedsPlugins(config []byte) bool {
	text := comments.ReplaceAll(config[:min(len(config), 1<<20)], nil)
	return loadsCode.Match(emptyPlugins.ReplaceAll(text, nil))
}

func prettierRule(e *entry, in Inputs) (decision, error) {
	dir, pkg, err := prettierDir(in)
	if err != nil {
		return decision{}, err
	}
	if err := declinePlugins(in, pkg); err != nil {
		return decision{}, err
	}
	locks := map[string][]byte{}
	for name, data := range in.Files {
		if path.Dir(name) == dir {
			locks[path.Base(name)] = data
		}
	}
	spec, exact, err := PrettierVersion(in.Files[path.Join(dir, "package.json")], locks)
	if err != nil {
		return decision{}, err
	}
	command := resolveScript(in.Report.Command, pkg)
	var flags, patterns []string
	if known, ok := e.knownCheck(command); ok {
		flags, patterns = prettierWords(known)
	}
	files := relative(dir, in.Match.Files)
	if len(files) == 0 && len(patterns) == 0 {
		return decision{}, fault.Permf(ReasonNoCheck, "the failure names no file, and its command no argument, for prettier to check")
	}
	d := decision{dir: dir, command: command, values: map[string]any{
		"Files": quotePaths(files), "Flags": strings.Join(flags, " "), "Patterns": strings.Join(patterns, " "),
		"Spec": Quote(npmName + "@" + spec), "Exact": exact, "CacheName": spec,
	}}
	if !exact {
		d.values["CacheName"] = "range-" + shortHash(spec)
	}
	if len(files) > 0 {
		d.files = in.Match.Files
		if dir != "." {
			d.files = nil
			for _, f := range files {
				d.files = append(d.files, path.Join(dir, f))
			}
		}
	}
	return d, nil
}

// prettierDir is the folder whose package.json asks for prettier: the root's if it does, else the only one.
func prettierDir(in Inputs) (string, packageJSON, error) {
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
		if err != nil || pkg.spec() == "" {
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
		return "", packageJSON{}, fault.Permf(ReasonToolVersionUnknown, "no package.json asks for prettier")
	}
	return "", packageJSON{}, fault.Permf(ReasonAmbiguousFolder, "%d folders ask for prettier, and not the root", len(found))
}

// configNames are prettier's own configuration files.
var configNames = regexp.MustCompile(`(?:^|/)(?:\.prettierrc(?:\.\w+)?|prettier\.config\.\w+)$`)

func declinePlugins(in Inputs, pkg packageJSON) error {
	if raw := strings.TrimSpace(string(pkg.Prettier)); raw != "" && (raw[0] == '"' || NeedsPlugins(pkg.Prettier)) {
		return fault.Permf(ReasonNeedsPlugins, "package.json takes prettier's configuration from another package")
	}
	for _, name := range in.RepoFiles {
		if !configNames.MatchString(name) || !ownFile(name) {
			continue
		}
		if data, ok := in.Files[name]; !ok || NeedsPlugins(data) {
			return fault.Permf(ReasonNeedsPlugins, "%s loads code that isn't prettier's own", name)
		}
	}
	return nil
}

var runScript = regexp.MustCompile(`^(?:(?:npm|pnpm|yarn) run(?:-script)?|yarn|pnpm)(?: -s| --silent)* ([\w:.-]+)$`)

// resolveScript follows a package's script to the prettier command in it. What comes out is only run if it is a
// known check as it stands.
func resolveScript(command string, pkg packageJSON) string {
	command = strings.TrimSpace(command)
	if call := prettierPart(command, pkg, 4); call != "" {
		return call
	}
	return command
}

// prettierPart is the first part of a command line that calls prettier, itself or by a script that it runs.
func prettierPart(command string, pkg packageJSON, depth int) string {
	if depth == 0 {
		return ""
	}
	for _, part := range between.Split(strings.TrimSpace(command), 20) {
		if prettierCall.MatchString(part) {
			return part
		}
		if m := runScript.FindStringSubmatch(part); m != nil {
			if call := prettierPart(pkg.script(m[1]), pkg, depth-1); call != "" {
				return call
			}
		}
	}
	return ""
}

var (
	prettierCall = regexp.MustCompile(`^(?:npx (?:--no-install |--no |--yes |-y |-- )?)?prettier\s`)
	between      = regexp.MustCompile(`\s*(?:&&|\n|;)\s*`)
	word         = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)
	checkFlags   = []string{"--check", "-c", "--list-different", "-l"}
	valueFlags   = []string{"--config", "--ignore-path", "--log-level", "--loglevel"}
)

// prettierWords splits a known check into the flags that a fix needs as well and the patterns, as they stand in the
// command: its expression let through nothing that a shell would take for more than words.
func prettierWords(command string) (flags, patterns []string) {
	words := word.FindAllString(prettierCall.ReplaceAllString(command, ""), -1)
	for i := 0; i < len(words); i++ {
		w := words[i]
		name, _, hasValue := strings.Cut(w, "=")
		switch {
		case slices.Contains(checkFlags, w):
		case strings.HasPrefix(name, "--log"):
			if !hasValue {
				i++
			}
		case slices.Contains(valueFlags, w) && i+1 < len(words):
			flags = append(flags, w, words[i+1])
			i++
		case strings.HasPrefix(w, "-"):
			flags = append(flags, w)
		default:
			patterns = append(patterns, w)
		}
	}
	return flags, patterns
}
