package fixplan_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fixplan"
)

// readers are programs that read a file of a kind, given as the last argument, with a parser that is not ours.
func readers(file string) [][]string {
	python := func(code string) []string { return []string{"python3", "-c", "import sys\nname=sys.argv[1]\n" + code} }
	pep508 := "from pip._vendor.packaging.requirements import Requirement\n"
	switch base := path.Base(file); {
	case base == "go.mod":
		return [][]string{{"go", "mod", "edit", "-json"}}
	case base == "package.json":
		return [][]string{{"node", "-e", "JSON.parse(require('fs').readFileSync(process.argv[1],'utf8'))"}, {"npm", "pkg", "get", "name", "--prefix"}}
	case base == "pom.xml":
		return [][]string{python("import xml.etree.ElementTree as e\ne.parse(name)")}
	case base == "pyproject.toml":
		return [][]string{python("import tomllib\n" + pep508 + "d=tomllib.load(open(name,'rb'))\nfor r in d.get('project',{}).get('dependencies',[]): Requirement(r)")}
	case strings.HasSuffix(base, ".toml"):
		return [][]string{python("import tomllib\ntomllib.load(open(name,'rb'))")}
	case strings.HasSuffix(base, "requirements.txt") || strings.HasSuffix(file, "requirements/dev.txt"):
		return [][]string{python(pep508 + "for l in open(name):\n l=l.split(' #')[0].strip()\n if l and l[0] not in '#-' and '+' not in l: Requirement(l)")}
	case strings.HasSuffix(base, ".cfg"):
		return [][]string{python("import configparser\nconfigparser.ConfigParser().read_file(open(name))")}
	}
	return nil
}

func TestWhatComesOutIsReadByTheEcosystemsOwnTool(t *testing.T) {
	t.Parallel()
	ran := map[string]int{}
	for _, g := range goldens(t) {
		for file, text := range g.after {
			dir := t.TempDir()
			name := filepath.Join(dir, path.Base(file))
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, argv := range readers(file) {
				last := name
				if argv[0] == "npm" {
					last = dir
				}
				cmd := exec.CommandContext(t.Context(), argv[0], append(argv[1:], last)...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s, %s: %s: %v\n%s\n%s", g.name, file, argv[0], err, out, text)
				}
				ran[argv[0]]++
			}
		}
	}
	for _, tool := range []string{"go", "node", "npm", "python3"} {
		if ran[tool] == 0 {
			t.Errorf("%s read nothing", tool)
		}
	}
}

func TestTheGoCommandWouldWriteTheSame(t *testing.T) {
	t.Parallel()
	before := "module example.org/demo\n\ngo 1.22\n\nrequire (\n\tgithub.com/spf13/cobra v1.8.0 // cli\n\tgolang.org/x/mod v0.14.0\n)\n"
	plan := planOf(fixplan.Operation{
		Kind: fixplan.PinDependency, File: "go.mod", Rationale: "x", Evidence: "x",
		Details: fixplan.Details{Name: "golang.org/x/mod", Version: "v0.17.0"},
	})
	add := plan.Operations[0]
	add.Kind, add.Details = fixplan.AddDependency, fixplan.Details{Name: "github.com/google/go-cmp", Version: "v0.6.0"}
	plan.Operations = append(plan.Operations, add)
	got, err := fixplan.Apply(plan, reader(map[string][]byte{"go.mod": []byte(before)}))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "go.mod")
	if err := os.WriteFile(name, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-require=golang.org/x/mod@v0.17.0", "-require=github.com/google/go-cmp@v0.6.0", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if lines(got.Changed["go.mod"]) != lines(want) {
		t.Errorf("we wrote\n%s\ngo wrote\n%s", got.Changed["go.mod"], want)
	}
}

// lines are a text's lines in no order: go mod edit leaves sorting to go mod tidy.
func lines(text []byte) string {
	all := strings.Split(string(text), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}
