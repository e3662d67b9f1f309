package fixplan_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fixplan"
)

func TestThePageAboutPlansIsRight(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "fixplan.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
	if _, err := fixplan.Parse(example[1]); err != nil {
		t.Errorf("the example: %v", err)
	}
	var reasons []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(plan_[a-z_]+)` \\|").FindAllSubmatch(page, -1) {
		reasons = append(reasons, string(m[1]))
	}
	if diff := cmp.Diff(fixplan.Reasons(), reasons); diff != "" {
		t.Error(diff)
	}
}
