package policy_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// forbidden are names that no fix may have, at the root and below.
var forbiddenNames = []string{
	".github/workflows/ci.yml", ".gitlab-ci.yml", ".circleci/config.yml", "Jenkinsfile", "azure-pipelines.yml", ".buildkite/x.yml", ".env", ".env.production", "a.pem", "tls.key",
	"id_rsa", "CODEOWNERS", ".vscode/settings.json", ".idea/workspace.xml", ".claude/settings.json", ".cursor/mcp.json", ".devcontainer/devcontainer.json", ".npmrc", ".gitmodules", ".sre-agent.yaml", ".husky/pre-commit",
}

// disguise writes a path in another way that some file system takes for the same.
func disguise(t *rapid.T, path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch rapid.SampledFrom([]string{"as it is", "capitals", "a dot", "a blank", "a stream"}).Draw(t, "disguise") {
		case "capitals":
			parts[i] = strings.ToUpper(part)
		case "a dot":
			parts[i] = part + "."
		case "a blank":
			parts[i] = part + " "
		case "a stream":
			parts[i] = part + ":x"
		}
	}
	return strings.Join(parts, "/")
}

func TestAForbiddenFileInAnyGoodPatchRefusesIt(t *testing.T) {
	patches := good()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom(patches).Draw(t, "patch")
		path := rapid.SampledFrom(forbiddenNames).Draw(t, "path")
		folders := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "packages/x", "Src", "ä"}), 0, 3).Draw(t, "folders")
		path = disguise(t, strings.Join(append(folders, path), "/"))
		var extra string
		switch rapid.SampledFrom([]string{"edit", "create", "remove", "rename to", "rename from"}).Draw(t, "how") {
		case "edit":
			extra = edit(path, "+x")
		case "create":
			extra = create(path, "x")
		case "remove":
			extra = remove(path, "x")
		case "rename to":
			extra = rename("some/file", path)
		case "rename from":
			extra = rename(path, "some/file")
		}
		diff := base.diff + extra
		if rapid.Bool().Draw(t, "first") {
			diff = extra + base.diff
		}
		p, err := patch.Parse([]byte(diff))
		if err != nil {
			return // refused already
		}
		if v := policy.Check(p, policy.Default()); v.Allowed {
			t.Fatalf("%q is allowed", path)
		}
	})
}

func TestARepositorysSettingsOnlyTighten(t *testing.T) {
	patches := append(bad(), good()...)
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string) *int {
			if rapid.Bool().Draw(t, name+" is set") {
				n := rapid.IntRange(0, 10_000).Draw(t, name)
				return &n
			}
			return nil
		}
		settings := policy.Settings{
			MaxFiles: number("files"), MaxAddedLines: number("added"), MaxRemovedLines: number("removed"), MaxBytes: number("bytes"), MaxSafeDanger: number("danger"),
			Forbid: rapid.SliceOfN(rapid.SampledFrom([]string{"src/**", "*.lock", "docs/"}), 0, 2).Draw(t, "forbid"),
		}
		if rapid.Bool().Draw(t, "allow") {
			settings.Allow = []string{rapid.SampledFrom([]string{"**", "src/**", ".github/**"}).Draw(t, "allowed")}
		}
		s := rapid.SampledFrom(patches).Draw(t, "patch")
		p, err := patch.Parse([]byte(s.diff))
		if err != nil {
			return
		}
		before, after := policy.Check(p, policy.Default()), policy.Check(p, policy.Default().Tightened(settings))
		if after.Allowed && !before.Allowed {
			t.Fatalf("%s: allowed by %+v", s.name, settings)
		}
		if after.Class == policy.ClassSafe && before.Class != policy.ClassSafe {
			t.Fatalf("%s: safe by %+v", s.name, settings)
		}
	})
}

// Whatever the bytes, a verdict is a refusal with a reason or an approval without findings, and the same each time.
func FuzzCheckAlwaysSaysWhy(f *testing.F) {
	for _, s := range append(bad(), good()...) {
		f.Add([]byte(s.diff))
	}
	f.Fuzz(func(t *testing.T, diff []byte) {
		p, err := patch.Parse(diff)
		if err != nil {
			return
		}
		v := policy.Check(p, policy.Default())
		if v.Allowed != (v.Reason == policy.ReasonWithin) || v.Allowed != (len(v.Details) == 0) {
			t.Errorf("%+v", v)
		}
		for _, file := range p.Files {
			if v.Allowed && (file.Symlink() || file.Gitlink() || file.IsBinary || file.ModeChange()) {
				t.Errorf("%+v is allowed", file)
			}
		}
		if again := policy.Check(p, policy.Default()); again.Reason != v.Reason || again.Danger.Score != v.Danger.Score {
			t.Errorf("%+v and then %+v", v, again)
		}
	})
}
