package fix

import (
	"cmp"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const biomeName = "@biomejs/biome"

var (
	biomeCall    = regexp.MustCompile(`^(?:npx (?:--no-install |--no |--yes |-y |-- )?)?(?:@biomejs/)?biome (ci|check|lint|format)\b`)
	biomeConfig  = regexp.MustCompile(`(?:^|/)\.?biome\.jsonc?$`)
	biomeForeign = regexp.MustCompile(`"plugins"\s*:\s*\[\s*[^\s\]]|"extends"\s*:\s*(?:\[\s*)?"[^./"]`)
	biomeOnly    = regexp.MustCompile(`^--(?:error-on-warnings|diagnostic-level|max-diagnostics|colors)`)
)

func biomeRule(e *entry, in Inputs) (decision, error) {
	dir, pkg, err := nodeDir(biomeName, in)
	if err != nil {
		return decision{}, err
	}
	for _, name := range in.RepoFiles {
		if data, ok := in.Files[name]; biomeConfig.MatchString(name) && ownFile(name) && (!ok || biomeForeign.Match(comments.ReplaceAll(data, nil))) {
			return decision{}, fault.Permf(ReasonNeedsPlugins, "%s takes rules from another package", name)
		}
	}
	spec, exact, err := nodeVersion(biomeName, in.Files[path.Join(dir, "package.json")], nearestLocks(dir, in))
	if err != nil {
		return decision{}, err
	}
	command := cmp.Or(scriptCall(biomeCall, in.Report.Command, pkg, 4), strings.TrimSpace(in.Report.Command))
	verb := "check"
	if m := biomeCall.FindStringSubmatch(command); m != nil {
		// The global package is found by the name of its program, not by its own.
		command = "biome " + m[1] + strings.TrimPrefix(command, m[0])
		if m[1] != "ci" {
			verb = m[1]
		}
	}
	var flags, patterns []string
	known, isKnown := e.knownCheck(command)
	for _, w := range word.FindAllString(biomeCall.ReplaceAllString(known, ""), -1) {
		switch {
		case !isKnown || biomeOnly.MatchString(w):
		case strings.HasPrefix(w, "-"):
			flags = append(flags, w)
		default:
			patterns = append(patterns, w)
		}
	}
	files := relative(dir, in.Match.Files)
	if len(files) == 0 && len(patterns) == 0 {
		if !isKnown {
			return decision{}, fault.Permf(ReasonNoCheck, "the failure names no file, and its command no argument, for biome to check")
		}
		patterns = []string{"."}
	}
	d := decision{dir: dir, command: command, files: repoPaths(dir, files), values: map[string]any{
		"Files": quotePaths(files), "Flags": strings.Join(flags, " "), "Patterns": strings.Join(patterns, " "),
		"Verb": verb, "Write": biomeWrite(spec), "Spec": Quote(biomeName + "@" + spec), "Exact": exact, "CacheName": spec,
	}}
	if !exact {
		d.values["CacheName"] = "range-" + shortHash(spec)
	}
	return d, nil
}

// biomeWrite is the flag that lets biome write: --apply before 1.8.
func biomeWrite(spec string) string {
	parts := strings.SplitN(strings.TrimLeft(spec, "~^"), ".", 3)
	major, _ := strconv.Atoi(parts[0])
	if len(parts) > 1 && major == 1 && !strings.HasPrefix(spec, "^") {
		if minor, err := strconv.Atoi(parts[1]); err == nil && minor < 8 {
			return "--apply"
		}
	}
	return "--write"
}

// nearestLocks are the lock files, by name, of a folder or the nearest one above it that has any.
func nearestLocks(dir string, in Inputs) map[string][]byte {
	locks := map[string][]byte{}
	for _, at := range upwards(dir) {
		for _, name := range lockNames {
			if data, ok := in.Files[path.Join(at, name)]; ok {
				locks[name] = data
			}
		}
		if len(locks) > 0 {
			break
		}
	}
	return locks
}
