package fix

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/sre-agent/sre-agent/internal/fault"
)

var (
	rustVersion   = regexp.MustCompile(`^(?:rustc|cargo|rustfmt|clippy) (\d+\.\d+\.\d+)(-[a-z]+)?`)
	plusToolchain = regexp.MustCompile(`\bcargo \+([\w.-]+)`)
	channelLine   = regexp.MustCompile(`(?m)^\s*channel\s*=\s*["']([\w.-]+)["']`)
	// A workflow names a toolchain by an input of an action, or by the reference of one.
	workflowChannel = regexp.MustCompile(`(?m)^\s*(?:-\s+)?toolchain:\s*["']?([\w.-]+)["']?\s*(?:#.*)?$|dtolnay/rust-toolchain@(stable|beta|nightly[\w-]*|\d[\d.]*)\b|\brustup (?:default|override set|toolchain install) ([\w.-]+)`)
	rustPin         = toolSpec{Names: []string{"rust"}}
)

// rustRule holds the sandbox's Rust against the repository's: a pinned one has to be the same minor version, and a
// floating stable is any stable.
func rustRule(e *entry, in Inputs) (decision, error) {
	have := rustVersion.FindStringSubmatch(in.Tools["rustc"])
	if have == nil {
		return decision{}, fault.Permf(ReasonToolVersionUnknown, "the sandbox's rustc says %q of its version", in.Tools["rustc"])
	}
	dir, err := projectDir("Cargo.toml", in)
	if err != nil {
		return decision{}, err
	}
	for _, c := range rustChannels(dir, in) {
		if !sameRust(c.version, have[1], have[2]) {
			return decision{}, fault.Permf(ReasonToolVersion, "%s asks for Rust %s and the sandbox has %s%s", c.from, c.version, have[1], have[2])
		}
	}
	c := call{}
	if len(e.Tool.Names) > 0 {
		if c, err = e.Tool.called(in); err != nil {
			return decision{}, err
		}
	}
	if c.flags != "" {
		c.flags = " " + c.flags
	}
	return decision{
		dir: dir, files: in.Match.Files, command: in.Report.Command,
		values: map[string]any{"Files": quotePaths(in.Match.Files), "Flags": c.flags, "Fetch": ""},
	}, nil
}

// rustChannels are the toolchains that the repository asks for where the failure is: the command's own, else that of
// a toolchain file, else those of the workflows, of which a stable one is enough.
func rustChannels(dir string, in Inputs) []pin {
	if m := plusToolchain.FindStringSubmatch(in.Report.Command); m != nil {
		return []pin{{m[1], "the command"}}
	}
	for _, folder := range []string{dir, "."} {
		for _, name := range []string{"rust-toolchain", "rust-toolchain.toml"} {
			name = path.Join(folder, name)
			text := strings.TrimSpace(string(in.Files[name]))
			if m := channelLine.FindStringSubmatch(text); m != nil {
				return []pin{{m[1], name}}
			}
			if text != "" && !strings.ContainsAny(text, "\n=[") {
				return []pin{{text, name}}
			}
		}
	}
	for _, name := range []string{".tool-versions", "mise.toml", ".mise.toml"} {
		if v := rustPin.pinsIn(name, in.Files[name]); len(v) > 0 {
			return []pin{{strings.TrimPrefix(v[0], "v"), name}}
		}
	}
	var found []pin
	for _, name := range sortedNames(in.Files) {
		if !strings.HasPrefix(name, ".github/") {
			continue
		}
		for _, m := range workflowChannel.FindAllStringSubmatch(string(in.Files[name]), 50) {
			v := m[1] + m[2] + m[3]
			if v == "stable" {
				return nil
			}
			found = append(found, pin{v, name})
		}
	}
	return found
}

// sameRust says whether a toolchain's name means the sandbox's Rust. The minor version decides: a patch release
// changes neither layout nor lints.
func sameRust(want, have, channel string) bool {
	want, _, _ = strings.Cut(want, "-x86_64")
	switch {
	case want == "stable":
		return channel == ""
	case strings.HasPrefix(want, "nightly"):
		return want == "nightly" && channel == "-nightly"
	case !semver.IsValid("v" + want):
		return false
	}
	return channel == "" && semver.MajorMinor("v"+want) == semver.MajorMinor("v"+have)
}

// clippyRule is rustRule with the packages of the lock file fetched beforehand.
func clippyRule(e *entry, in Inputs) (decision, error) {
	d, err := rustRule(e, in)
	if err != nil {
		return d, err
	}
	crates, foreign := lockedCrates(in.Files[path.Join(d.dir, "Cargo.lock")])
	if foreign != "" {
		return d, fault.Permf(ReasonForeignSource, "%s comes from elsewhere than crates.io", foreign)
	}
	d.values["Fetch"] = fetchCrates(crates)
	// What stands for the lints comes after "--", and not at all where clippy mends: it changes what is an error.
	var cargo, lint string
	for _, w := range clippyFlag.FindAllString(d.values["Flags"].(string), -1) {
		if strings.ContainsAny(w[1:3], "DWAF") {
			lint += w
		} else {
			cargo += w
		}
	}
	d.values["CargoFlags"], d.values["LintFlags"] = cargo, lint
	return d, nil
}

// cargoLockRule mends the lock file of one workspace.
func cargoLockRule(e *entry, in Inputs) (decision, error) {
	d, err := rustRule(e, in)
	if err != nil {
		return d, err
	}
	for _, name := range sortedNames(in.Files) {
		if path.Base(name) == "Cargo.toml" && foreignCrate.Match(in.Files[name]) {
			return d, fault.Permf(ReasonForeignSource, "%s has a dependency from elsewhere than crates.io", name)
		}
	}
	d.files = []string{path.Join(d.dir, "Cargo.lock")}
	return d, nil
}

var (
	foreignCrate = regexp.MustCompile(`(?m)[\s{,."'](?:git|registry|registry-index)["']?\s*=`)
	lockPackage  = regexp.MustCompile(`(?m)^\[\[package\]\]\nname = "([A-Za-z0-9_-]{1,64})"\nversion = "([0-9A-Za-z.+-]{1,64})"\n(?:source = "([^"\n]*)"\n)?`)
	cratesIO     = []string{"registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"}
)

var clippyFlag = regexp.MustCompile(` -[DWAF] ?[\w:-]+| -p [\w-]+| --(?:features|package|exclude) [\w./,-]+| -\S+`)

type crate struct{ name, version string }

// lockedCrates are the packages of a lock file that crates.io has, and the first that comes from elsewhere.
func lockedCrates(lock []byte) (crates []crate, foreign string) {
	for _, m := range lockPackage.FindAllSubmatch(lock[:min(len(lock), 1<<20)], 1000) {
		switch source := string(m[3]); {
		case source == "":
		case slices.Contains(cratesIO, source):
			crates = append(crates, crate{string(m[1]), string(m[2])})
		default:
			return nil, string(m[1])
		}
	}
	return crates, ""
}

// fetchCrates is a script that downloads packages by way of an empty package that needs each of them at its exact
// version, so that nothing of the repository is seen where there is a network.
func fetchCrates(crates []crate) string {
	if len(crates) == 0 {
		return ":"
	}
	var b strings.Builder
	b.WriteString("mkdir -p src && : > src/lib.rs\ncat > Cargo.toml <<'END'\n[package]\nname = \"sre-agent-fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[dependencies]\n")
	for _, c := range crates {
		b.WriteString(c.name + "-" + shortHash(c.version)[:6] + ` = { package = "` + c.name + `", version = "=` + c.version + `", default-features = false }` + "\n")
	}
	b.WriteString("END\ncargo fetch\n")
	return b.String()
}

// projectDir is the folder of the project that the failure is about: the one that the command enters, else the only
// one above the files that it names, else the root, else the only one.
func projectDir(manifest string, in Inputs) (string, error) {
	dirs := dirsWith(manifest, in.RepoFiles)
	if m := cd.FindStringSubmatch(in.Report.Command); m != nil && slices.Contains(dirs, path.Clean(m[1])) {
		return path.Clean(m[1]), nil
	}
	if slices.Contains(dirs, ".") {
		return ".", nil
	}
	var found []string
	for _, f := range in.Match.Files {
		top := ""
		for dir := path.Dir(f); dir != "."; dir = path.Dir(dir) {
			if slices.Contains(dirs, dir) {
				top = dir
			}
		}
		if top != "" && !slices.Contains(found, top) {
			found = append(found, top)
		}
	}
	if len(found) == 0 {
		found = dirs
	}
	if len(found) != 1 {
		return "", fault.Permf(ReasonAmbiguousFolder, "%d folders have a %s, and the failure doesn't say which", len(found), manifest)
	}
	return found[0], nil
}
