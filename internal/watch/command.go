// Package watch decides what is to be done about a pull request of ours that is open, closed or merged.
//
// It is pure: what was recorded and what the forge says now go in, a list of actions comes out. It promises that a
// comment's command is acted on once and only for somebody who may write; that text which shows a command, in a quote or
// as code, gives none; that a pull request which we closed ourselves is never taken for a person's no, nor closed again
// after a person opened it.
package watch

import (
	"regexp"
	"slices"
	"strings"
)

// The commands.
const (
	Retry = "retry" // lift the refusal and try again
	Stop  = "stop"  // close the pull request, and never mend this again
	Why   = "why"   // say what was found out
	Off   = "off"   // close the pull request, and leave the repository alone
)

// marks begin the hidden line that every comment of ours has (package markup).
func marks() []string { return []string{"<!-- sre-agent ", "[//]: # (sre-agent "} }

const (
	address = "/sre-agent"
	// maxRead is how much of a comment is read: GitHub's own limit.
	maxRead = 64 << 10
)

// Speaks says whether a comment is one that may hold a command: not our own, and not another program's. Some programs
// repeat what anybody wrote, with the right to write.
func Speaks(c Comment) bool {
	own := slices.ContainsFunc(marks(), func(mark string) bool { return strings.Contains(c.Body, mark) })
	return !own && !programs.MatchString(c.Author) && c.ID != "" && c.Author != ""
}

// programs are names that GitHub gives to Apps, and GitLab to the users of project and group tokens and to service accounts.
// https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects
var programs = regexp.MustCompile(`\[bot\]$|^(?:project|group)_[0-9]+_bot|^service_account_`)

// Command is the first command of a comment, or "". It has to begin a line of its own text: in a quote, in code or in
// what a reader can't see it is none. In doubt it is none.
func Command(body string) string {
	r := reader{}
	for line := range strings.Lines(body[:min(len(body), maxRead)]) {
		if command := r.next(strings.TrimRight(line, "\r\n")); command != "" {
			return command
		}
	}
	return ""
}

// reader knows what the line stands in: https://spec.commonmark.org/0.31.2/.
type reader struct {
	fence  string // the code block's opening fence
	ticks  int    // the length of the code span's opening backticks
	hidden string // the end of what is not shown as text
	quoted bool   // a quote goes on until an empty line
}

func (r *reader) next(line string) string {
	text := content(line)
	switch {
	case r.fence != "":
		if closes(text, r.fence) {
			r.fence = ""
		}
		return ""
	case r.hidden != "":
		r.hide(line)
		return ""
	case strings.TrimSpace(line) == "":
		r.ticks, r.quoted = 0, false
		return ""
	case r.ticks == 0 && opens(text) != "":
		r.fence = opens(text)
		return ""
	}
	command := ""
	if strings.HasPrefix(strings.TrimLeft(line, " \t"), ">") {
		r.quoted = true
	} else if !r.quoted && r.ticks == 0 {
		command = ofLine(line)
	}
	r.spans(line)
	r.hide(line)
	return command
}

// ofLine is the command that a line begins with. Four blanks or a tab would make it code.
func ofLine(line string) string {
	text := strings.TrimLeft(line, " ")
	if len(line)-len(text) > 3 || strings.HasPrefix(text, "\t") {
		return ""
	}
	words := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) < 2 || words[0] != address || !slices.Contains([]string{Retry, Stop, Why, Off}, words[1]) {
		return ""
	}
	return words[1]
}

// content is a line without what may stand before a block within a list or a quote.
func content(line string) string {
	for {
		rest := strings.TrimLeft(line, " \t>")
		marker := strings.TrimLeft(rest, "0123456789")
		if len(marker) > 1 && strings.ContainsRune("-*+.)", rune(marker[0])) && (marker[1] == ' ' || marker[1] == '\t') {
			line = marker[2:]
			continue
		}
		return rest
	}
}

// opens is the fence that a line opens, or "".
func opens(text string) string {
	for _, c := range []string{"`", "~"} {
		n := len(text) - len(strings.TrimLeft(text, c))
		if n >= 3 && (c == "~" || !strings.Contains(text[n:], c)) {
			return text[:n]
		}
	}
	return ""
}

func closes(text, fence string) bool {
	text = strings.TrimRight(text, " \t")
	return len(text) >= len(fence) && strings.Trim(text, fence[:1]) == ""
}

// spans follows code spans over the end of a line.
func (r *reader) spans(line string) {
	for i := 0; i < len(line); {
		n := 0
		for i+n < len(line) && line[i+n] == '`' {
			n++
		}
		switch {
		case n > 0 && r.ticks == 0:
			r.ticks = n
		case n > 0 && r.ticks == n:
			r.ticks = 0
		}
		i += max(n, 1)
	}
}

// unshown are the beginnings and ends of HTML that shows its text as it is, as somebody else's, or not at all.
var unshown = []struct{ begin, end string }{
	{"<!--", "-->"},
	{"<pre", "</pre>"},
	{"<code", "</code>"},
	{"<blockquote", "</blockquote>"},
	{"<textarea", "</textarea>"},
	{"<script", "</script>"},
	{"<style", "</style>"},
	{"<details", "</details>"},
}

// hide follows such HTML from line to line.
func (r *reader) hide(line string) {
	line = strings.ToLower(line)
	for {
		if r.hidden != "" {
			i := strings.Index(line, r.hidden)
			if i < 0 {
				return
			}
			line, r.hidden = line[i+len(r.hidden):], ""
		}
		i := strings.IndexByte(line, '<')
		if i < 0 {
			return
		}
		line = line[i:]
		for _, tag := range unshown {
			if strings.HasPrefix(line, tag.begin) {
				r.hidden = tag.end
			}
		}
		line = line[1:]
	}
}
