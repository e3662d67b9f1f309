package publisher

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheLinesThatADiffTouchesAreThoseBeforeIt(t *testing.T) {
	const two = `diff --git a/a.txt b/a.txt
--- a/a.txt
+++ b/a.txt
@@ -1,4 +1,5 @@
 one
-two
+TWO
 three
+three and a half
 four
@@ -20,3 +21,2 @@
 twenty
-diff --git a/x b/x
 twentytwo
diff --git a/new.txt b/new.txt
new file mode 100644
--- /dev/null
+++ b/new.txt
@@ -0,0 +1,2 @@
+a
+b
`
	got, err := changedLines([]byte(two))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string][]int{}
	for file, set := range got {
		lines[file] = slices.Sorted(maps.Keys(set))
	}
	// TWO stands before line 3, as git has it; what is put in between stands before the line that follows.
	want := map[string][]int{"a.txt": {2, 3, 4, 21}, "new.txt": {0}}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if len(linesOf("")) != 0 || len(linesOf("@@ what\n+x\n")) != 1 {
		t.Error("what is no hunk is read as one")
	}
}
