package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// thresholds are numbers that a check fails by. The first group is the name, the second the number.
var thresholds = []struct {
	what string
	// least says that a lower number is weaker; otherwise a higher one is.
	least  bool
	number *regexp.Regexp
}{
	{"coverage", true, regexp.MustCompile(`(?i)\b(fail[_-]under|cov-fail-under|min(?:imum)?[_-]?coverage|coverage[_-]?threshold|check-coverage|min-covered-\w+|minimum_coverage|minimumCoverage|fail-under-\w+|threshold-?coverage|COVERAGE_MIN\w*|MIN_COVERAGE|COVER\w*_THRESHOLD|minimum|covered(?:Ratio)?|min_score|minScore|minMsi|minCoveredMsi|break)\b["'>]*\s*(?:[:=>(]|\s)\s*["']?([0-9]+(?:\.[0-9]+)?)`)},
	{"coverage", true, regexp.MustCompile(`["']?\b(branches|lines|functions|statements)\b["']?\s*[:=]\s*([0-9]+(?:\.[0-9]+)?)`)},
	{"coverage target", true, regexp.MustCompile(`^\s*(target)\s*:\s*["']?([0-9]+(?:\.[0-9]+)?)%?`)},
	{"tolerated loss", false, regexp.MustCompile(`^\s*(threshold)\s*:\s*["']?([0-9]+(?:\.[0-9]+)?)%?`)},
	{"limit", false, regexp.MustCompile(`(?i)\b(max[_-]?warnings|max[_-]?complexity|max[_-]?line[_-]?length|line[_-]length|printWidth|maximum-\w+|max[_-]?depth|max[_-]?lines\w*|max[_-]?params|max[_-]?statements|max[_-]issues|max-same-issues|max[_-]?args|max[_-]?locals|max[_-]?branches|max[_-]?returns|cyclop|cognitive-complexity-threshold|too-many-\w+-threshold|too-many-lines-threshold|type-complexity-threshold|cyclomatic\w*|cognitive\w*|maxSize|maximumWarning|maximumError|maxErrors|warningThreshold|errorThreshold|violationSeverity|maxPriority|baseline_count|error_?count)\b["'>]*\s*(?:[:=>(,\[]|\s)+["']?([0-9]+(?:\.[0-9]+)?)`)},
	{"level", true, regexp.MustCompile(`(?i)^\s*(level|errorLevel)\s*:\s*([0-9]+)\s*$`)},
}

// checkers' files and those that run them; elsewhere such a name is a program's own.
var thresholdFiles = append([]string{
	"Makefile*", "*.mk", "Taskfile*", "justfile", "noxfile.py", "pom.xml", "*.gradle", "*.gradle.kts", "*.sh", "build.sbt", "mix.exs", "coveralls.json", ".simplecov", "spec_helper.rb", "test_helper.rb", "stryker.conf.*", "infection.json*", "angular.json", ".size-limit*", ".bundlewatch*", "lighthouserc*", "vite.config.*", "composer.json", "package.json", "Cargo.toml", "Rakefile", "webpack.config.*",
}, checkerFiles...)

// thresholdsKept: no number that a check fails by becomes weaker, or goes away.
func thresholdsKept(p *patch.Patch, _ Rules) []Finding {
	var out []Finding
	for _, c := range changes(p) {
		if c.IsDelete || !c.is(thresholdFiles...) || c.reformatted() {
			continue
		}
		for _, t := range thresholds {
			if why := lowered(t.number, t.least, c); why != "" {
				out = append(out, Finding{ReasonThreshold, c.Path(), t.what + ": " + why})
				break
			}
		}
	}
	return out
}

func lowered(number *regexp.Regexp, least bool, c change) string {
	after := numbers(number, c.added)
	for name, was := range numbers(number, c.removed) {
		is, there := after[name]
		switch {
		case !there && least:
			return name + " is removed"
		case there && (least && is < was || !least && is > was):
			return fmt.Sprintf("%s was %v and would be %v", name, was, is)
		}
	}
	return ""
}

// numbers are the weakest, by name: of several of one name the sum, so that none of them can change unseen.
func numbers(re *regexp.Regexp, lines []string) map[string]float64 {
	out := map[string]float64{}
	for _, line := range lines {
		for _, m := range re.FindAllStringSubmatch(line, -1) {
			if n, err := strconv.ParseFloat(m[2], 64); err == nil {
				out[strings.ToLower(m[1])] += n
			}
		}
	}
	return out
}
