package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
)

var testFiles = []string{
	"*_test.*", "*.test.*", "*.spec.*", "*_spec.*", "test_*.py", "conftest.py", "*Test.java", "*Tests.java", "*Test.kt", "*Tests.cs", "*Test.php",
	"**/test/**", "**/tests/**", "**/__tests__/**", "**/spec/**", "**/testdata/**", "**/__snapshots__/**",
}

// skipMarkers are the calls and attributes that make a test framework pass over a test, or over all others.
var skipMarkers = regexp.MustCompile(strings.Join([]string{
	`\b(?:t|b|f|tb|suite\.T\(\)|s\.T\(\))\.Skip(?:f|Now)?\(`,
	`\b(?:it|test|describe|context|suite|specify)(?:\.\w+)*\.(?:skip|only|todo|fixme|fails|failing)\b`,
	`(?:^|[^.\w])[xf](?:it|describe|context|specify|test)\s*\(`,
	`@(?:pytest\.mark|unittest)\.(?:skip|skipif|skipIf|skipUnless|xfail|expectedFailure)\b`,
	`\bpytest(?:\.mark)?\.(?:skip|xfail|importorskip)\b`,
	`\bself\.skipTest\(`, `\braise\s+(?:unittest\.)?SkipTest\b`,
	`#\[ignore\b`,
	`@(?:Ignore|Disabled)\b`,
	`\[(?:Ignore|Fact\(Skip|Theory\(Skip)\b`, `\bAssert\.Ignore\(`,
	`->markTest(?:Skipped|Incomplete)\(`,
}, "|"))

// testsKept: no test file goes away, and no file gets more skip markers than it had. Counting them, not merely
// finding one, lets a formatter move a marker that was there before.
func testsKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, f := range p.Files {
		gone := f.OldPath != "" && isTest(f.OldPath) && (f.IsDelete || (f.IsRename && !isTest(f.NewPath)))
		if gone {
			out = append(out, Finding{ReasonTestGone, f.OldPath, "tests are not deleted"})
		}
		if emptied := !f.IsDelete && f.Added == 0 && f.Removed > 0 && isTest(f.Path()) && removesTests(p, f.OldPath); emptied {
			out = append(out, Finding{ReasonTestGone, f.Path(), "test cases are not deleted"})
		}
	}
	before, after := map[string]int{}, map[string]int{}
	for _, l := range p.Removed {
		before[l.File] += len(skipMarkers.FindAllStringIndex(l.Text, -1))
	}
	for _, l := range p.Added {
		after[l.File] += len(skipMarkers.FindAllStringIndex(l.Text, -1))
	}
	for _, f := range p.Files {
		if isProse(f.Path()) {
			continue
		}
		if n := after[f.Path()] - before[f.OldPath]; n > 0 {
			out = append(out, Finding{ReasonTestWeak, f.Path(), fmt.Sprintf("tests are not skipped: %d new skip marker(s)", n)})
		}
	}
	return out
}

var testCase = regexp.MustCompile(`^\s*(?:func (?:Test|Fuzz|Benchmark)\w*\(|(?:async )?def test_|(?:it|test)\s*\(|#\[(?:\w+::)?test\]|@Test\b|\[(?:Fact|Test|Theory)\b)`)

func removesTests(p *patch.Patch, file string) bool {
	for _, l := range p.Removed {
		if l.File == file && testCase.MatchString(l.Text) {
			return true
		}
	}
	return false
}

func isTest(path string) bool {
	_, ok := matchAny(testFiles, path)
	return ok
}

func isProse(path string) bool {
	_, ok := matchAny([]string{"*.md", "*.mdx", "*.rst", "*.txt", "*.adoc"}, path)
	return ok
}
