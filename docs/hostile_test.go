package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheListOfHostileThingsNamesTestsThatExist: each row names at least one test, and each name is a function of a
// test file in the package that stands behind it.
func TestTheListOfHostileThingsNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	_, list, _ := strings.Cut(read(t, "docs/security.md"), "<!-- The list of hostile things -->")
	list, _, whole := strings.Cut(list, "<!-- End of the list of hostile things -->")
	rows := regexp.MustCompile("(?m)^\\| (.+) \\| (`Test.+) \\|$").FindAllStringSubmatch(list, -1)
	if lines := strings.Count(list, "\n|") - 2; !whole || len(rows) < 20 || len(rows) != lines {
		t.Fatalf("%d of %d rows name a test", len(rows), lines)
	}
	// Some names of tests, then the package that they are in.
	in := regexp.MustCompile("((?:`Test\\w+`,? )+)in `([\\w/]+)`")
	for _, row := range rows {
		groups := in.FindAllStringSubmatch(row[2], -1)
		named := 0
		for _, group := range groups {
			for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(group[1], -1) {
				if named++; !isTest(t, group[2], m[1]) {
					t.Errorf("%s: %s has no %s", row[1], group[2], m[1])
				}
			}
		}
		if named != strings.Count(row[2], "`Test") {
			t.Errorf("%s: not every test has its package: %s", row[1], row[2])
		}
	}
}

func isTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
