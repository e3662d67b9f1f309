package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "../../.."

// TestEveryGuardIsWhereItsEntrySays is quick, and part of every test run: a guard that moves is noticed at once.
func TestEveryGuardIsWhereItsEntrySays(t *testing.T) {
	t.Parallel()
	all := guards()
	if len(all) < 30 {
		t.Errorf("only %d guards", len(all))
	}
	simulator, err := os.ReadFile(filepath.Join(module, "cmd/sim/guard/guard.go"))
	if err != nil {
		t.Fatal(err)
	}
	promise := regexp.MustCompile(`^I([1-9]|1[0-2])$`)
	var names []string
	tests := map[string][]string{}
	for _, g := range all {
		if g.Name == "" || slices.Contains(names, g.Name) || g.What == "" || g.Says == "" || len(g.Edits) == 0 || !promise.MatchString(g.Promise) {
			t.Errorf("%q is incomplete or there twice: %+v", g.Name, g)
		}
		names = append(names, g.Name)
		if _, err := g.overlay(module, t.TempDir()); err != nil {
			t.Errorf("%s: %v", g.Name, err)
		}
		if tests[g.Pkg] == nil {
			tests[g.Pkg] = testsOf(t, filepath.Join(module, g.Pkg))
		}
		if g.Sim != "" && !strings.Contains(string(simulator), `Name = "`+g.Sim+`"`) {
			t.Errorf("%s: the simulator has no guard %s", g.Name, g.Sim)
		}
		for _, name := range strings.Split(g.Run, "|") {
			if !slices.Contains(tests[g.Pkg], name) {
				t.Errorf("%s: %s has no %s", g.Name, g.Pkg, name)
			}
		}
	}
}

func testsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func TestTheTableInTheDocumentationIsCurrent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(module, "docs/reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(text), tableBegin)
	table, _, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends || strings.TrimSpace(table) != strings.TrimSpace(markdown(guards())) {
		t.Errorf("the table of guards in docs/reliability.md is not what go run ./internal/devtools/mutants -list prints")
	}
}

func TestAnEditIsMadeOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	const text = "package x\n\nfunc a() {\n\tx()\n}\n\nfunc b() {\n\tx()\n\ty()\n}\n"
	for name, tc := range map[string]struct {
		edit  Edit
		want  string
		moved bool
	}{
		"in the whole file":     {Edit{Old: "y()", New: "z()"}, strings.Replace(text, "y()", "z()", 1), false},
		"in one function":       {Edit{In: "func a(", Old: "x()", New: "z()"}, strings.Replace(text, "x()", "z()", 1), false},
		"twice in the file":     {Edit{Old: "x()", New: "z()"}, "", true},
		"gone":                  {Edit{Old: "w()", New: "z()"}, "", true},
		"in another function":   {Edit{In: "func a(", Old: "y()", New: "z()"}, "", true},
		"the function is gone":  {Edit{In: "func c(", Old: "y()", New: "z()"}, "", true},
		"nothing is everywhere": {Edit{Old: "", New: "z()"}, "", true},
	} {
		got, err := tc.edit.apply(text)
		if got != tc.want || errors.Is(err, errMoved) != tc.moved {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// toy is a module with one guard; its test misses the guard, but not the line after it.
var toy = map[string]string{
	"go.mod": "module example.com/toy\n\ngo 1.25\n",
	"toy.go": "package toy\n\nfunc Half(n int) int {\n\tif n < 0 {\n\t\treturn 0\n\t}\n\tprintln(\"half\")\n\treturn n / 2\n}\n",
	"toy_test.go": "package toy\n\nimport \"testing\"\n\nfunc TestHalf(t *testing.T) {\n\tif n := Half(-4); n != 0 {\n" +
		"\t\tt.Errorf(\"negative: %d\", n)\n\t}\n}\n\nfunc TestRed(t *testing.T) { t.Error(\"always\") }\n",
}

func TestGuardsOfAModuleAreRemovedAndJudged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range toy {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	guard := func(old, replacement, says string) Guard {
		return Guard{Name: "g", Promise: "I1", Pkg: ".", Run: "TestHalf", Says: says, Edits: []Edit{{"toy.go", "func Half(", old, replacement}}}
	}
	for name, tc := range map[string]struct {
		guard Guard
		ok    bool
		says  string
	}{
		"a guard that is missed":             {guard("n < 0", "false", "negative: -2"), true, "TestHalf\nmutants: 1/1 caught\n"},
		"one that nobody misses":             {guard("println(\"half\")", "", "negative"), false, "the tests are green without it\nmutants: 0/1 caught\n"},
		"one that is missed for no reason":   {guard("n < 0", "false", "odd"), false, "red for another reason"},
		"one that has moved":                 {guard("n < 1", "false", "negative"), false, "the guard has moved"},
		"one that the code can't do without": {guard("n < 0", "n", "negative"), false, "it does not compile without the guard"},
		"one that ends in a crash":           {guard("return 0", "go panic(n); select {}", "negative"), false, "failed without a red test"},
		"a test that is red anyway": {
			Guard{Name: "g", Pkg: ".", Run: "TestRed", Says: "always", Edits: []Edit{{"toy.go", "", "n < 0", "false"}}},
			false, "is red with every guard in place",
		},
	} {
		var out strings.Builder
		if ok := run(t.Context(), &out, options{root: dir, jobs: 2}, []Guard{tc.guard}); ok != tc.ok || !strings.Contains(out.String(), tc.says) {
			t.Errorf("%s: %v\n%s", name, ok, out.String())
		}
	}
	for name, text := range toy {
		if now, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(now) != text {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
}

func TestATimeoutIsACatchOnlyWhereTheEntrySaysSo(t *testing.T) {
	t.Parallel()
	out := "panic: test timed out after 2m\n--- FAIL: TestX\n"
	for _, hangs := range []bool{false, true} {
		if v := judge(Guard{Says: "FAIL", Hangs: hangs}, out, errors.New("exit status 2")); v.caught != hangs {
			t.Errorf("hangs %v: %+v", hangs, v)
		}
	}
}
