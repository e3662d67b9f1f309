package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryReasonOfAGuardIsOnThePageOfSecurity: a guard that says no is of little use if nobody can look up why.
func TestEveryReasonOfAGuardIsOnThePageOfSecurity(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/security.md")
	// What a package gives a name, and what it writes where it says no.
	reason := regexp.MustCompile(`\bReason\w+ += "([a-z_]+)"|fault\.Permf?\("([a-z_]+)"`)
	for _, dir := range []string{"policy", "scan", "model", "agentcmd", "egress", "joblog", "joblog/*"} {
		files, err := filepath.Glob(filepath.Join(root, "internal", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			rel, _ := filepath.Rel(root, file)
			if strings.HasSuffix(rel, "_test.go") {
				continue
			}
			for _, m := range reason.FindAllStringSubmatch(read(t, rel), -1) {
				if name := m[1] + m[2]; name != "within_policy" && !strings.Contains(page, "`"+name+"`") {
					t.Errorf("docs/security.md does not say what %q of %s means", name, rel)
				}
			}
		}
	}
}
