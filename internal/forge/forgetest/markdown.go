package forgetest

import (
	"html/template"
	"regexp"
	"strings"
)

// renderer turns the small part of Markdown that pull requests use into HTML. Every character of the input is
// escaped; the only tags in the output are the renderer's own.
type renderer struct {
	out     strings.Builder
	open    string // the block in hand: "p", "ul", "ol", "blockquote", "table" or ""
	details int
}

var (
	headingRE = regexp.MustCompile(`^(#{1,6})\s+(.*)$`)
	itemRE    = regexp.MustCompile(`^\s*[-*]\s+(.*)$`)
	orderedRE = regexp.MustCompile(`^\s*\d+[.)]\s+(.*)$`)
	ruleRE    = regexp.MustCompile(`^\|?[\s:|-]+\|?$`)
	codeRE    = regexp.MustCompile("`([^`]+)`")
	boldRE    = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	linkRE    = regexp.MustCompile(`\[([^\[\]]+)\]\((https?://[^\s()<>"']+)\)`)
	summaryRE = regexp.MustCompile(`^<summary>(.*?)</summary>$`)
	commentRE = regexp.MustCompile(`^<!--[^>]*-->$`)
	fenceRE   = regexp.MustCompile("^(`{3,}|~{3,})")
)

func markdown(text string) template.HTML {
	r := &renderer{}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if fence := fenceRE.FindString(lines[i]); fence != "" {
			i = r.code(lines, i, fence)
			continue
		}
		r.line(lines[i])
	}
	r.block("")
	r.out.WriteString(strings.Repeat("</details>", r.details))
	return template.HTML(r.out.String()) //nolint:gosec // every part of it went through escape
}

// code writes the lines up to the closing fence (or the end) and returns the index of the last line read.
func (r *renderer) code(lines []string, at int, fence string) int {
	r.block("")
	r.out.WriteString("<pre><code>")
	defer r.out.WriteString("</code></pre>\n")
	for i := at + 1; i < len(lines); i++ {
		if rest := strings.TrimSpace(lines[i]); strings.HasPrefix(rest, fence) && strings.Trim(rest, fence[:1]) == "" {
			return i
		}
		r.out.WriteString(escape(lines[i]) + "\n")
	}
	return len(lines)
}

func (r *renderer) line(line string) {
	trimmed := strings.TrimSpace(line)
	switch {
	case trimmed == "", commentRE.MatchString(trimmed): // a comment is not shown
		r.block("")
	case trimmed == "<details>" || trimmed == "<details open>":
		r.block("")
		r.details++
		r.out.WriteString("<details>")
	case trimmed == "</details>":
		r.block("")
		if r.details > 0 {
			r.details--
			r.out.WriteString("</details>")
		}
	case summaryRE.MatchString(trimmed) && r.details > 0:
		r.out.WriteString("<summary>" + inline(summaryRE.FindStringSubmatch(trimmed)[1]) + "</summary>")
	default:
		r.text(trimmed)
	}
}

func (r *renderer) text(line string) {
	if m := headingRE.FindStringSubmatch(line); m != nil {
		r.block("")
		level := string('0' + byte(len(m[1])))
		r.out.WriteString("<h" + level + ">" + inline(m[2]) + "</h" + level + ">\n")
		return
	}
	switch {
	case strings.HasPrefix(line, "|"):
		r.row(line)
	case strings.HasPrefix(line, ">"):
		r.block("blockquote")
		r.out.WriteString(inline(strings.TrimSpace(line[1:])) + "<br>\n")
	case itemRE.MatchString(line):
		r.block("ul")
		r.out.WriteString("<li>" + inline(itemRE.FindStringSubmatch(line)[1]) + "</li>\n")
	case orderedRE.MatchString(line):
		r.block("ol")
		r.out.WriteString("<li>" + inline(orderedRE.FindStringSubmatch(line)[1]) + "</li>\n")
	default:
		r.block("p")
		r.out.WriteString(inline(line) + "\n")
	}
}

func (r *renderer) row(line string) {
	cell := "td"
	if r.open != "table" {
		cell = "th"
	}
	r.block("table")
	if ruleRE.MatchString(line) {
		return
	}
	r.out.WriteString("<tr>")
	for c := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
		r.out.WriteString("<" + cell + ">" + inline(strings.TrimSpace(c)) + "</" + cell + ">")
	}
	r.out.WriteString("</tr>\n")
}

// block closes the block in hand, unless it is the one that is wanted, and opens the wanted one.
func (r *renderer) block(tag string) {
	if r.open == tag {
		return
	}
	if r.open != "" {
		r.out.WriteString("</" + r.open + ">\n")
	}
	if tag != "" {
		r.out.WriteString("<" + tag + ">")
	}
	r.open = tag
}

// inline escapes first and marks up afterwards, outside of code spans only.
func inline(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range codeRE.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(spans(escape(text[at:m[0]])))
		b.WriteString("<code>" + escape(text[m[2]:m[3]]) + "</code>")
		at = m[1]
	}
	b.WriteString(spans(escape(text[at:])))
	return b.String()
}

func spans(escaped string) string {
	out := boldRE.ReplaceAllString(escaped, "<strong>$1</strong>")
	return linkRE.ReplaceAllString(out, `<a href="$2" rel="noopener noreferrer">$1</a>`)
}

func escape(text string) string { return template.HTMLEscapeString(text) }
