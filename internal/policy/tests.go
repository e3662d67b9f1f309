package policy

import (
	"fmt"
	"path"
	"regexp"

	"github.com/sre-agent/sre-agent/internal/patch"
)

var testFiles = []string{
	"*_test.*", "*.test.*", "*.spec.*", "*_spec.*", "test_*.*", "conftest.py", "*Test.java", "*Tests.java", "*Test.kt", "*Tests.kt", "*Spec.kt", "*Test.groovy", "*Spec.groovy",
	"*Test.scala", "*Spec.scala", "*Suite.scala", "*Tests.cs", "*Test.cs", "*Tests.fs", "*Test.php", "*Cest.php", "*Tests.swift", "*Test.swift", "*_tests.*", "*_unittest.*", "*.bats", "*.feature", "*.t", "*-test.*", "*.e2e-spec.*", "*.cy.*", "*.e2e.*", "tests.*", "test.*",
	"**/test/**", "**/tests/**", "**/__tests__/**", "**/spec/**", "**/specs/**", "**/testdata/**", "**/__snapshots__/**", "**/e2e/**", "**/cypress/**", "**/androidTest/**", "*.snap",
}

func isTest(name string) bool {
	_, ok := matchAny(testFiles, name)
	return ok
}

// testNames begin a test wherever they stand: their names and marks belong to tests alone. The names are a part of
// the match, so that a test which is renamed out of the runner's sight is gone.
var testNames = anyOf(
	`^\s*func\s+(?:\([^)]*\)\s*)?(?:Test|Fuzz|Benchmark|Example)\w*\(`,
	`^\s*(?:async\s+)?def\s+test_?\w*[?!]?`, `^\s*class\s+Test\w*`,
	`#\[\s*(?:\w+::)*(?:test|rstest|test_case|wasm_bindgen_test|quickcheck|proptest)\b`, `\b(?:proptest|quickcheck)!\s*\{`,
	`@(?:Test|ParameterizedTest|RepeatedTest|TestFactory|TestTemplate|Property)\b`, `\[(?:Fact|Theory|Test|TestCase|TestMethod|DataTestMethod|DataRow|InlineData|MemberData)\b`,
	`^\s*(?:public\s+)?function\s+test\w*`, `^\s*public\s+void\s+test\w*`, `^\s*func\s+test\w*\(`,
	`^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST|TEST_CASE|BOOST_AUTO_TEST_CASE|SCENARIO)\s*\([^)]*`, `^\s*@test\b`,
)

// testCalls begin a test in a file of tests.
var testCalls = anyOf(
	`^\s*(?:it|test)(?:\.\w+)*\s*\(\s*$`, `^\s*test(?:Widgets)?\s*\(`,
	`^\s*(?:Scenario|Scenario Outline|Feature|Examples?)\s*:.*`, `^\s*deftest\s+\S+`, `^\s*\(deftest\s+\S+`, `\bt\.Run\(\s*"[^"]*"`, `^\s*(?:property|forAll)\s*\(`,
)

// titled are the calls that begin a test or a group of tests with its title, which is the first group. That it may be
// skipped is for testsRun to say.
var titled = regexp.MustCompile(`^\s*[xf]?(?:it|test|specify|describe|context|suite|bench|scenario|feature)(?:\.\w+)*\s*\(?\s*(?:\[[^\]]*\]\s*\)\s*\(\s*)?["'` + "`" + `]([^"'` + "`" + `]*)`)

// testsKept: no test file goes away, and no test that was there is missing afterwards.
func testsKept(p *patch.Patch, _ Rules) []Finding {
	all := changes(p)
	var out []Finding
	for _, c := range all {
		gone := c.OldPath != "" && !c.IsCopy && isTest(c.OldPath) && (c.IsDelete || c.IsRename && (!isTest(c.NewPath) || path.Ext(c.OldPath) != path.Ext(c.NewPath)))
		if gone {
			out = append(out, Finding{ReasonTestGone, c.OldPath, "tests are not deleted"})
		}
	}
	// A test may move to another file of tests.
	added := map[string]int{}
	for _, c := range all {
		for _, name := range tests(c, c.added) {
			added[name]++
		}
	}
	for _, c := range all {
		if c.IsDelete && isTest(c.OldPath) || isProse(c.Path()) || c.reformatted() {
			continue
		}
		for _, name := range tests(c, c.removed) {
			if added[name]--; added[name] < 0 {
				out = append(out, Finding{ReasonTestGone, c.Path(), fmt.Sprintf("test cases are not deleted: %q", clip(name))})
				break
			}
		}
	}
	return out
}

// tests are the beginnings of tests in some lines of a file.
func tests(c change, lines []string) []string {
	var out []string
	for _, line := range lines {
		found := testNames.FindAllString(line, -1)
		if isTest(c.Path()) {
			found = append(found, testCalls.FindAllString(line, -1)...)
			if m := titled.FindStringSubmatch(line); m != nil {
				found = append(found, m[1])
			}
		}
		for _, name := range found {
			out = append(out, squeeze(name))
		}
	}
	return out
}
