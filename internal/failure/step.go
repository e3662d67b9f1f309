package failure

import (
	"bytes"
	"regexp"
	"strings"
)

// step is the part of a log that belongs to the failing step, as offsets.
type step struct {
	start, end int
	startLine  int
	title      string
	command    string
}

var (
	processCompleted = regexp.MustCompile(`^##\[error\](?:Process completed with exit code|The process '.*' failed with exit code)`)
	anyError         = []byte("##[error]")
	groupMarker      = []byte("##[")
	travisExit       = regexp.MustCompile(`^The command "(.+)" (?:exited with|failed and exited with) ([1-9]\d*)`)
	gitlabExit       = regexp.MustCompile(`^ERROR: Job failed: `)
)

// findStep finds the step that ends with the first error of a process, or else with the first error at all. The
// marks of a log are cheap to find without cleaning each line, which keeps a log of 100 MB affordable.
func findStep(log []byte) step {
	cur := step{end: len(log), startLine: 1}
	var firstError *step
	var open *group
	shell := ""
	offset, n := 0, 0
	for offset < len(log) {
		line, _, _ := bytes.Cut(log[offset:], []byte("\n"))
		next := min(offset+len(line)+1, len(log))
		n++
		if open != nil || interesting(line) {
			text := clean(line)
			switch {
			case strings.HasPrefix(text, "##[group]Run "):
				open = &group{title: strings.TrimPrefix(text, "##[group]Run ")}
			case open != nil && text == "##[endgroup]":
				cur = step{start: next, end: len(log), startLine: n + 1, title: cut(open.title, maxText), command: open.command()}
				open = nil
			case open != nil:
				open.see(line, text)
			case processCompleted.MatchString(text):
				cur.end = next
				return cur
			case bytes.Contains(line, anyError) && firstError == nil:
				failed := cur
				failed.end = next
				firstError = &failed
			case travisExit.MatchString(text):
				cur.command, cur.end = travisExit.FindStringSubmatch(text)[1], next
				return cur
			case gitlabExit.MatchString(text):
				cur.command, cur.end = shell, next
				return cur
			case strings.HasPrefix(text, "$ "):
				shell = cut(text[2:], maxCommand)
			}
		}
		offset = next
	}
	if firstError != nil {
		return *firstError
	}
	return cur
}

func interesting(line []byte) bool {
	if len(line) > maxRaw {
		line = line[:maxRaw]
	}
	return bytes.Contains(line, groupMarker) || bytes.Contains(line, []byte("$ ")) ||
		bytes.Contains(line, []byte("exited with")) || bytes.Contains(line, []byte("ERROR: Job failed"))
}

// group is the header that GitHub's runner prints for a step: its title, the script in cyan, then the shell and
// the environment. The header of an action has inputs instead, and no shell.
type group struct {
	title  string
	script []string
	plain  []string
	size   int
	shell  bool
	done   bool
}

// cyan is how the runner marks the lines of a script.
const cyan = "\x1b[36;1m"

func (g *group) see(raw []byte, text string) {
	switch {
	case g.done || g.size > maxCommand:
	case bytes.Contains(raw, []byte(cyan)):
		g.script = append(g.script, text)
		g.size += len(text) + 1
	case strings.HasPrefix(text, "shell: "):
		g.shell, g.done = true, true
	case text == "with:" || text == "env:":
		g.done = true
	default:
		g.plain = append(g.plain, text)
		g.size += len(text) + 1
	}
}

func (g *group) command() string {
	lines := g.script
	if len(lines) == 0 && g.shell {
		lines = g.plain
	}
	if len(lines) == 0 && g.shell {
		lines = []string{g.title}
	}
	return cut(strings.TrimSpace(strings.Join(lines, "\n")), maxCommand)
}
