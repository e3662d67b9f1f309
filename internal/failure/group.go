package failure

import (
	"bytes"
	"regexp"
	"strings"
)

// group is the header that GitHub's runner prints for a step: its title, the script in cyan, then the shell and
// the environment. The header of an action has inputs instead, and no shell.
type group struct {
	title  string
	script []string
	plain  []string
	lines  []Line
	size   int
	shell  bool
	inputs bool
	done   bool
}

const (
	// cyan is how the runner marks the lines of a script.
	cyan = "\x1b[36;1m"
	// maxHeader is how many lines a step's header may have; a longer one is a group of the step's own.
	maxHeader = 1000
	// maxCommand is where a failing command is cut; a longer one is nobody's known check.
	maxCommand = 4 << 10
)

func (g *group) see(raw []byte, text string) {
	switch {
	case g.done || g.size > maxCommand:
	case bytes.Contains(raw, []byte(cyan)):
		g.script = append(g.script, text)
		g.size += len(text) + 1
	case strings.HasPrefix(text, "shell: "):
		g.shell, g.done = true, true
	case text == "with:" || text == "env:":
		g.inputs, g.done = true, true
	default:
		g.plain = append(g.plain, text)
		g.size += len(text) + 1
	}
}

// action is the title of a step that is an action.
var action = regexp.MustCompile(`^(?:[\w.-]+/[\w./-]+@\S+|\.{1,2}/\S+|docker://\S+)$`)

// header says whether this is a step's header. A group that a step prints itself, whatever its title, has no shell
// and no inputs.
func (g *group) header() bool { return g.shell || g.inputs || action.MatchString(g.title) }

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

// inGroup takes a line while a header is open.
func (s *steps) inGroup(line Line, raw []byte, text string) {
	g := s.group
	g.lines = append(g.lines, line)
	switch {
	case text == "##[endgroup]" && g.header():
		s.group = nil
		s.start(g.title)
		s.cur.command = g.command()
	case text == "##[endgroup]" || len(g.lines) > maxHeader || strings.HasPrefix(text, "##["):
		s.flush()
	default:
		g.see(raw, text)
	}
}

// flush gives the lines of a group that is no header to the step that printed them.
func (s *steps) flush() {
	g := s.group
	s.group = nil
	if g == nil {
		return
	}
	last := g.lines[len(g.lines)-1]
	for _, l := range g.lines[:len(g.lines)-1] {
		s.cur.add(l)
	}
	s.step(last, []byte(last.Text), last.Text)
}

// azureHeader is what Azure Pipelines writes between a step's title and its output.
type azureHeader struct {
	open, script bool
	lines        []string
}

func (s *steps) inAzureHeader(text string) {
	h := &s.azure
	switch {
	case strings.Contains(text, "Starting Command Output") || strings.HasPrefix(text, "##["):
		s.cur.command = cut(strings.TrimSpace(strings.Join(h.lines, "\n")), maxCommand)
		s.azure = azureHeader{}
	case strings.HasPrefix(text, "Script contents:"):
		h.script = true
	case h.script && len(h.lines) < 100:
		h.lines = append(h.lines, text)
	}
}
