package patch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/patch"
)

const simple = `diff --git a/main.go b/main.go
index 1111111..2222222 100644
--- a/main.go
+++ b/main.go
@@ -1,3 +1,4 @@
 package main
-func main(){}
+
+func main() {}
 // end
`

func TestAnOrdinaryChangeIsReadWhole(t *testing.T) {
	got, err := patch.Parse([]byte(simple))
	if err != nil {
		t.Fatal(err)
	}
	want := &patch.Patch{
		Files:   []patch.File{{OldPath: "main.go", NewPath: "main.go", Added: 2, Removed: 1, OldMode: patch.ModeRegular}},
		Added:   []patch.Line{{File: "main.go", Number: 2}, {File: "main.go", Number: 3, Text: "func main() {}"}},
		Removed: []patch.Line{{File: "main.go", Number: 2, Text: "func main(){}"}},
		Bytes:   len(simple),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyDiffIsAPatchOfNoFiles(t *testing.T) {
	got, err := patch.Parse(nil)
	if err != nil || len(got.Files) != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestWhatGitItselfWritesIsRead(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return string(out)
	}
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "-q")
	write("gone.txt", "bye\n", 0o644)
	write("mode.sh", "echo\n", 0o644)
	write("bin.dat", "a\x00b", 0o644)
	write("tail.txt", "no line end", 0o644)
	write("old name.txt", strings.Repeat("same\n", 20), 0o644)
	run("add", ".")
	run("commit", "-qm", "one")
	for _, gone := range []string{"gone.txt", "old name.txt"} {
		if err := os.Remove(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	write("new name.txt", strings.Repeat("same\n", 20), 0o644)
	write("dir/ümlaut \"q\".go", "package dir\n", 0o644)
	write("tail.txt", "still no line end", 0o644)
	write("bin.dat", "a\x00c", 0o644)
	write("empty", "", 0o644)
	if err := os.Chmod(filepath.Join(dir, "mode.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	run("add", "-A")
	p, err := patch.Parse([]byte(run("diff", "--cached", "-M", "--binary", "--full-index")))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]patch.File{}
	for _, f := range p.Files {
		got[f.Path()] = f
	}
	checks := map[string]bool{
		"the deletion":      got["gone.txt"].IsDelete && got["gone.txt"].Removed == 1,
		"the mode change":   got["mode.sh"].ModeChange(),
		"the binary":        got["bin.dat"].IsBinary,
		"the symlink":       got["link"].Symlink() && got["link"].IsNew,
		"the rename":        got["new name.txt"].IsRename && got["new name.txt"].OldPath == "old name.txt",
		"the quoted name":   got["dir/ümlaut \"q\".go"].IsNew,
		"the empty file":    got["empty"].IsNew,
		"the last line":     got["tail.txt"].Added == 1 && got["tail.txt"].Removed == 1,
		"nothing but these": len(p.Files) == 8,
	}
	for what, ok := range checks {
		if !ok {
			t.Errorf("%s was not read: %+v", what, p.Files)
		}
	}
}

func header(name string) string {
	return "diff --git a/" + name + " b/" + name + "\nnew file mode 100644\nindex 0000000..1111111\n--- /dev/null\n+++ b/" + name + "\n@@ -0,0 +1 @@\n+x\n"
}

func TestHostileDiffsAreRefused(t *testing.T) {
	tests := map[string]string{
		"a path that climbs out":                      header("../x"),
		"a path that climbs out below":                header("a/../../x"),
		"an absolute path":                            header("/etc/passwd"),
		"a drive letter":                              header("C:/x"),
		"git's folder":                                header(".git/hooks/pre-commit"),
		"git's folder below":                          header("a/.git/config"),
		"git's folder in capitals":                    header(".GIT/config"),
		"git's folder with a trailing blank":          header(".git /config"),
		"git's folder with a trailing dot":            header(".git./config"),
		"git's short name":                            header("git~1/config"),
		"an NTFS stream":                              header(".git::$INDEX_ALLOCATION/config"),
		"an HFS invisible character":                  header(".g\u200cit/config"),
		"a backslash":                                 header(`.git\config`),
		"a control character":                         header("a\x01b"),
		"a quoted NUL":                                strings.ReplaceAll(header("X"), "b/X", `"b/a\000b"`),
		"a quoted line end":                           "diff --git \"a/a\\nb\" \"b/a\\nb\"\nnew file mode 100644\nindex 0000000..1111111\n",
		"text before the first file":                  "From: me\n" + simple,
		"text between files":                          simple + "hello\n" + header("y"),
		"a traditional diff":                          "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
		"a diff hidden after another in the old form": simple + "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
		"a hunk cut short":                            strings.TrimSuffix(simple, " // end\n"),
		"a hunk that lies about its length":           strings.Replace(simple, "+1,4", "+1,3", 1),
		"a file changed twice":                        simple + simple,
		"a strange mode":                              strings.Replace(header("x"), "100644", "100777", 1),
		"another name without a rename":               strings.Replace(simple, "+++ b/main.go", "+++ b/other.go", 1),
		"no last line end":                            strings.TrimSuffix(simple, "\n"),
		"a combined diff":                             "diff --cc x\nindex 1,2..3\n",
		"too many bytes":                              strings.Repeat("x", patch.MaxBytes+1),
	}
	for name, diff := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := patch.Parse([]byte(diff))
			if reason, _ := fault.Reason(err); reason != patch.ReasonBad {
				t.Fatalf("got %+v, %v", p, err)
			}
		})
	}
}

func TestOrdinaryPathsAreAllowed(t *testing.T) {
	for _, path := range []string{"a", ".gitignore", ".github/x", "a b/c", "git~x", "dir.git/x", "...x", "日本.go"} {
		if err := patch.CheckPath(path); err != nil {
			t.Error(err)
		}
	}
}

func TestTheDigestNamesTheBytes(t *testing.T) {
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if got := patch.Digest(nil); got != empty {
		t.Error(got)
	}
}

func FuzzParseNeverPanicsAndNeverNamesABadPath(f *testing.F) {
	f.Add([]byte(simple))
	f.Add([]byte(header("x") + "diff --git a/b b/b\nold mode 100644\nnew mode 100755\n"))
	f.Add([]byte("diff --git a/b b/b\nindex 1..2\nGIT binary patch\nliteral 1\nIcmZ\n\nliteral 0\nHcmV?d00001\n\n"))
	f.Fuzz(func(t *testing.T, diff []byte) {
		p, err := patch.Parse(diff)
		if err != nil {
			return
		}
		for _, file := range p.Files {
			for _, path := range file.Paths() {
				if err := patch.CheckPath(path); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
