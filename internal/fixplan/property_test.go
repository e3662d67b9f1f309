package fixplan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/internal/fixplan"
)

// manifest is how a random manifest of one ecosystem is written.
type manifest struct {
	file, head, tail string
	line             func(name string, version int) string
	version          func(version int) string
	name             func(name string) string
}

func same(s string) string { return s }

func manifests() []manifest {
	return []manifest{
		{"requirements.txt", "# c\n-r x.txt\n", "", func(n string, v int) string { return fmt.Sprintf("%s[x]==%d.0 ; python_version > '3' # %d\n", n, v, v) }, func(v int) string { return fmt.Sprintf("%d.0", v) }, same},
		{"pyproject.toml", "[project]\ndependencies = [ # c\n", "]\n", func(n string, v int) string { return fmt.Sprintf("   '%s==%d.0',  # %d\n", n, v, v) }, func(v int) string { return fmt.Sprintf("%d.0", v) }, same},
		{"package.json", "{\n\t\"dependencies\": {\n", "\t\t\"zzz\": \"1.0.0\"\n\t}\n}\n", func(n string, v int) string { return fmt.Sprintf("\t\t%q:  \"%d.0.0\",\n", n, v) }, func(v int) string { return fmt.Sprintf("%d.0.0", v) }, same},
		{"go.mod", "module example.org/demo\n\ngo 1.22\n\nrequire (\n", ")\n", func(n string, v int) string { return fmt.Sprintf("\texample.org/%s v1.%d.0 // c\n", n, v) }, func(v int) string { return fmt.Sprintf("v1.%d.0", v) }, func(n string) string { return "example.org/" + n }},
		{"pom.xml", "<project>\n <dependencies>\n", " </dependencies>\n</project>\n", func(n string, v int) string {
			return fmt.Sprintf("  <dependency><!-- c --><groupId>g</groupId><artifactId>%s</artifactId><version> %d.0 </version></dependency>\n", n, v)
		}, func(v int) string { return fmt.Sprintf("%d.0", v) }, func(n string) string { return "g:" + n }},
		{"build.gradle", "dependencies {\n", "}\n", func(n string, v int) string { return fmt.Sprintf("  implementation 'g:%s:%d.0' // c\n", n, v) }, func(v int) string { return fmt.Sprintf("%d.0", v) }, func(n string) string { return "g:" + n }},
		{"libs.versions.toml", "[libraries]\n", "", func(n string, v int) string {
			return fmt.Sprintf("%s = { module = \"g:%s\", version = '%d.0' } # c\n", n, n, v)
		}, func(v int) string { return fmt.Sprintf("%d.0", v) }, func(n string) string { return "g:" + n }},
		{"Dockerfile", "# c\n", "", func(n string, v int) string { return fmt.Sprintf("FROM  %s:%d.0  AS s%s\n", n, v, n) }, func(v int) string { return fmt.Sprintf("%d.0", v) }, same},
	}
}

func apply(t *rapid.T, file string, src string, ops ...fixplan.Operation) (string, error) {
	plan := fixplan.Plan{RootCause: "x", Category: "dependency", Files: []string{file}, Operations: ops}
	got, err := fixplan.Apply(plan, reader(map[string][]byte{file: []byte(src)}))
	if err != nil {
		return src, err
	}
	if len(got.Changed) != 1 {
		t.Fatalf("%q", got.Changed)
	}
	return string(got.Changed[file]), nil
}

func TestAChangeKeepsEveryLineThatItDoesNotName(t *testing.T) {
	t.Parallel()
	for _, m := range manifests() {
		t.Run(m.file, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-m][a-z]{0,5}`), 1, 8, rapid.ID[string]).Draw(t, "names")
				end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")
				text := m.head
				for _, n := range names {
					text += m.line(n, rapid.IntRange(1, 9).Draw(t, "version"))
				}
				text = strings.ReplaceAll(text+m.tail, "\n", end)
				name := rapid.SampledFrom(names).Draw(t, "name")
				version := m.version(rapid.IntRange(1, 20).Draw(t, "new"))
				at := slices.Index(names, name)
				op := fixplan.Operation{
					Kind: fixplan.PinDependency, File: m.file, Rationale: "x", Evidence: "x",
					Details: fixplan.Details{Name: m.name(name), Version: version},
				}
				after, err := apply(t, m.file, text, op)
				if err != nil && !strings.HasPrefix(err.Error(), "plan_nothing_to_do") {
					t.Fatal(err)
				}
				checkLines(t, text, after, strings.Count(m.head, "\n")+at, err == nil)
				if !strings.Contains(strings.SplitAfter(after, "\n")[strings.Count(m.head, "\n")+at], strings.TrimPrefix(version, "v")) {
					t.Fatalf("%q has no %s", after, version)
				}
				if _, err := apply(t, m.file, after, op); err == nil || !strings.HasPrefix(err.Error(), "plan_nothing_to_do") {
					t.Fatalf("a second time: %v", err)
				}
			})
		})
	}
}

// checkLines says whether all lines but one are as they were.
func checkLines(t *rapid.T, before, after string, line int, changed bool) {
	was, is := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	if len(was) != len(is) {
		t.Fatalf("%d lines, were %d", len(is), len(was))
	}
	for i := range was {
		if (was[i] != is[i]) != (changed && i == line) {
			t.Fatalf("line %d: %q, was %q", i, is[i], was[i])
		}
	}
}

func TestWhatIsAddedAndRemovedAgainLeavesTheFileAsItWas(t *testing.T) {
	t.Parallel()
	for _, m := range manifests() {
		if m.file == "Dockerfile" {
			continue
		}
		t.Run(m.file, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-m][a-z]{0,5}`), 2, 8, rapid.ID[string]).Draw(t, "names")
				if rapid.Bool().Draw(t, "sorted") {
					slices.Sort(names)
				}
				text := m.head
				for _, n := range names[1:] {
					text += m.line(n, 3)
				}
				text += m.tail
				op := fixplan.Operation{
					Kind: fixplan.AddDependency, File: m.file, Rationale: "x", Evidence: "x",
					Details: fixplan.Details{Name: m.name(names[0]), Version: m.version(7)},
				}
				after, err := apply(t, m.file, text, op)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := apply(t, m.file, after, op); err == nil || !strings.HasPrefix(err.Error(), "plan_nothing_to_do") {
					t.Fatalf("a second time: %v", err)
				}
				op.Kind, op.Details.Version = fixplan.RemoveUnused, ""
				back, err := apply(t, m.file, after, op)
				if err != nil || back != text {
					t.Fatalf("%v\n%q\n%q\n%q", err, text, after, back)
				}
			})
		})
	}
}

func TestTextIsReplacedOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab\n]{0,30}`).Draw(t, "text")
		was := rapid.StringMatching(`[ab][ab\n]{0,3}`).Draw(t, "old")
		want := rapid.StringMatching(`[ab\n]{0,4}`).Draw(t, "new")
		if was == want {
			return
		}
		op := fixplan.Operation{Kind: fixplan.ModifyCode, File: "a.txt", Rationale: "x", Evidence: "x", Details: fixplan.Details{Old: was, New: want}}
		after, err := apply(t, "a.txt", text, op)
		if err != nil {
			return
		}
		if strings.Count(text, was) != 1 || after != strings.Replace(text, was, want, 1) {
			t.Fatalf("%q to %q", text, after)
		}
		if _, err := apply(t, "a.txt", after, op); err == nil || !strings.HasPrefix(err.Error(), "plan_nothing_to_do") {
			t.Fatalf("a second time: %v", err)
		}
	})
}
