package gitrepo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/gitrepo/gittest"
)

// TestABranchNameIsNeverACommandOrAnOption: some of these are good names for git, and so may come from a forge.
func TestABranchNameIsNeverACommandOrAnOption(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t).Repo(t, "a.git", map[string]string{"a": "1\n"})
	m := open(t, newGit(t), remote(repo.URL))
	canary := filepath.Join(t.TempDir(), "canary")
	for name, reason := range map[string]string{
		"$(touch${IFS}" + canary + ")": "branch_not_found", "`touch${IFS}" + canary + "`": "branch_not_found",
		"a;touch${IFS}" + canary: "branch_not_found", "a|id": "branch_not_found", "a'b\"c": "branch_not_found", "a&&id": "branch_not_found",
		"--upload-pack=touch": "bad_branch", "-u": "bad_branch", "--": "bad_branch", "refs/heads/*": "bad_branch", "main\n--exec=id": "bad_branch",
	} {
		_, err := m.BranchHead(t.Context(), name)
		wantReason(t, name, err, reason)
	}
	good := "fix/$(id)`id`;id"
	if commit := repo.Push(good); commit == "" {
		t.Fatal("not pushed")
	}
	if got, err := m.BranchHead(t.Context(), good); err != nil || got != repo.Push("main") {
		t.Errorf("%s: %s, %v", good, got, err)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command of a branch's name was run")
	}
}

// TestAFileOfLFSIsItsPointer: nothing is downloaded from where a repository's .lfsconfig points, and no filter runs.
func TestAFileOfLFSIsItsPointer(t *testing.T) {
	t.Parallel()
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n"
	s := gittest.New(t)
	repo := s.Repo(t, "a.git", map[string]string{
		"big.bin": pointer, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", ".lfsconfig": "[lfs]\n\turl = " + s.URL + "/lfs\n\tfetchexclude =\n",
	})
	m := open(t, newGit(t), remote(repo.URL))
	commit := repo.Push("main")
	fetch(t, m, commit)
	s.Requests()
	tr := checkout(t, m, commit)
	if got := files(t, tr.Dir())["big.bin"]; got != pointer {
		t.Errorf("got %q", got)
	}
	if d := diff(t, tr); d != "" {
		t.Errorf("a fresh tree differs: %s", d)
	}
	if asked := s.Requests(); len(asked) > 0 {
		t.Errorf("the server was asked for %v", asked)
	}
}

// TestPatchesOfLinksModesAndSubmodulesStayInTheTree: whether they are allowed is the policy's to say; that they reach
// nothing outside is promised here.
func TestPatchesOfLinksModesAndSubmodulesStayInTheTree(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	create := func(path, mode, content string) string {
		return "diff --git a/" + path + " b/" + path + "\nnew file mode " + mode + "\n--- /dev/null\n+++ b/" + path + "\n@@ -0,0 +1 @@\n+" + content + "\n\\ No newline at end of file\n"
	}
	submodule := strings.Repeat("12", 20)
	for name, test := range map[string]struct {
		patch string
		good  bool
	}{
		"a link, and a file through it":         {create("l", "120000", outside) + create("l/f", "100644", "x"), false},
		"a link at the place of the git folder": {create(".git", "120000", outside), false},
		"a submodule at the git folder":         {create(".git", "160000", "Subproject commit "+submodule), false},
		"a folder of the world's mode":          {create("f", "040777", "x"), true}, // it becomes a file
		"a file that sets its user":             {create("f", "104755", "x"), true}, // git knows only 644 and 755
		"a link":                                {create("l", "120000", outside), true},
		"a submodule":                           {create("s", "160000", "Subproject commit "+submodule), true},
	} {
		tr, _ := tree(t, map[string]string{"a": "1\n"})
		err := tr.Apply(t.Context(), []byte(test.patch))
		if test.good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Lstat(filepath.Join(tr.Dir(), "f")); err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid|os.ModeSticky) != 0 {
			t.Errorf("%s: the mode is %v", name, info.Mode())
		}
		if info, err := os.Lstat(filepath.Join(tr.Dir(), ".git")); err != nil || !info.IsDir() {
			t.Errorf("%s: .git is %v, %v", name, info, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("written outside: %v, %v", entries, err)
	}
}
