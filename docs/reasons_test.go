package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// decliners are the packages whose reasons a run may end with in the runner.
var decliners = []string{
	"services/runner", "services/publisher", "internal/origin", "internal/fix", "internal/fixplan", "internal/model", "internal/agentcmd", "internal/policy", "internal/scan",
	"internal/gitrepo", "internal/patch", "internal/repoconfig", "internal/httpapi", "internal/joblog", "internal/store/model.go",
	"internal/store/publications.go", "internal/run",
}

var namedReason = regexp.MustCompile(`Permf?\("([a-z_]+)"|\b[Rr]eason\w*\s*=\s*"([a-z_]+)"|= "(plan_[a-z_]+)"|\bEnd\w+\s*=\s*"([a-z_]+)"|return true, "([a-z_]+_mode)"`)

func TestEveryReasonHasItsSentence(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/reasons.md")
	reasons := map[string]string{
		string(failure.Infrastructure): "internal/failure", string(failure.Flaky): "internal/failure", string(failure.Permission): "internal/failure",
	}
	for _, dir := range decliners {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test/") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range namedReason.FindAllStringSubmatch(string(text), -1) {
				reasons[strings.Join(m[1:], "")] = path
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(reasons) < 80 {
		t.Fatalf("only %d reasons were found", len(reasons))
	}
	for reason, where := range reasons {
		sentence := regexp.MustCompile("(?m)^\\| (?:`\\w+`, )*`" + reason + "`(?:, `\\w+`)* \\| \\S.+\\|$")
		if !sentence.MatchString(page) {
			t.Errorf("docs/reasons.md explains no %q, which %s ends a run with", reason, where)
		}
	}
}
