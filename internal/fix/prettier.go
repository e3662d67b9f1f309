package fix

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const npmName = "prettier"

// PrettierVersion is the version that a repository uses: the one that a lock file pins, else what its package.json
// says, exact or as a range. Locks are the lock files of that folder by name. It declines with
// ReasonToolVersionUnknown when none says so in a form that a registry understands.
func PrettierVersion(manifest []byte, locks map[string][]byte) (spec string, exact bool, err error) {
	return nodeVersion(npmName, manifest, locks)
}

var (
	comments     = regexp.MustCompile(`(?s)/\*.*?\*/|(?m-s:(?:^|\s)(?://|#).*$)`)
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
	dir, pkg, err := nodeDir(npmName, in)
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
		d.files = repoPaths(dir, files)
	}
	return d, nil
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

// resolveScript follows a package's script to the prettier command in it. What comes out is only run if it is a
// known check as it stands.
func resolveScript(command string, pkg packageJSON) string {
	return cmp.Or(scriptCall(prettierCall, command, pkg, 4), strings.TrimSpace(command))
}

var (
	prettierCall = regexp.MustCompile(`^(?:npx (?:--no-install |--no |--yes |-y |-- )?)?prettier\s`)
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
