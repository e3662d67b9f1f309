package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTargetsAreThoseOfTheirPackage(t *testing.T) {
	got := map[string][]string{}
	targetsOf("FuzzA\nFuzzB\nok  \tx/a\t0.1s\n?   \tx/none\t[no test files]\nok  \tx/empty\t0.1s\nFuzzC\nok  \tx/c\t(cached)\n")(func(pkg string, targets []string) bool {
		got[pkg] = targets
		return true
	})
	if diff := cmp.Diff(map[string][]string{"x/a": {"FuzzA", "FuzzB"}, "x/c": {"FuzzC"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyTheEndOfTheTimeIsNoFailure(t *testing.T) {
	for output, want := range map[string]bool{
		"--- FAIL: FuzzParse (3.09s)\n    context deadline exceeded\nFAIL":                                                                    true,
		"--- FAIL: FuzzParse (0.1s)\n    --- FAIL: FuzzParse (0.00s)\n  context deadline exceeded\n Failing input written to testdata/fuzz/x": false,
		"panic: context deadline exceeded": false,
		"FAIL":                             false,
	} {
		if overran(output) != want {
			t.Errorf("%q: %v", output, !want)
		}
	}
}
