package gitrepo_test

import (
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// inside runs a script in a real sandbox on the tree, as the runner does.
func inside(t *testing.T, tr *gitrepo.Tree, script string) {
	t.Helper()
	s, err := sandbox.New(t.Context(), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := sandbox.Spec{Script: "set -e\nnot() { ! \"$@\"; }\n" + script, Dir: tr.Dir(), Limits: sandbox.Limits{Time: time.Minute}}
	for _, m := range tr.Mounts() {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: m.Host, Inside: m.Inside})
	}
	res, err := s.Run(t.Context(), spec)
	if err != nil || res.ExitCode != 0 {
		t.Errorf("exit %d, %v, output:\n%s", res.ExitCode, err, res.Output)
	}
}

func TestGitWorksInsideASandbox(t *testing.T) {
	t.Parallel()
	tr, _ := tree(t, map[string]string{"a": "1\n", "d/b": "2\n", ".gitignore": "out\n"})
	inside(t, tr, `
test -z "$(git status --porcelain 2>&1)"
git diff --exit-code
git diff-index --quiet HEAD
test "$(git ls-files | tr '\n' ' ')" = ".gitignore a d/b "
test "$(git rev-parse HEAD)" = `+tr.Commit()+`
test "$(git log --oneline 2>&1 | wc -l)" = 1
test "$(git show HEAD:a)" = 1
git grep -q 2
echo 2 >a
not git diff --exit-code >/dev/null
git stash -q && git stash pop -q
git commit -q -a -m x --author "a <a@b>" 2>/dev/null || git -c user.name=a -c user.email=a@b commit -q -a -m x
touch out new`)
	// All of that in the tree's own .git; the host compares with its own.
	if d := diff(t, tr); d == "" {
		t.Error("the change is not seen")
	}
}

func TestAnAppliedPatchIsTheCommitInside(t *testing.T) {
	t.Parallel()
	tr, m := tree(t, map[string]string{"a": "1\n", "b": "1\n"})
	inside(t, tr, "echo changed by the check >>b; git checkout -q b")
	write(t, tr, "a", "2\n")
	write(t, tr, "new", "x\n")
	d := diff(t, tr)
	fixed := checkout(t, m, tr.Commit())
	if err := fixed.Apply(t.Context(), []byte(d)); err != nil {
		t.Fatal(err)
	}
	inside(t, fixed, `
test -z "$(git status --porcelain 2>&1)"
git diff --exit-code
git diff --quiet HEAD
test "$(git rev-parse HEAD^)" = `+tr.Commit()+`
test "$(git diff --name-only HEAD^ | tr '\n' ' ')" = "a new "
git ls-files --error-unmatch new >/dev/null
test "$(git cat-file -p HEAD:new)" = x`)
	if diff(t, fixed) != d {
		t.Error("the diff is another one after the sandbox")
	}
}
