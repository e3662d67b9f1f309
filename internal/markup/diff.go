package markup

import "strings"

// Diff puts a diff into a code fence as it is, tabs and all. exact is false when that can't be done, because it holds a
// character that could deceive a reader, or a line that git does not begin a diff's line with.
func Diff(text string) (fence string, exact bool) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for _, l := range lines {
		if l == "" || !strings.ContainsRune("+- @\\dinosrc", rune(l[0])) {
			return "", false
		}
		for _, part := range strings.Split(l, "\t") {
			if Plain(part) != part {
				return "", false
			}
		}
	}
	clean := strings.Join(lines, "\n")
	ticks := strings.Repeat("`", max(3, longestRun(clean)+1))
	return ticks + "diff\n" + clean + "\n" + ticks + "\n", true
}
