package runner

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// painter is a sandbox whose check prints what it is told for a tree's a.txt.
type painter struct {
	stand
	says map[string]string
}

func (s painter) Run(ctx context.Context, spec sandbox.Spec) (sandbox.Result, error) {
	res, err := s.stand.Run(ctx, spec)
	if spec.Script == "set -e\ncheck" && res.ExitCode != 0 {
		res.Output = s.says[filepath.Base(spec.Dir)]
	}
	return res, err
}

func TestTheCheckHasToBeRedAboutTheSameFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		ci     []string
		here   string
		reason string
	}{
		"the same file":                       {[]string{"a.txt"}, "a.txt\n", ""},
		"the same file among others":          {[]string{"a.txt", "b.txt"}, "a.txt\n", ""},
		"the same file by the sandbox's path": {[]string{"a.txt"}, "error in /src/a.txt:1\n", ""},
		"another file":                        {[]string{"a.txt"}, "b.txt\n", reasonRedDifferently},
		"CI names none":                       {nil, "b.txt\n", ""},
		"CI names none of the repository's":   {[]string{"z.txt"}, "b.txt\n", ""},
		"nothing is named here":               {[]string{"a.txt"}, "it is wrong\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := painter{stand{map[string]string{"a.txt": "green\n"}, redUntilGreen}, map[string]string{"before": tc.here}}
			p, w, _ := bench(t, s.stand)
			p.Sandbox = s
			w.files, w.alone = []string{"a.txt", "b.txt"}, failure.Report{Files: tc.ci, Text: "red"}
			if got := try(t, w, p.patch, p.verify); got != tc.reason {
				t.Errorf("%q, want %q", got, tc.reason)
			}
			if c := w.report.Check; c.FingerprintCI == "" || c.FingerprintHere == "" || c.FingerprintCI == c.FingerprintHere {
				t.Errorf("fingerprints %q and %q", c.FingerprintCI, c.FingerprintHere)
			}
		})
	}
}

func TestWhatIsBrokenOnTheBaseBranchIsMendedThere(t *testing.T) {
	for name, tc := range map[string]struct {
		// base is the text of a.txt on the base branch.
		base, says    string
		branch        string
		reason, cause string
	}{
		"the base branch is green":             {"green\n", "", "feature", "", causeChange},
		"it has the same failure":              {"red\n", "a.txt\n", "feature", reasonRedOnBase, causeBase},
		"it has that and another":              {"red\n", "a.txt\nb.txt\n", "feature", reasonRedOnBase, causeBase},
		"it is red for something else":         {"red\n", "b.txt\n", "feature", "", causeUnknown},
		"the failure is the base branch's own": {"red\n", "a.txt\n", "main", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := painter{stand{map[string]string{"a.txt": "green\n"}, redUntilGreen}, map[string]string{"before": "a.txt\n", "base": tc.says}}
			p, w, repo := bench(t, s.stand)
			p.Sandbox = s
			repo.Commit(map[string]string{"a.txt": tc.base, "c.txt": "c\n"})
			w.base = repo.Push("next")
			w.run.Failure.Branch = tc.branch
			w.files, w.alone = []string{"a.txt", "b.txt"}, failure.Report{Files: []string{"a.txt"}, Text: "red"}
			if err := w.mirror.Fetch(t.Context(), w.base); err != nil {
				t.Fatal(err)
			}
			if got := try(t, w, p.patch, p.verify); got != tc.reason {
				t.Errorf("%q, want %q", got, tc.reason)
			}
			if c := w.report.Check; c.Cause != tc.cause || (c.Base != nil) != (tc.cause != "") {
				t.Errorf("cause %q, base %+v", c.Cause, c.Base)
			}
		})
	}
}

func TestAnOutputsNamesAreFoundInTheRepository(t *testing.T) {
	t.Parallel()
	x := newFileIndex([]string{"a.js", "src/a.js", "src/deep/b.js", "one/c.js", "two/c.js"})
	got := map[string]string{}
	for _, name := range []string{"a.js", "src/a.js", "b.js", "deep/b.js", "c.js", "root/project/src/a.js", "d.js"} {
		got[name] = x.find(name)
	}
	want := map[string]string{
		"a.js": "a.js", "src/a.js": "src/a.js", "b.js": "src/deep/b.js", "deep/b.js": "src/deep/b.js", "c.js": "", "root/project/src/a.js": "src/a.js", "d.js": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := atRoot("/src/a.js:1 x/src/b.js \"/src/c d\""); got != "a.js:1 x/src/b.js \"c d\"" {
		t.Error(got)
	}
	if some(map[string]bool{"a": true, "b": true, "c": true, "d": true}) != "a, b, c and 1 more" || strings.Contains(some(nil), "more") {
		t.Error(some(nil))
	}
}
