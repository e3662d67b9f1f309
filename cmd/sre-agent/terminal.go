package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// terminal writes for people: with colour and in bounds where there is a terminal, plainly elsewhere.
type terminal struct {
	io.Writer
	color bool
	// width in columns; 0 is without bound.
	width int
}

func (a *app) terminal() terminal {
	t := terminal{Writer: a.stdout}
	file, ok := a.stdout.(*os.File)
	if !ok {
		return t
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return t
	}
	t.width = int(size.Col)
	t.color = a.environ["NO_COLOR"] == "" && a.environ["TERM"] != "dumb"
	return t
}

func (t terminal) printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

func (t terminal) bold(s string) string  { return t.paint("1", s) }
func (t terminal) dim(s string) string   { return t.paint("2", s) }
func (t terminal) red(s string) string   { return t.paint("31", s) }
func (t terminal) green(s string) string { return t.paint("32", s) }
func (t terminal) cyan(s string) string  { return t.paint("36", s) }

func (t terminal) paint(code, s string) string {
	if !t.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// diff prints a diff with its colours.
func (t terminal) diff(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		shown := visible(line)
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "index "):
			shown = t.bold(shown)
		case strings.HasPrefix(line, "@@"):
			shown = t.cyan(shown)
		case strings.HasPrefix(line, "+"):
			shown = t.green(shown)
		case strings.HasPrefix(line, "-"):
			shown = t.red(shown)
		}
		t.printf("  %s\n", shown)
	}
}

// visible makes one line of a text from outside: what would move a cursor, change a colour or turn the direction of
// reading is written out instead.
func visible(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, string(utf8.RuneError)) {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case deceives(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case deceives(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// visibleLines is visible for a text of several lines.
func visibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = visible(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

func deceives(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}

// clip cuts a text to n runes.
func clip(s string, n int) string {
	runes := []rune(s)
	if n < 1 || len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

const columnGap, narrowest = 2, 6

// table prints rows in columns, the first row as the head. Where the room is short, columns without a value go first, and
// then the widest give way until the table fits.
func (t terminal) table(rows [][]string) {
	widths := widthsOf(rows)
	if t.width > 0 && wholeWidth(widths) > t.width {
		rows = withoutEmpty(rows)
		widths = widthsOf(rows)
	}
	fit(widths, t.width)
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			cell = clip(visible(cell), widths[i])
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+columnGap))
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if n == 0 {
			line = t.bold(line)
		}
		t.printf("%s\n", line)
	}
}

func widthsOf(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(visible(cell)))
		}
	}
	return widths
}

// wholeWidth is that of all columns and the gaps between them.
func wholeWidth(widths []int) int {
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	return total
}

// withoutEmpty leaves out the columns that have a head and nothing else.
func withoutEmpty(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i := range rows[0] {
		if !slices.ContainsFunc(rows[1:], func(row []string) bool { return row[i] != "" }) {
			continue
		}
		for n, row := range rows {
			out[n] = append(out[n], row[i])
		}
	}
	return out
}

func fit(widths []int, limit int) {
	total := wholeWidth(widths)
	for limit > 0 && total > limit {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= narrowest {
			return
		}
		widths[widest]--
		total--
	}
}
