package policy

import (
	"fmt"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// skipMarkers are the calls and attributes that make a test framework pass over a test, or over all others.
var skipMarkers = anyOf(
	`\b(?:t|b|f|tb|tt|suite\.T\(\)|s\.T\(\)|T\(\)|GinkgoT\(\))\.Skip(?:f|Now)?\(`, `\btesting\.Short\(\)`, `\b(?:Skip|P(?:It|Describe|Context|Entry|When|Specify)|F(?:It|Describe|Context|Entry|When|Specify))\(\s*"`,
	`\b(?:it|test|describe|context|suite|specify|bench)(?:\.\w+)*\.(?:skip\w*|only|todo|fixme|fails|failing|runIf)\b`, `\bthis\.skip\(`, `\b(?:pending|skip)\(\s*["')]`,
	`(?:^|[^.\w])[xf](?:it|describe|context|specify|test|scenario|feature)\b\s*[("'`+"`"+`]`, `\{\s*(?:skip|only|todo)\s*:\s*(?:true|["'`+"`"+`])`,
	`@(?:pytest\.mark|unittest|mark)\.(?:skip\w*|xfail|expectedFailure)\b`, `\b(?:pytest\.)?mark\.(?:skip\w*|xfail)\b`, `\bpytest\.(?:skip|xfail|importorskip)\b`, `\bcollect_ignore\w*\s*=`,
	`\bself\.skipTest\(`, `\braise\s+(?:unittest\.)?SkipTest\b`, `__test__\s*=\s*False`, `@(?:skip|skipIf|skipUnless|expectedFailure)\b`, `\b(?:addopts|args)\b.*(?:--deselect|--ignore)`, `--deselect\b`,
	`#!?\[\s*ignore\b`, `#!?\[\s*cfg_attr\([^]]*\bignore\b`, `#!?\[\s*cfg\(\s*(?:any\(\s*\)|FALSE|false|not\(\s*test\s*\))`, `#\[\s*should_panic\b`,
	`@(?:Ignore|Disabled\w*|EnabledIf\w*|EnabledOnOs|IgnoreRest|PendingFeature|FlakyTest|Flaky)\b`, `\bassume(?:True|False|That|NoException)\(`, `\bAssume\.`, `\b(?:enabled|invocationCount)\s*=\s*(?:false|0)\b`,
	`\[(?:Ignore|Explicit|Inconclusive)\b`, `\((?:[^)]*,\s*)?Skip\s*=\s*`, `\bAssert\.(?:Ignore|Inconclusive|Pass)\(`, `\bSkip\.If(?:Not)?\(`,
	`->markTest(?:Skipped|Incomplete)\(`, `@(?:group\s+(?:skip|ignore)|doesNotPerformAssertions|skip)\b`, `->(?:skip|todo|only)\(`, `expectNotToPerformAssertions`,
	`\bXCTSkip\w*\(`, `\.(?:disabled|enabled\(if)\b`, `\bGTEST_SKIP\b`, `\bDISABLED_\w+`, `^\s*(?:skip|pending)\b(?:\s+["'(]|\s*$)`, `,\s*(?:skip|pending):\s*(?:true|["'])`, `@tag\s+:?skip\b`, `@moduletag\s+:?skip\b`, `^\s*@(?:skip|wip|ignore|pending)\b`,
	`,\s*:(?:skip|pending|focus)\b`, `\bfocus:\s*true\b`, `\bskip\s*:\s*["'](?:[^"']*)["']`,
)

// halts are what makes a test end early or never be compiled; they say nothing outside of tests.
var halts = anyOf(
	`^\s*//\s*\+build\b`, `^\s*//go:build\b`, `^\s*if\s*\(?\s*(?:false|False|0|FALSE)\s*\)?\s*[:{]?\s*$`, `^\s*if\s+(?:false|False|0)\b`, `^\s*#\s*if\s+(?:0|false)\b`, `^\s*return\s*;?\s*(?:(?://|#).*)?$`, `\b(?:os|process|sys)\.[Ee]xit\(\s*0?\s*\)`, `^\s*/\*[^/]*$`, `^\s*(?:"""|''')\s*$`, `^\s*=begin\b`, `<!--\s*$`,
	`\bcatch\s*(?:\([^)]*\))?\s*\{\s*\}`, `^\s*except\b.*:\s*pass\b`, `\bcontextlib\.suppress\(`, `\brescue\s+nil\b`, `\b(?:jest|vi)\.retryTimes\(`, `@(?:pytest\.mark\.)?flaky\b`, `\bretries?\s*[:=]\s*[1-9]`,
)

// testsRun: no test is skipped, narrowed down, or ended early that was not before.
func testsRun(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		if isProse(c.Path()) || c.is("*.txt") && !isTest(c.Path()) {
			continue
		}
		found := c.newLines(skipMarkers)
		if len(found) == 0 && isTest(c.Path()) {
			found = c.newLines(halts)
		}
		if len(found) > 0 {
			out = append(out, Finding{ReasonTestSkip, c.Path(), fmt.Sprintf("tests are not skipped: %q", clip(found[0]))})
		}
	}
	return out
}
