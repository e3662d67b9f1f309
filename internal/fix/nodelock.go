package fix

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// nodeLockRule is for the lock files of npm, pnpm and yarn. The entry has the name of the lock.
func nodeLockRule(e *entry, in Inputs) (decision, error) {
	names := map[string][]string{"npm-lock": {npmShrinkwrap, npmLock}, "pnpm-lock": {pnpmLock}, "yarn-lock": {yarnLock}}[e.Name]
	dir, lock, err := lockDir(names, in)
	if err != nil {
		return decision{}, err
	}
	deps := nodeDeps{dir: dir, lock: lock}
	name := path.Join(dir, lock)
	data, ok := in.Files[name]
	if !ok {
		return decision{}, fault.Permf(ReasonBadManifest, "%s could not be read", name)
	}
	if err := deps.complete(in); err != nil {
		return decision{}, err
	}
	settings, err := npmSettings(path.Join(dir, ".npmrc"), in)
	if err != nil {
		return decision{}, err
	}
	version := ""
	if e.Name == "npm-lock" {
		if m := lockVersion.FindSubmatch(data); m != nil {
			version = string(m[1])
		}
		if version != "2" && version != "3" {
			return decision{}, fault.Permf(ReasonToolVersion, "%s is of version %q, which another npm than the sandbox's wrote", name, version)
		}
	}
	if strings.Contains(string(data), "\npatchedDependencies:") {
		return decision{}, fault.Permf(ReasonNeedsInstall, "%s has patched dependencies", name)
	}
	return decision{
		dir: dir, command: in.Report.Command, files: []string{name}, seeds: deps.seeds,
		values: map[string]any{
			"Lock": Quote(lock), "Path": Quote(name), "LockVersion": version, "Settings": settings,
			"Get": deps.manager.get("$SRE_LOCK"), "CacheName": deps.cacheName(), "Refuse": refuseAddresses(lock),
		},
	}, nil
}

var folderFlag = regexp.MustCompile(`(?:--prefix|--dir|-C|--cwd)[ =]([\w][\w./-]*)`)

// lockDir is the folder of the lock file that the failure is about: the one that the command names, else the root's,
// else the only one.
func lockDir(names []string, in Inputs) (dir, lock string, err error) {
	found := map[string]string{}
	for _, name := range names {
		for _, dir := range dirsWith(name, in.RepoFiles) {
			if found[dir] == "" {
				found[dir] = name
			}
		}
	}
	for _, re := range []*regexp.Regexp{cd, folderFlag} {
		for _, m := range re.FindAllStringSubmatch(in.Report.Command, 5) {
			if dir := path.Clean(m[1]); found[dir] != "" {
				return dir, found[dir], nil
			}
		}
	}
	if len(found) == 1 {
		for dir, name := range found {
			return dir, name, nil
		}
	}
	if found["."] != "" {
		return ".", found["."], nil
	}
	return "", "", fault.Permf(ReasonAmbiguousFolder, "%d folders have a lock file, not the root, and the failure names none", len(found))
}

var (
	npmrcLine    = regexp.MustCompile(`(?m)^[ \t]*([^=;#\s]+)[ \t]*=[ \t]*(.*?)[ \t\r]*$`)
	npmrcMatters = []string{"legacy-peer-deps", "strict-peer-deps", "auto-install-peers", "install-links", "exclude-links-from-lockfile", "resolution-mode", "dedupe-peer-dependents", "link-workspace-packages", "prefer-workspace-packages", "save-workspace-protocol", "shared-workspace-lockfile"}
	npmrcValue   = regexp.MustCompile(`^[a-z-]{1,30}$`)
)

// npmSettings takes over those settings of a repository's .npmrc that change what is in a lock file and can do
// nothing else, and declines one that names another registry.
func npmSettings(name string, in Inputs) (string, error) {
	data, ok := in.Files[name]
	if !ok && slices.Contains(in.RepoFiles, name) {
		return "", fault.Permf(ReasonBadManifest, "%s could not be read", name)
	}
	out := ""
	for _, m := range npmrcLine.FindAllSubmatch(data, 200) {
		key, value := string(m[1]), string(m[2])
		switch {
		case strings.HasSuffix(key, "registry") && !fromRegistry.MatchString(strings.TrimSuffix(value, "/")+"/"), key == "proxy", key == "https-proxy":
			return "", fault.Permf(ReasonForeignSource, "%s names another registry or a proxy", name)
		case slices.Contains(npmrcMatters, key) && npmrcValue.MatchString(value):
			out += "export npm_config_" + strings.ReplaceAll(key, "-", "_") + "=" + value + "\n"
		}
	}
	return out, nil
}

// refuseAddresses ends a step if the new lock file names an address that is not the registry's.
func refuseAddresses(lock string) string {
	return `if grep -Eo "(resolved|tarball|repo)\"?:? ?\"?'?[a-z+]+:[^\"', ]*" -- ` + Quote(lock) + ` |
  grep -Ev "[\"': ](https://registry[.](npmjs[.]org|yarnpkg[.]com)/|file:)"; then
  echo 'the new lock file names another address than the registry' >&2
  exit 1
fi`
}
