package policy

import (
	"fmt"
	"regexp"

	"github.com/sre-agent/sre-agent/internal/patch"
)

var (
	// assertion is a call or statement that a test fails by.
	assertion = anyOf(
		`\bassert\w*!?\s*[.(\s]`, `\b(?:expect|Expect|should|must|require|EXPECT|ASSERT|REQUIRE|CHECK|XCTAssert|Assert|verify|refute|ensure)(?:_?[A-Z]\w*)?\s*[.(]`, `\bXCTAssert\w*\(`, `\bt\.(?:Error|Fatal|Fail)\w*\(`, `\.(?:should|must_\w+|to|not_to)\b`, `\bpytest\.(?:raises|fail|warns)\b`,
		`\bdebug_assert\w*!`, `\bcmp\.Diff\(`, `\$this->assert\w+\(`, `^\s*(?:Then|And)\s`,
	)
	// loose assertions pass for nearly everything.
	loose = anyOf(
		`\.to(?:BeTruthy|BeDefined|BeFalsy|Exist)\b`, `\.not\.(?:toBeNull|toBeUndefined|toThrow)\b`, `\bexpect\.anything\(`, `\b(?:Not(?:Nil|Null|Empty|Zero)|[Aa]ssertNotNull|assertIsNotNone|assertNotNone|IsNotNull|assertIsInstance|assertNotEqual\w*|NotEqual|assertNotEquals|NotPanics|DoesNotThrow|assertDoesNotThrow)\b`,
		`\bis\s+not\s+None\b`, `\.is(?:NotNull|NotEmpty)\(\)`, `\bGreaterOrEqual\b.*\b0\b`, `>=\s*0\s*$`, `\bassert!?\s*\(?\s*[\w.]+\s*\)?;?\s*$`,
	)
	// trivial assertions always pass.
	trivial = anyOf(
		`\bassert!?\s*\(?\s*(?:True|true|1|not False|!false|1\s*={2,3}\s*1|True\s+is\s+True)\b\s*(?:[,);#]|\)|or\b|\|\||$)`, `\bassert\w*[.(].*\b(?:or\s+True|\|\|\s*true)\b`, `\bassert\b.*\bor\s+(?:True|1)\b`, `\|\|\s*true\s*\)`, `^\s*assert\s*\(.+,\s*(?:f?["']).*\)\s*$`, `\bassert_?[Tt]rue\s*\(\s*(?:[Tt]rue|1)\s*[,)]`, `\bassert_?(?:False|false)\s*\(\s*(?:False|false|0)\s*[,)]`,
		`\b(?:assert|require)\.(?:True|ok|isTrue)\(\s*(?:\w+\s*,\s*)?true\s*[,)]`, `\b(?:assert|require)\.False\(\s*\w+\s*,\s*false\s*[,)]`, `\bexpect\(\s*(true|false|1|0|null|undefined)\s*\)\.(?:to|not)`, `\bexpect\(\s*true\s*\)`, `\b(?:EXPECT|ASSERT)_TRUE\(\s*true\s*\)`, `\bXCTAssert(?:True)?\(\s*true\s*\)`,
		`\bAssert\.(?:True|IsTrue)\(\s*true\s*[,)]`, `->assertTrue\(\s*true\s*\)`, `\bassert_eq!\(\s*(?:1\s*,\s*1|true\s*,\s*true)\s*\)`, `\bassert\.(?:equal|strictEqual)\(\s*(?:1\s*,\s*1|true\s*,\s*true)\s*[,)]`, `^\s*pass\s*(?:#.*)?$`, `\bexpect\(\)\.nothing\(`, `\baddToAssertionCount\(`,
	)
	// selfEqual is a comparison of a thing with itself; Go's expressions can't say so.
	comparison = regexp.MustCompile(`\b(?:assert|expect|require|Assert|assertEquals?|assert_eq!|assertSame|strictEqual|Equal)\b.*?[(\s]([\w.\[\]"']+)\s*(?:={2,3}|,|\)\.(?:toBe|toEqual|toStrictEqual)\(|\)\.to\.(?:equal|be|eql)\()\s*([\w.\[\]"']+)\s*[),;]?`)
	// row is a line of a table of cases.
	row = anyOf(`^\s*[\{\[(].*[:,].*[\}\])],?\s*$`, `^\s*["'][^"']*["']\s*:\s*[\{\[(]`, `^\s*\{?\s*name\s*:\s*["'`+"`"+`]`, `^\s*\|.*\|\s*$`, `\bpytest\.param\(`, `\[(?:InlineData|TestCase|DataRow)\b`)
	// wanted is a value that an assertion compares with.
	wanted = regexp.MustCompile(`(?i)\b(?:want|expected|exp|expect)\w*["']?\s*:?[=:]`)
	values = anyOf(assertion.String(), row.String(), wanted.String())
	// literal is a value in an assertion.
	literal = regexp.MustCompile(`"[^"]*"|\b(?:0[xX])?[0-9][0-9a-fA-F_.]*\b|\b(?:true|false|True|False|nil|null|None|undefined)\b`)
)

// testData are what tests read. A generator writes some of it anew.
var testData = []string{"**/testdata/**", "**/__snapshots__/**", "**/fixtures/**", "*.snap", "*.json", "*.y*ml", "*.golden", "*.txt", "*.lock", "*.toml", "*.md", "*.xml", "*.csv", "*.html", "*.rst", "*.sum", "*.mod"}

// assertionsKept: tests go on to assert what they asserted. Fewer assertions, looser ones, such as always pass, and
// other expectations in the place of those that failed are all no fix.
func assertionsKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		if c.IsDelete || !isTest(c.Path()) && !c.is("*.rs") || c.is(testData...) {
			continue
		}
		if why := weakened(c); why != "" {
			out = append(out, Finding{ReasonTestWeak, c.Path(), why})
		}
	}
	return out
}

func weakened(c change) string {
	// A tuple for an assertion is a matter of brackets alone, and they are layout elsewhere.
	if found := surplus(c.added, c.removed, whole(trivial)); len(found) > 0 {
		return fmt.Sprintf("an assertion that always holds: %q", clip(found[0]))
	}
	if c.reformatted() {
		return ""
	}
	for _, line := range c.newLines(comparison) {
		if m := comparison.FindStringSubmatch(line); m != nil && m[1] == m[2] && m[1] != "" {
			return fmt.Sprintf("an assertion that compares a value with itself: %q", clip(line))
		}
	}
	before, after := surplusLines(c.removed, c.added, assertion), surplusLines(c.added, c.removed, assertion)
	if len(after) < len(before) {
		return fmt.Sprintf("%d assertion(s) fewer", len(before)-len(after))
	}
	if count(loose, after) > count(loose, before) && len(after)-count(loose, after) < len(before)-count(loose, before) {
		return "an assertion is looser than it was"
	}
	if text := expectationChanged(surplusLines(c.removed, c.added, values), surplusLines(c.added, c.removed, values)); text != "" {
		return fmt.Sprintf("another expectation in the place of the one that was there: %q", clip(text))
	}
	if fewer := count(row, c.removed) - count(row, c.added); fewer > 0 && len(c.removed) > len(c.added) {
		return fmt.Sprintf("%d case(s) of a table fewer", fewer)
	}
	return ""
}

// surplusLines are the lines that match and that the other list doesn't have; comments don't count.
func surplusLines(lines, less []string, re *regexp.Regexp) []string {
	return surplus(lines, less, func(line string) []string {
		if comment.MatchString(line) || !re.MatchString(line) {
			return nil
		}
		return []string{line}
	})
}

var comment = regexp.MustCompile(`^\s*(?://|#[^\[!]|#$|/?\*|--|;)`)

// expectationChanged finds a line of added ones that differs from a removed one in its values alone.
func expectationChanged(before, after []string) string {
	shape := func(line string) string { return squeeze(literal.ReplaceAllString(noise.Replace(line), "?")) }
	shapes := map[string]bool{}
	for _, line := range before {
		shapes[shape(line)] = true
	}
	for _, line := range after {
		if s := shape(line); s != squeeze(line) && shapes[s] {
			return line
		}
	}
	return ""
}
