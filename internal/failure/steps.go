package failure

import (
	"bytes"
	"regexp"
	"strings"
)

// steps cuts a log into steps by the marks that CI providers write, and keeps the one that failed: the first whose
// process ended with an error, else the first that noted one, else the whole log.
type steps struct {
	cur   *section
	whole *section
	noted *section
	// failed are the steps whose process ended with an error, at most maxFailed.
	failed []*section
	group  *group
	// fresh gathers what a passing log doesn't have; nil without one.
	fresh *difference
	// script is the shell line that was echoed last.
	script string
	// aside says that the current part cleans up or uploads, and isn't what failed.
	aside   bool
	azure   azureHeader
	circle  bool
	jenkins bool
	// quote is the start of a command of several lines that Travis names as it ends, quoted how many lines are left.
	quote  string
	quoted int
}

// maxQuoted is how many lines a command of Travis may have.
const maxQuoted = 100

// maxFailed is how many failed steps of one log are kept.
const maxFailed = 2

func newSteps() *steps { return &steps{cur: &section{}, whole: &section{}} }

// see takes the next line.
func (s *steps) see(n int, raw []byte) {
	text := clean(raw)
	line := Line{Number: n, Text: kept(text)}
	s.whole.add(line)
	if s.fresh != nil {
		s.fresh.seeText(n, line.Text)
	}
	s.step(line, raw, text)
}

func (s *steps) step(line Line, raw []byte, text string) {
	if s.group != nil {
		s.inGroup(line, raw, text)
		return
	}
	if s.azure.open {
		s.inAzureHeader(text)
	}
	if s.circle {
		s.circle = false
		s.cur.command = cut(text, maxCommand)
	}
	if s.quoted > 0 {
		s.inQuoted(text)
	}
	if c := firstByte(raw); strings.IndexByte("#$+-~^[stTEeBFP\xf0", c) >= 0 && s.mark(line, raw, text, c) {
		return
	}
	s.cur.add(line)
}

// firstByte is the first byte of a line after its stamp and escape sequences.
func firstByte(raw []byte) byte {
	at := stampLen(raw)
	for at < len(raw) && raw[at] == esc {
		at += escapeLen(raw[at:])
	}
	if at >= len(raw) {
		return 0
	}
	return raw[at]
}

var (
	processFailed = regexp.MustCompile(`^##\[error\](?:Process completed with exit code [1-9]|The process '.*' failed with exit code|(?:Bash|PowerShell|Cmd\.exe) exited with code '?[1-9]|The action '.*' has timed out)`)
	travisExit    = regexp.MustCompile(`^The command "(.+)" (?:exited with|failed and exited with) ([1-9]\d*)`)
	travisFine    = regexp.MustCompile(`^The command "(.+)" exited with 0\.`)
	quotedExit    = regexp.MustCompile(`^(.*)" (?:failed and )?exited with (\d+)`)
	gitlabExit    = regexp.MustCompile(`^ERROR: Job failed\b`)
	gitlabSection = regexp.MustCompile(`section_(start|end):\d+:([\w.-]+)`)
	gitlabAside   = regexp.MustCompile(`^(?:after_script|upload_artifacts|archive_cache|cleanup_)`)
	jenkinsExit   = regexp.MustCompile(`^(?:ERROR: script returned exit code [1-9]|Build step '.*' marked build as failure|Finished: FAILURE)`)
	jenkinsShell  = regexp.MustCompile(`^\[[^\]]{1,100}\] \$ .*sh\b`)
	otherExit     = regexp.MustCompile(`^(?:Exited with code (?:exit status )?[1-9]|🚨 Error: The command exited with status [1-9])`)
	buildkite     = regexp.MustCompile(`^(?:---|\+\+\+|~~~) (.+)`)
	// buildkiteTitle keeps the heads of a patch from being taken for a title.
	buildkiteTitle = regexp.MustCompile(`^(?:[:\x{2600}-\x{1FAFF}]|Running |Building |Preparing )`)
)

// mark acts on a line that may be a mark, and says whether that is all there is to it.
func (s *steps) mark(line Line, raw []byte, text string, first byte) bool {
	switch first {
	case '#':
		return s.markHash(line, text)
	case '$':
		s.echo(text)
	case '+':
		if cmd, ok := strings.CutPrefix(text, "+ "); ok && (s.jenkins || s.script == "") {
			s.script = cut(cmd, maxCommand)
		}
		return s.markBuildkite(text)
	case '-', '~':
		return s.markBuildkite(text)
	case '^':
		if text == "^^^ +++" {
			s.cur.noted = true
			return true
		}
	case '[':
		s.markJenkins(text)
	case 'P':
		if text == "Post job cleanup." {
			s.start("")
		}
	case 's':
		return s.markGitLab(raw, text)
	case 't':
		return s.markTravis(raw, text)
	default:
		s.markExit(text)
		return false
	}
	return false
}

func (s *steps) markHash(line Line, text string) bool {
	switch {
	case strings.HasPrefix(text, "##[group]Run "):
		s.group = &group{title: strings.TrimPrefix(text, "##[group]Run "), lines: []Line{line}}
		return true
	case strings.HasPrefix(text, "##[section]Starting: "):
		s.start(strings.TrimPrefix(text, "##[section]Starting: "))
		s.azure = azureHeader{open: true}
		return true
	case strings.HasPrefix(text, "##[section]Finishing: "):
		s.start("")
		return true
	case processFailed.MatchString(text):
		s.cur.failed = true
	case strings.HasPrefix(text, "##[error]"):
		s.cur.noted = true
	case strings.HasPrefix(text, "#!/bin/") && line.Number == 1:
		s.circle = true
		return true
	}
	return false
}

func (s *steps) markBuildkite(text string) bool {
	m := buildkite.FindStringSubmatch(text)
	if m == nil || !buildkiteTitle.MatchString(m[1]) {
		return false
	}
	s.start(m[1])
	return true
}

func (s *steps) markJenkins(text string) {
	if strings.HasPrefix(text, "[Pipeline] sh") || jenkinsShell.MatchString(text) {
		s.jenkins = true
		s.script = ""
		s.start("")
	}
}

func (s *steps) markGitLab(raw []byte, text string) bool {
	found := false
	for _, m := range gitlabSection.FindAllStringSubmatch(string(raw), 8) {
		found = true
		s.aside = m[1] == "start" && gitlabAside.MatchString(m[2])
		if m[1] == "start" && !s.aside {
			s.start(m[2])
		}
	}
	if found {
		s.echo(text)
		s.markExit(text)
	}
	return found && (text == "" || strings.HasPrefix(text, "section_"))
}

func (s *steps) markTravis(raw []byte, text string) bool {
	if bytes.Contains(raw, []byte("travis_time:start:")) {
		s.start("")
	}
	s.echo(text)
	s.markExit(text)
	return strings.HasPrefix(text, "travis_")
}

// inQuoted looks for the end of a command of several lines.
func (s *steps) inQuoted(text string) {
	s.quoted--
	m := quotedExit.FindStringSubmatch(text)
	switch {
	case m == nil:
		s.quote += "\n" + text
	case m[2] == "0":
		s.start("")
		s.quoted = 0
	default:
		s.fail(cut(s.quote+"\n"+m[1], maxCommand))
		s.quoted = 0
	}
}

// echo takes a shell line that the provider wrote before it ran it.
func (s *steps) echo(text string) {
	if cmd, ok := strings.CutPrefix(text, "$ "); ok && !s.aside {
		s.script = cut(cmd, maxCommand)
		if s.cur.command == "" {
			s.cur.command = s.script
		}
	}
}

// markExit takes the lines by which providers without brackets say how a process ended.
func (s *steps) markExit(text string) {
	switch {
	case travisFine.MatchString(text):
		s.start("")
	case travisExit.MatchString(text):
		s.fail(cut(travisExit.FindStringSubmatch(text)[1], maxCommand))
	case strings.HasPrefix(text, `The command "`) && !strings.Contains(text, `" `):
		s.quote, s.quoted = strings.TrimPrefix(text, `The command "`), maxQuoted
	case gitlabExit.MatchString(text), jenkinsExit.MatchString(text), otherExit.MatchString(text):
		s.fail(s.script)
	}
}

// fail ends the current step as failed.
func (s *steps) fail(command string) {
	s.cur.failed = true
	if command != "" {
		s.cur.command = command
	}
}

// start begins another step.
func (s *steps) start(title string) {
	s.end()
	s.cur = &section{title: cut(title, maxText)}
	s.aside = false
}

func (s *steps) end() {
	switch {
	case s.cur.failed && len(s.failed) < maxFailed:
		s.failed = append(s.failed, s.cur)
	case s.cur.noted && s.noted == nil:
		s.noted = s.cur
	}
}

// chosen is the step that failed.
func (s *steps) chosen() *section {
	s.flush()
	s.end()
	switch {
	case len(s.failed) > 0:
		return s.failed[0]
	case s.noted != nil:
		return s.noted
	}
	return s.whole
}
