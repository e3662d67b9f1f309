package fix

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// table is the table of docs/fixers.md, made from the catalogue.
func table(c *Catalogue) string {
	var b strings.Builder
	b.WriteString("| fixer | what it does | for | version of the tool | may touch | check | tested |\n|---|---|---|---|---|---|---|\n")
	for _, e := range c.entries {
		fetched := "the sandbox's own (" + e.Rule + ")"
		if e.Prepare != nil && strings.Contains(e.Prepare.Script, ".Install") {
			fetched = "the one that the repository pins, built for it (" + e.Rule + ")"
		} else if e.Prepare != nil && strings.Contains(e.Prepare.Script, ".Spec") {
			fetched = "the one that the repository pins, installed for it (" + e.Rule + ")"
		}
		check := "the fixer's own"
		if len(e.checks) > 0 {
			check = "the failing command where it is harmless, else the fixer's own"
		}
		tested := "with the real tool"
		if why, not := notRunHere[e.Name]; not {
			tested = why
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", e.Name, e.Title, globs(e.When.Files), fetched, globs(e.Touches), check, tested)
	}
	return b.String()
}

func globs(list []string) string {
	return "`" + strings.Join(list, "`, `") + "`"
}

func TestTheTableOfFixersIsThatOfTheCatalogue(t *testing.T) {
	data, err := os.ReadFile("../../docs/fixers.md")
	if err != nil {
		t.Fatal(err)
	}
	want := table(mustLoad(t))
	if got := regexp.MustCompile(`(?m)^\|.*\n`).FindAllString(string(data), -1); strings.Join(got, "") != want {
		t.Errorf("docs/fixers.md has another table. Put this there:\n%s", want)
	}
}
