package fix

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Preparation fetches what a check needs, before there is a patch: Fetch runs with a network, and a check that runs
// Setup first finds what was fetched in Caches, which it can't write to, and needs no network.
type Preparation struct {
	// Name is the ecosystem, or ByRepository for commands of the repository's own.
	Name string
	// Command is what fetches, as a person reads it.
	Command string
	Fetch   Step
	Setup   string
	Caches  []Cache
}

// Skip says why nothing was fetched for an ecosystem whose manifests are there.
type Skip struct {
	Name string
	Why  error
}

// ByRepository is the name of a preparation that the repository's settings spell out.
const ByRepository = "repository"

// ecosystem is one that the catalogue can restore without a network, from manifests alone.
type ecosystem struct {
	name     string
	manifest string
	programs []string
	make     func(in Inputs) (Preparation, error)
}

func ecosystems() []ecosystem {
	return []ecosystem{
		{"go", "go.mod", []string{"go", "golangci-lint", "staticcheck", "gotestsum"}, prepareGo},
		{"node", "package.json", []string{"npm", "npx", "pnpm", "yarn", "node", "corepack", "tsc", "eslint", "jest", "vitest", "mocha"}, prepareNode},
		{"cargo", "Cargo.lock", []string{"cargo", "rustc"}, prepareCargo},
	}
}

// PreparationWants are the files whose contents Preparations needs, at most a hundred, nearest to the root first.
func PreparationWants(repoFiles []string) []string {
	e := entry{spec: spec{Name: "prepare", Reads: []string{
		"**/go.mod", "**/package.json", "**/package-lock.json", "**/npm-shrinkwrap.json", "**/yarn.lock", "**/pnpm-lock.yaml",
		"**/pnpm-workspace.yaml", "**/Cargo.lock", ".github/workflows/*.yml", ".github/workflows/*.yaml",
	}}}
	return (&Catalogue{entries: []*entry{&e}}).Wants(Match{Fixer: "prepare"}, repoFiles)
}

// Preparations are what the manifests of a repository let a check have: of the ecosystems that its command names, or of
// all where that can't be told. An ecosystem whose installation could not be faithful is skipped, with the reason.
func Preparations(in Inputs, command string) (out []Preparation, skipped []Skip) {
	in.Report.Command = command
	called, known := programsOf(command)
	for _, e := range ecosystems() {
		if len(dirsWith(e.manifest, in.RepoFiles)) == 0 || known && !slices.ContainsFunc(called, func(p string) bool { return slices.Contains(e.programs, p) }) {
			continue
		}
		p, err := e.make(in)
		switch {
		case err != nil:
			skipped = append(skipped, Skip{e.name, err})
		case p.Fetch.Script != "":
			p.Name = e.name
			out = append(out, p)
		}
	}
	return out, skipped
}

var (
	commandEnds = regexp.MustCompile(`[\n;&|()]+`)
	assignment  = regexp.MustCompile(`^\w+=`)
	// plain are programs that need nobody's packages.
	plain = []string{"cd", "test", "[", "echo", "printf", "git", "gofmt", "diff", "grep", "true", "false", "exit", "export", "set", "cat", "ls", "tee", "env"}
)

// programsOf are the programs that a command calls besides plain ones; known is false where one of them, such as make
// or a script, may call any other.
func programsOf(command string) (called []string, known bool) {
	known = true
	for _, part := range commandEnds.Split(command, -1) {
		words := slices.DeleteFunc(strings.Fields(part), assignment.MatchString)
		if len(words) == 0 {
			continue
		}
		program := strings.Trim(words[0], `"'$!{}`)
		if program == "" || slices.Contains(plain, program) {
			continue
		}
		called = append(called, program)
		known = known && slices.ContainsFunc(ecosystems(), func(e ecosystem) bool { return slices.Contains(e.programs, program) })
	}
	return called, known
}

const (
	goSetup = `export GOENV=off GOTOOLCHAIN=local GOVCS='*:off' GOPROXY=off GOPATH="$SRE_GO_CACHE" GOMODCACHE="$SRE_GO_CACHE/mod"
export GOCACHE="${TMPDIR:-/tmp}/sre-go-build"`
	quietNPM = `export npm_config_userconfig=/dev/null npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
export npm_config_cache="${TMPDIR:-/tmp}/sre-npm" CI=true`
	nodeSetup = quietNPM + `
test -e "$SRE_DEPS/enter" || exit 125
export npm_config_offline=true
. "$SRE_DEPS/enter"`
	cargoSetup = `export CARGO_NET_OFFLINE=true RUSTUP_AUTO_INSTALL=0 CARGO_TARGET_DIR="${TMPDIR:-/tmp}/sre-target" CARGO_HOME="${TMPDIR:-/tmp}/sre-cargo"
[ -d "$CARGO_HOME" ] || cp -R "$SRE_CARGO" "$CARGO_HOME"`
)

// maxModules is for how many go.mod files of a repository modules are fetched.
const maxModules = 10

// prepareGo downloads the modules of every go.mod by its text alone.
func prepareGo(in Inputs) (Preparation, error) {
	dirs := dirsWith("go.mod", in.RepoFiles)
	if len(dirs) > maxModules {
		return Preparation{}, fault.Permf(ReasonAmbiguousFolder, "%d modules: at most %d are fetched", len(dirs), maxModules)
	}
	if _, ok := in.Tools["go"]; !ok {
		return Preparation{}, fault.Permf(ReasonToolMissing, "the sandbox has no go")
	}
	var scripts []string
	for _, dir := range dirs {
		script, err := fetchModules(dir, in)
		if err != nil {
			return Preparation{}, fault.Permf(ReasonBadManifest, "%s: %v", path.Join(dir, "go.mod"), err)
		}
		if script != ":" {
			scripts = append(scripts, "rm -rf module", script)
		}
	}
	if len(scripts) == 0 {
		return Preparation{}, nil
	}
	return cached(Preparation{Command: "go mod download", Setup: goSetup}, "go-"+shortHash(in.RepositoryID), "SRE_GO_CACHE", strings.Join(scripts, "\n")), nil
}

// prepareNode installs what a lock file says, without install scripts and without any code of the repository.
func prepareNode(in Inputs) (Preparation, error) {
	dir, err := projectDir("package.json", in)
	if err != nil {
		return Preparation{}, err
	}
	for _, program := range []string{"node", "npm", "find"} {
		if _, ok := in.Tools[program]; !ok {
			return Preparation{}, fault.Permf(ReasonToolMissing, "the sandbox has no %s", program)
		}
	}
	deps, err := findDeps(dir, in)
	if err != nil {
		return Preparation{}, err
	}
	if deps.lock == "" {
		return Preparation{}, fault.Permf(ReasonNeedsInstall, "%s has no lock file, so nobody knows what its CI installed", path.Join(dir, "package.json"))
	}
	name := "deps-" + shortHash(in.RepositoryID) + "-" + deps.cacheName()
	p := cached(Preparation{Command: deps.manager.name + " install, as " + path.Join(deps.dir, deps.lock) + " says", Setup: nodeSetup}, name, "SRE_DEPS", quietNPM+"\n"+deps.install(dir))
	p.Fetch.Files = deps.seeds
	return p, nil
}

// prepareCargo downloads the packages of a lock file.
func prepareCargo(in Inputs) (Preparation, error) {
	dir, err := projectDir("Cargo.lock", in)
	if err != nil {
		return Preparation{}, err
	}
	if _, ok := in.Tools["cargo"]; !ok {
		return Preparation{}, fault.Permf(ReasonToolMissing, "the sandbox has no cargo")
	}
	crates, foreign := lockedCrates(in.Files[path.Join(dir, "Cargo.lock")])
	if foreign != "" {
		return Preparation{}, fault.Permf(ReasonForeignSource, "%s comes from elsewhere than crates.io", foreign)
	}
	if len(crates) == 0 {
		return Preparation{}, nil
	}
	script := "export RUSTUP_AUTO_INSTALL=0 CARGO_HOME=\"$SRE_CARGO\"\n" + fetchCrates(crates)
	return cached(Preparation{Command: "cargo fetch", Setup: cargoSetup}, "cargo-"+shortHash(in.RepositoryID), "SRE_CARGO", script), nil
}

// cached gives a preparation its script, which sees no tree, and the cache that it fills.
func cached(p Preparation, cache, env, script string) Preparation {
	p.Fetch = Step{Script: script, Network: true, Tree: AccessNone, Caches: []Cache{{Name: cache, Env: env, Writable: true}}}
	p.Caches = []Cache{{Name: cache, Env: env}}
	return p
}

// Prepared is the check that finds what was fetched.
func (p Preparation) Prepared(check Step) Step {
	check.Script = p.Setup + "\n" + check.Script
	check.Caches = append(slices.Clone(check.Caches), p.Caches...)
	return check
}
