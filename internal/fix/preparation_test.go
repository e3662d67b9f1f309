package fix

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// everything is a repository of every kind that can be prepared.
func everything() Inputs {
	files := map[string]string{
		"go.mod":            "module a\n\nrequire rsc.io/quote v1.5.2\n",
		"package.json":      `{"dependencies":{"left-pad":"1.3.0"}}`,
		"package-lock.json": `{"packages":{"node_modules/left-pad":{"resolved":"https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz"}}}`,
		"Cargo.lock":        "[[package]]\nname = \"serde\"\nversion = \"1.0.200\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n",
	}
	in := Inputs{RepositoryID: "github:1", Files: map[string][]byte{}, Tools: map[string]string{"go": "go1.26.0", "node": "v20", "npm": "10", "find": "/usr/bin/find", "cargo": "cargo 1.80.0"}}
	for _, name := range sortedKeysOf(files) {
		in.RepoFiles = append(in.RepoFiles, name)
		in.Files[name] = []byte(files[name])
	}
	return in
}

func sortedKeysOf(files map[string]string) []string {
	m := map[string][]byte{}
	for name := range files {
		m[name] = nil
	}
	return sortedKeys(m)
}

func names(ps []Preparation) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestACheckGetsWhatItsCommandMayNeed(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"go vet ./...":                          "go",
		"cd web && npm test":                    "node",
		"CGO_ENABLED=0 go test ./... | tee x":   "go",
		"npx tsc && go build ./...":             "go node",
		"cargo test":                            "cargo",
		"make ci":                               "go node cargo",
		"./check.sh":                            "go node cargo",
		"if true; then npm test; fi":            "go node cargo",
		`test -z "$(gofmt -l .)"`:               "",
		"git diff --exit-code && grep -q x y":   "",
		"go generate ./... && git diff --quiet": "go",
	} {
		found, skipped := Preparations(everything(), command)
		if names(found) != want || len(skipped) > 0 {
			t.Errorf("%s: %q, want %q; skipped %v", command, names(found), want, skipped)
		}
		for _, p := range found {
			if !p.Fetch.Network || p.Fetch.Tree != AccessNone || !p.Fetch.Caches[0].Writable || p.Caches[0].Writable || p.Caches[0].Private {
				t.Errorf("%s: %+v", command, p)
			}
		}
	}
}

func TestWhatCanNotBeInstalledFaithfullyIsSkippedWithItsReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(in *Inputs)
		want   string
	}{
		"a lock file names another registry": {func(in *Inputs) {
			in.Files["package-lock.json"] = []byte(`{"x":{"resolved":"https://evil.test/x.tgz"}}`)
		}, ReasonForeignSource},
		"there is no lock file": {func(in *Inputs) {
			in.RepoFiles = []string{"package.json"}
		}, ReasonNeedsInstall},
		"the sandbox has no npm": {func(in *Inputs) { delete(in.Tools, "npm") }, ReasonToolMissing},
		"a go.mod is broken":     {func(in *Inputs) { in.Files["go.mod"] = []byte("require (") }, ReasonBadManifest},
		"a crate is from git": {func(in *Inputs) {
			in.Files["Cargo.lock"] = []byte("[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"git+https://evil.test/x\"\n")
		}, ReasonForeignSource},
	} {
		in := everything()
		tc.change(&in)
		found, skipped := Preparations(in, "make")
		if len(skipped) != 1 {
			t.Errorf("%s: found %s, skipped %v", name, names(found), skipped)
			continue
		}
		if reason, _ := fault.Reason(skipped[0].Why); reason != tc.want {
			t.Errorf("%s: %v, want %s", name, skipped[0].Why, tc.want)
		}
	}
}

func TestCommandsOfARepositoryHaveACacheOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := OwnPreparation([]string{"npm ci", "echo 'a b'"}, false)
	if !strings.Contains(p.Fetch.Script, "npm_config_ignore_scripts=true") || strings.Contains(OwnPreparation(nil, true).Fetch.Script, "ignore_scripts") {
		t.Error("install scripts are not what was asked for")
	}
	p, err := p.Leaves([]string{"it's", "web/node_modules"})
	if err != nil {
		t.Fatal(err)
	}
	check := p.Prepared(Step{Script: "make", Caches: []Cache{{Name: "x"}}})
	want := []Cache{{Name: "x"}, {Name: "prepared", Env: "SRE_PREPARED", Private: true}, {Name: LeftCache, Env: "SRE_LEFT", Private: true}}
	if diff := cmp.Diff(want, check.Caches); diff != "" || check.Network || !strings.Contains(check.Script, `sre_put 0 './it'\''s'`) || !strings.HasSuffix(check.Script, "\nmake") {
		t.Errorf("%s %s", diff, check.Script)
	}
	if _, err := p.Leaves([]string{strings.Repeat("x", maxLeft)}); err == nil {
		t.Error("a script without a bound")
	}
}
