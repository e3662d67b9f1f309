package fix

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// nodeDeps are the dependencies of a Node project, and how they are installed: from its manifests and its lock file
// alone, by the package manager that wrote the lock, and without any install script.
type nodeDeps struct {
	dir     string // of the lock file
	lock    string // its name, "" if there is none
	manager manager
	seeds   map[string][]byte
}

// manager is a package manager. Its spec is what to install from the registry, "" for the sandbox's own npm.
type manager struct {
	name  string
	spec  string
	exact bool
}

// findDeps finds the lock file that a folder's package belongs to, at the folder or above it.
func findDeps(dir string, in Inputs) (nodeDeps, error) {
	d := nodeDeps{dir: dir}
	for _, at := range upwards(dir) {
		for _, name := range lockNames {
			if slices.Contains(in.RepoFiles, path.Join(at, name)) {
				d.dir, d.lock = at, name
				return d, d.complete(in)
			}
		}
	}
	return d, d.complete(in)
}

// complete gathers the files that an installation needs, and declines what it could not be faithful to.
func (d *nodeDeps) complete(in Inputs) error {
	if err := d.gather(in); err != nil {
		return err
	}
	for name, data := range d.seeds {
		if err := declineSources(name, data); err != nil {
			return err
		}
	}
	for _, name := range in.RepoFiles {
		if strings.HasPrefix(name, path.Join(d.dir, "node_modules")+"/") {
			return fault.Permf(ReasonVendored, "%s holds its dependencies: another installation would not be the same", d.dir)
		}
	}
	var err error
	d.manager, err = managerOf(d.lock, d.dir, in)
	return err
}

func (d *nodeDeps) gather(in Inputs) error {
	d.seeds = map[string][]byte{}
	names := []string{d.lock, "pnpm-workspace.yaml"}
	for _, name := range in.RepoFiles {
		rel := relative(d.dir, []string{name})
		if len(rel) == 0 || !ownFile(name) {
			continue
		}
		base := path.Base(name)
		if base == ".pnpmfile.cjs" && d.lock == pnpmLock || base == ".yarnrc.yml" && d.lock == yarnLock {
			return fault.Permf(ReasonNeedsInstall, "%s changes how dependencies are installed", name)
		}
		if base != "package.json" && !slices.Contains(names, rel[0]) {
			continue
		}
		data, ok := in.Files[name]
		if !ok {
			return fault.Permf(ReasonNeedsInstall, "%s could not be read, and an installation needs it", name)
		}
		d.seeds[name] = data
	}
	return nil
}

var (
	fromRegistry = regexp.MustCompile(`^https://registry\.(?:npmjs\.org|yarnpkg\.com)/`)
	foreignSpec  = regexp.MustCompile(`^(?:git\b|git[+@:]|github:|gitlab:|bitbucket:|gist:|https?:|ssh:|file:.*\.(?:tgz|tar)|[\w.-]+/[\w.-]+(?:#.*)?$)`)
	yarnResolved = regexp.MustCompile(`(?m)^\s+resolved "([^"]*)"`)
	pnpmTarball  = regexp.MustCompile(`(?m)(?:tarball|repo): '?([^,}'\s]+)`)
	npmResolved  = regexp.MustCompile(`"(?:resolved|version)"\s*:\s*"([a-z+]+:[^"]*)"`)
)

// declineSources refuses manifests and lock files that name another place than the registry: a dependency from there
// is code that nobody pinned, and an address that nobody agreed to ask.
func declineSources(name string, data []byte) error {
	var re *regexp.Regexp
	switch path.Base(name) {
	case "package.json":
		return declineSpecs(name, data)
	case npmLock, npmShrinkwrap:
		re = npmResolved
	case yarnLock:
		re = yarnResolved
	case pnpmLock:
		re = pnpmTarball
	default:
		return nil
	}
	for _, m := range re.FindAllSubmatch(data, -1) {
		if from := string(m[1]); !fromRegistry.MatchString(from) && !strings.HasPrefix(from, "npm:") && !strings.HasPrefix(from, "file:") {
			return fault.Permf(ReasonForeignSource, "%s takes a dependency from somewhere else than the registry", name)
		}
	}
	return nil
}

func declineSpecs(name string, data []byte) error {
	pkg, err := readPackage(data)
	if err != nil {
		return fault.Permf(ReasonBadManifest, "%s can't be read: %v", name, err)
	}
	for _, group := range []map[string]string{pkg.Dependencies, pkg.DevDependencies, pkg.OptionalDependencies} {
		for dep, spec := range group {
			if foreignSpec.MatchString(spec) {
				return fault.Permf(ReasonForeignSource, "%s takes %q from somewhere else than the registry", name, dep)
			}
		}
	}
	return nil
}

// cacheName tells installations apart: by everything that goes into them.
func (d nodeDeps) cacheName() string {
	var b strings.Builder
	for _, name := range sortedKeys(d.seeds) {
		fmt.Fprintf(&b, "%s %d %s\n", name, len(d.seeds[name]), d.seeds[name])
	}
	return shortHash(b.String() + d.manager.spec)
}

func sortedKeys(m map[string][]byte) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// install is the script of the preparing step. It leaves in the cache the tree with nothing but manifests and
// installed packages, and the script "enter", by which a later step puts the packages into its own tree and takes
// them out again at its end. They are copied, as bundlers put the paths of packages into what they build.
func (d nodeDeps) install(toolDir string) string {
	command := map[string]string{
		npmLock: "npm ci --ignore-scripts", npmShrinkwrap: "npm ci --ignore-scripts",
		pnpmLock: "pnpm install --frozen-lockfile --ignore-scripts --ignore-pnpmfile --config.store-dir=\"${TMPDIR:-/tmp}/sre-store\" --config.package-import-method=copy",
		yarnLock: "yarn install --frozen-lockfile --ignore-scripts --non-interactive --no-progress",
		"":       "npm install --ignore-scripts --no-package-lock",
	}[d.lock]
	done := ": > \"$SRE_DEPS/.complete\"\n"
	if d.lock == "" || d.manager.spec != "" && !d.manager.exact {
		done = "" // What a range means changes with time.
	}
	bins := ""
	for _, dir := range []string{d.dir, toolDir} {
		bins = `"$sre_tree"/` + Quote(path.Join(dir, "node_modules/.bin")) + ":" + bins
	}
	return `if [ -e "$SRE_DEPS/.complete" ]; then exit 0; fi
rm -rf "$SRE_DEPS/tree" "$SRE_DEPS/enter"
mkdir "$SRE_DEPS/tree"
cp -R . "$SRE_DEPS/tree"
` + d.manager.get("$SRE_DEPS") + `cd -- "$SRE_DEPS/tree"/` + Quote(d.dir) + `
` + command + `
cat > "$SRE_DEPS/enter" <<'END'
sre_tree=$PWD
sre_each() { (cd "$SRE_DEPS/tree" && find . -type d -name node_modules -prune -exec sh -c "$1" "$sre_tree" {} +); }
trap 'sre_each '\''for d; do rm -rf "$0/$d"; done'\''' EXIT
sre_each 'for d; do mkdir -p "$0/${d%/*}" && cp -R -P "$d" "$0/$d" || exit 125; done' || exit 125
export PATH=` + bins + `"$SRE_DEPS/tool/bin:$PATH"
END
` + done
}

// get installs the package manager itself below a folder, unless it is the sandbox's npm.
func (m manager) get(into string) string {
	if m.spec == "" {
		return ""
	}
	return `npm install --prefix "` + into + `/tool" --global --ignore-scripts --loglevel=error -- ` + Quote(m.spec) + `
export PATH="` + into + `/tool/bin:$PATH" COREPACK_ENABLE_STRICT=0 YARN_IGNORE_PATH=1 npm_config_manage_package_manager_versions=false
`
}

var (
	managerField = regexp.MustCompile(`^(npm|pnpm|yarn)@(\d{1,3}\.\d{1,4}\.\d{1,4})(?:\+[\w.]+)?$`)
	pnpmAction   = regexp.MustCompile(`pnpm/action-setup@[^\n]*\n(?:\s+(?:name|id|if):[^\n]*\n)*\s+with:\s*\n(?:\s+(?:run_install|standalone)[^\n]*\n)*\s+version:\s*["']?(\d{1,3}(?:\.\d{1,4}){0,2})\b`)
	lockVersion  = regexp.MustCompile(`(?m)^\s*"?lockfileVersion"?: ?'?"?(\d+(?:\.\d+)?)`)
)

// managerOf is the package manager that a lock file belongs to, at the version that the repository uses.
func managerOf(lock, dir string, in Inputs) (manager, error) {
	named := managerField.FindStringSubmatch(packageManagerField(dir, in))
	switch lock {
	case yarnLock:
		if named != nil && named[1] == "yarn" && !strings.HasPrefix(named[2], "1.") || !strings.Contains(string(in.Files[path.Join(dir, lock)]), "# yarn lockfile v1") {
			return manager{}, fault.Permf(ReasonToolVersion, "%s is not of yarn 1, the only one that is known here", path.Join(dir, lock))
		}
		if named != nil {
			return manager{"yarn", "yarn@" + named[2], true}, nil
		}
		return manager{"yarn", "yarn@^1", false}, nil
	case pnpmLock:
		if named != nil && named[1] == "pnpm" {
			return manager{"pnpm", "pnpm@" + named[2], true}, nil
		}
		return pnpmOfWorkflows(in)
	}
	if named != nil && named[1] == "npm" {
		return manager{"npm", "npm@" + named[2], true}, nil
	}
	return manager{name: "npm"}, nil
}

// packageManagerField is what the folder's package.json, or one above it, says of its manager.
func packageManagerField(dir string, in Inputs) string {
	for _, at := range upwards(dir) {
		var pkg packageJSON
		if json.Unmarshal(in.Files[path.Join(at, "package.json")], &pkg) == nil && len(pkg.PackageManager) > 0 {
			return jsonString(pkg.PackageManager)
		}
	}
	return ""
}

func pnpmOfWorkflows(in Inputs) (manager, error) {
	version := ""
	for name, data := range in.Files {
		if !strings.HasPrefix(name, ".github/workflows/") {
			continue
		}
		for _, m := range pnpmAction.FindAllSubmatch(data, 20) {
			if v := string(m[1]); version == "" || version == v {
				version = v
			} else {
				return manager{}, fault.Permf(ReasonToolVersionUnknown, "workflows use several versions of pnpm")
			}
		}
	}
	if version == "" {
		return manager{}, fault.Permf(ReasonToolVersionUnknown, "neither package.json nor a workflow says which pnpm")
	}
	return manager{"pnpm", "pnpm@" + version, strings.Count(version, ".") == 2}, nil
}
