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
		Context: []patch.Line{{File: "main.go", Number: 1, Text: "package main"}, {File: "main.go", Number: 4, Text: "// end"}},
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
	tests := map[string]struct{ diff, want string }{
		"a path that climbs out":                           {header("../x"), patch.ReasonOutside},
		"a path that climbs out below":                     {header("a/../../x"), patch.ReasonOutside},
		"an absolute path":                                 {header("/etc/passwd"), patch.ReasonBad},
		"a drive letter":                                   {header("C:/x"), patch.ReasonOutside},
		"git's folder":                                     {header(".git/hooks/pre-commit"), patch.ReasonGitFolder},
		"git's folder below":                               {header("a/.git/config"), patch.ReasonGitFolder},
		"git's folder in capitals":                         {header(".GIT/config"), patch.ReasonGitFolder},
		"git's folder with a trailing blank":               {header(".git /config"), patch.ReasonGitFolder},
		"git's folder with a trailing dot":                 {header(".git./config"), patch.ReasonGitFolder},
		"git's short name":                                 {header("git~1/config"), patch.ReasonGitFolder},
		"an NTFS stream":                                   {header(".git::$INDEX_ALLOCATION/config"), patch.ReasonGitFolder},
		"an HFS invisible character":                       {header(".g\u200cit/config"), patch.ReasonPath},
		"a backslash":                                      {header(`.git\config`), patch.ReasonPath},
		"a control character":                              {header("a\x01b"), patch.ReasonPath},
		"a quoted NUL":                                     {strings.ReplaceAll(header("X"), "b/X", `"b/a\000b"`), patch.ReasonPath},
		"a quoted line end":                                {"diff --git \"a/a\\nb\" \"b/a\\nb\"\nnew file mode 100644\nindex 0000000..1111111\n", patch.ReasonPath},
		"text before the first file":                       {"From: me\n" + simple, patch.ReasonBad},
		"text between files":                               {simple + "hello\n" + header("y"), patch.ReasonBad},
		"a traditional diff":                               {"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", patch.ReasonBad},
		"a diff hidden after another in the old form":      {simple + "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", patch.ReasonBad},
		"a hunk cut short":                                 {strings.TrimSuffix(simple, " // end\n"), patch.ReasonBad},
		"a hunk that lies about its length":                {strings.Replace(simple, "+1,4", "+1,3", 1), patch.ReasonBad},
		"a file changed twice":                             {simple + simple, patch.ReasonTwice},
		"a strange mode":                                   {strings.Replace(header("x"), "100644", "100777", 1), patch.ReasonBad},
		"another name without a rename":                    {strings.Replace(simple, "+++ b/main.go", "+++ b/other.go", 1), patch.ReasonBad},
		"no last line end":                                 {strings.TrimSuffix(simple, "\n"), patch.ReasonBad},
		"a combined diff":                                  {"diff --cc x\nindex 1,2..3\n", patch.ReasonBad},
		"git's folder in octal":                            {quoted(`\056git/config`), patch.ReasonGitFolder},
		"a climb in octal":                                 {quoted(`\056\056/x`), patch.ReasonOutside},
		"a carriage return in octal":                       {quoted(`a\015`), patch.ReasonPath},
		"header lines with carriage returns":               {strings.ReplaceAll(header("x"), "\n", "\r\n"), patch.ReasonBad},
		"a carriage return after the name":                 {strings.Replace(header("x"), "b/x\n", "b/x\r\n", 1), patch.ReasonBad},
		"two sections for one new file":                    {header("x") + header("x"), patch.ReasonTwice},
		"a deletion and a new file of one name":            {header("x") + "diff --git a/x b/x\ndeleted file mode 100644\nindex 1111111..0000000\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n", patch.ReasonTwice},
		"a rename onto a file that is changed too":         {header("y") + renamed("x", "y"), patch.ReasonTwice},
		"a rename into git's folder":                       {renamed("x", ".git/hooks/post-checkout"), patch.ReasonGitFolder},
		"a copy out of the tree":                           {strings.ReplaceAll(renamed("x", "../y"), "rename", "copy"), patch.ReasonOutside},
		"names that say one thing above and another below": {strings.Replace(header("x"), "+++ b/x", "+++ b/.git/config", 1), patch.ReasonBad},
		"too many bytes":                                   {strings.Repeat("x", patch.MaxBytes+1), patch.ReasonBad},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := patch.Parse([]byte(tt.diff))
			if reason, _ := fault.Reason(err); reason != tt.want {
				t.Fatalf("want %s, got %+v, %v", tt.want, p, err)
			}
		})
	}
}

// quoted is a new file whose name git would write in quotes.
func quoted(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(header("X"), "a/X", `"a/`+name+`"`), "b/X", `"b/`+name+`"`)
}

func renamed(from, to string) string {
	return "diff --git a/" + from + " b/" + to + "\nsimilarity index 100%\nrename from " + from + "\nrename to " + to + "\n"
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
