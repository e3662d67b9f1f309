package failure

import "regexp"

// format is one way in which tools write a diagnostic.
type format struct {
	name string
	// any are texts of which a line of this format holds one.
	any  []string
	re   *regexp.Regexp
	tool string
	// underHeader: the file stands on a line above; underMessage: the message may; messageBelow: it may stand below.
	underHeader, underMessage, messageBelow bool
	// anyFile: the words around are telling enough, whatever the file's name looks like.
	anyFile bool
	// needsMessage: without a message it is no diagnostic.
	needsMessage bool
}

// windows and unix names; a colon only after a drive's letter.
const file = `(?P<file>(?:[A-Za-z]:)?[^\s:()\[\]][^:()\[\]]*?)`

// formats are tried in order.
var formats = []format{
	{
		name: "the annotation of a GitHub action", any: []string{"::error ", "::warning "}, anyFile: true,
		re: regexp.MustCompile(`^::(?:error|warning) .*?file=(?P<file>[^,:]+)(?:,line=(?P<line>\d+))?(?:,.*?col(?:umn)?=(?P<column>\d+))?[^:]*::(?P<message>.*)`),
	},
	{
		name: "an arrow below a message", any: []string{"--> "}, underMessage: true,
		re: regexp.MustCompile(`^\s*--> ` + file + `:(?P<line>\d+)(?::(?P<column>\d+))?$`),
	},
	{
		name: "fields", any: []string{"file="}, anyFile: true,
		re: regexp.MustCompile(`^(?:error|warning) file=(?P<file>.+?) message=(?P<message>.*?)(?: line=(?P<line>\d+))?(?: column=(?P<column>\d+))?$`),
	},
	{
		name: "in brackets", any: []string{"["}, needsMessage: true,
		re: regexp.MustCompile(`^\s*\[(?P<file>[^\s\[\]:]+):(?P<line>\d+)(?::(?P<column>\d+))?\]\s+(?P<message>.+)`),
	},
	{
		name: "maven's", any: []string{":["}, needsMessage: true,
		re: regexp.MustCompile(`^(?:\[\w+\]\s*)?(?P<file>[^\s:\[\]]+):\[(?P<line>\d+)(?:,(?P<column>\d+))?\]\s*(?P<message>.+)`),
	},
	{
		name: "line and column in square brackets", any: []string{"]:"},
		re: regexp.MustCompile(`^\s*(?:ERROR: |WARNING: )?` + file + `\[(?P<line>\d+), ?(?P<column>\d+)\]: (?P<message>.+)`),
	},
	{
		name: "line and column in words", any: []string{": line "},
		re: regexp.MustCompile(`^\s*` + file + `: line (?P<line>\d+)(?:, col(?:umn)? (?P<column>\d+))?[,:] (?P<message>.+)`),
	},
	{
		name: "line and column in parentheses", any: []string{")"}, needsMessage: true,
		re: regexp.MustCompile(`^\s*(?:[ew]: )?(?:\d+>)?(?P<file>(?:[A-Za-z]:)?[^:()]+?(?: \(x86\)[^:()]+?)?):? ?\((?P<line>\d+)(?:, ?(?P<column>\d+))?(?:,\d+,\d+)?\) ?: (?P<message>.+)`),
	},
	{
		name: "the place at the end", any: []string{" on line "},
		re: regexp.MustCompile(`^(?:PHP )?(?P<message>(?:\w+ )?\w+ error: .+) in (?P<file>\S+) on line (?P<line>\d+)$`),
	},
	{
		name: "the line at the end", any: []string{" on line "}, needsMessage: true,
		re: regexp.MustCompile(`^\s*(?P<file>[^\s:]+) - (?P<message>(?:ERROR|WARNING|error|warning): .+) on line (?P<line>\d+)`),
	},
	{
		name: "a frame of Python", any: []string{"File \""},
		re: regexp.MustCompile(`^\s*File "(?P<file>[^"<>]+)", line (?P<line>\d+)`),
	},
	{
		name: "CMake's", any: []string{"CMake "},
		re: regexp.MustCompile(`^CMake (?:Error|Warning)(?: \(dev\))? at (?P<file>\S+?):(?P<line>\d+) (?P<message>.*)`),
	},
	{
		name: "a script's line", any: []string{"In "},
		re: regexp.MustCompile(`^In (?P<file>\S+) line (?P<line>\d+):$`),
	},
	{
		name: "a diff of a formatter", any: []string{"Diff in "}, anyFile: true,
		re: regexp.MustCompile(`^(?P<message>Diff in) (?P<file>\S+?)(?::| at line )(?P<line>\d+):?$`),
	},
	{
		name: "a file that should be formatted", any: []string{"would reformat ", "Would reformat: ", "reformatted "}, tool: "",
		re: regexp.MustCompile(`(?i)^(?P<message>would reformat):? (?P<file>.+)$`),
	},
	{
		name: "a file that can't be formatted", any: []string{"cannot format "}, anyFile: true,
		re: regexp.MustCompile(`^error:\s*cannot format (?P<file>[^:]+): (?P<message>Cannot parse.*?: (?P<line>\d+):(?P<column>\d+): .*)`),
	},
	{
		name: "a severity, then a file", any: []string{"ERROR: ", "error: "}, needsMessage: true,
		re: regexp.MustCompile(`^(?:ERROR|error): (?P<file>[^\s:]+) (?P<message>Imports are incorrectly sorted.*)`),
	},
	{
		name: "prettier's", any: []string{"[warn] ", "[error] "}, tool: "prettier",
		re: regexp.MustCompile(`^\[(?:warn|error)\] (?P<file>[^\s:]+\.\w+)(?:: (?P<message>\w*Error: .*\((?P<line>\d+):(?P<column>\d+)\))?)?$`),
	},
	{
		name: "a failed test of pytest", any: []string{"FAILED ", "ERROR "}, tool: "pytest",
		re: regexp.MustCompile(`^(?:FAILED|ERROR) (?:\[[\d.]+s\] )?(?P<file>[^\s:]+\.py)(?:::\S+)?(?: - (?P<message>.*))?$`),
	},
	{
		name: "kotlin's", any: []string{"file:///"}, needsMessage: true,
		re: regexp.MustCompile(`^[ew]: file://(?P<file>/\S+?):(?P<line>\d+)(?::(?P<column>\d+))? (?P<message>.+)`),
	},
	{
		name: "below a file's name", underHeader: true, needsMessage: true,
		re: regexp.MustCompile(`^\s+(?P<line>\d+):(?P<column>\d+)\s+(?:error|warning|✖|⚠|×|info)\s+(?P<message>.*?)(?:\s{2,}(?P<rule>[\w@/-]+))?\s*$`),
	},
	{
		name: "the name and the line in columns", needsMessage: true,
		re: regexp.MustCompile(`^(?P<file>/?[\w@./+-]+\.\w+)(?:\t|\s{2,})(?P<line>\d+)(?:\t|\s{2,})(?P<message>\S.+)`),
	},
	{
		name: "the place of something named", any: []string{" at ", " in "}, messageBelow: true,
		re: regexp.MustCompile(`^(?P<file>[^\s:]+):(?P<line>\d+) (?P<message>(?:at module level|in (?:public|private) .+)):$`),
	},
	{
		name: "the name, the line and the column", any: []string{":"},
		re: regexp.MustCompile(`^\s*(?:\[(?:error|warn|warning|ERROR|WARNING)\]\s*)?(?:(?i:error|warning):\s*)?(?P<file>(?:[A-Za-z]:)?[^\s:()\[\]"'][^:()\[\]"']*?):(?P<line>\d+)(?::(?P<column>\d+))?(?:[.-]\d+(?::\d+)?)?(?:(?::|\s+-|\s)\s*(?P<message>\S.*)|:)?$`),
	},
	{
		name: "the name alone, after a severity", any: []string{"[error] ", "[ERROR] "}, needsMessage: true,
		re: regexp.MustCompile(`^\[(?:error|ERROR)\] (?P<file>[^\s:]+): (?P<message>[A-Z].+)`),
	},
}
