package fix

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// notRunHere are the fixers that no test runs, and why. What is tested of them is their scripts and their refusals.
var notRunHere = map[string]string{
	"ruff":          "not run here: PyPI is not reached",
	"uv-lock":       "not run here: PyPI is not reached",
	"dotnet-format": "not run here: there is no .NET SDK",
	"build-wrapper": "not run here: it only declines",
}

// proved are the fixers whose plan prove has run from red to green with the real tool.
var proved sync.Map

// TestMain holds the column "tested" of docs/fixers.md to what was run: after all tests, every fixer that is not one
// of notRunHere was proved, and none of those was.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 && wholeRun() {
		code = unproved()
	}
	os.Exit(code)
}

// wholeRun says that no flag chose some tests alone.
func wholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

func unproved() (code int) {
	c, err := Load()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, name := range c.Names() {
		_, ran := proved.Load(name)
		if _, not := notRunHere[name]; ran == not {
			fmt.Printf("FAIL: %s was run from red to green: %v, and is one of notRunHere: %v\n", name, ran, not)
			code = 1
		}
	}
	return code
}

func TestFixersThatAreNotRunHereAreOfTheCatalogue(t *testing.T) {
	names := mustLoad(t).Names()
	for name := range notRunHere {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in the catalogue", name)
		}
	}
	if n := len(names) - len(notRunHere); n < 25 {
		t.Errorf("only %d fixers have a test with the real tool", n)
	}
}
