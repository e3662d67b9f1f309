package fix

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/sre-agent/sre-agent/internal/fault"
)

var (
	requiredVersion = regexp.MustCompile(`(?m)^\s*required_version\s*=\s*"([^"\n]{1,200})"`)
	constraint      = regexp.MustCompile(`^(=|!=|>=|<=|>|<|~>)?\s*v?(\d{1,4}(?:\.\d{1,4}){0,2})$`)
)

// lastBuildable is the last Terraform that "go install" builds: later ones replace modules by folders of their own.
const lastBuildable = "v1.5.7"

// terraformRule uses the sandbox's Terraform where it is what the repository asks for, else builds the very version
// that it pins, where that can be.
func terraformRule(e *entry, in Inputs) (decision, error) {
	d := decision{dir: ".", files: in.Match.Files, command: in.Report.Command, values: map[string]any{
		"Files": quotePaths(in.Match.Files), "Install": ":", "CacheName": "terraform-none", "Sources": e.Tool.sources(in.Match.Files),
	}}
	have := terraformVersion(in.Tools["terraform"])
	want, err := terraformPin(e.Tool, in)
	if err != nil {
		return d, err
	}
	if want.version == "" {
		return d, terraformConstraints(in, have)
	}
	if have != "" && semver.MajorMinor(want.version) == semver.MajorMinor(have) {
		return d, nil
	}
	if _, hasGo := in.Tools["go"]; !hasGo || !want.exact() || semver.Compare(want.version, "v1.0.0") < 0 || semver.Compare(want.version, lastBuildable) > 0 {
		return d, fault.Permf(ReasonToolVersion, "%s asks for Terraform %s and the sandbox has %q", want.from, want.version, have)
	}
	d.values["Install"] = installGoTool + Quote(e.Tool.Packages[0]+"@"+want.version) + installed + `  : > "$SRE_TOOL/.complete"` + "\nfi"
	d.values["CacheName"] = "terraform-" + want.version
	return d, nil
}

func terraformVersion(probe string) string {
	var v struct {
		Version string `json:"terraform_version"`
	}
	if json.Unmarshal([]byte(probe), &v) != nil || !semver.IsValid("v"+v.Version) {
		return ""
	}
	return "v" + v.Version
}

// terraformPin is the version that a file pins, none when no file does.
func terraformPin(t toolSpec, in Inputs) (pin, error) {
	for _, name := range sortedNames(in.Files) {
		if text := "v" + strings.TrimSpace(string(in.Files[name])); path.Base(name) == ".terraform-version" && semver.IsValid(text) {
			return pin{text, name}, nil
		}
	}
	p, err := t.pinned(in)
	if reason, _ := fault.Reason(err); reason == ReasonToolVersionUnknown && strings.Contains(err.Error(), "nothing in the repository") {
		return pin{}, nil
	}
	return p, err
}

// terraformConstraints holds the sandbox's Terraform against what the modules say that they work with.
func terraformConstraints(in Inputs, have string) error {
	seen := false
	for _, name := range sortedNames(in.Files) {
		for _, m := range requiredVersion.FindAllSubmatch(in.Files[name], 10) {
			seen = true
			if have == "" {
				return fault.Permf(ReasonToolMissing, "the sandbox has no Terraform")
			}
			for _, part := range strings.Split(string(m[1]), ",") {
				if ok, known := satisfies(have, strings.TrimSpace(part)); !known || !ok {
					return fault.Permf(ReasonToolVersion, "%s asks for Terraform %q and the sandbox has %s", name, m[1], have)
				}
			}
		}
	}
	if !seen {
		return fault.Permf(ReasonToolVersionUnknown, "nothing in the repository says which Terraform it uses")
	}
	return nil
}

// satisfies reads one constraint as Terraform does: "~>" lets only the last part that it names grow.
func satisfies(have, text string) (ok, known bool) {
	m := constraint.FindStringSubmatch(text)
	if m == nil {
		return false, false
	}
	want := "v" + m[2]
	c := semver.Compare(have, want)
	switch m[1] {
	case "", "=":
		return c == 0, true
	case "!=":
		return c != 0, true
	case ">=":
		return c >= 0, true
	case "<=":
		return c <= 0, true
	case ">":
		return c > 0, true
	case "<":
		return c < 0, true
	}
	fixed := want[:max(strings.LastIndexByte(want, '.'), len("v"))]
	return c >= 0 && (strings.Count(want, ".") == 0 || strings.HasPrefix(have+".", fixed+".")), true
}
