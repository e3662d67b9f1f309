package fix

import "strings"

// Quote makes one shell word of a string, whatever it holds but NUL, which no argument can.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", `'\''`) + "'"
}

// quotePaths makes shell words of paths. A leading dash gets "./" before it: not every tool knows "--".
func quotePaths(paths []string) string {
	words := make([]string, len(paths))
	for i, p := range paths {
		if strings.HasPrefix(p, "-") {
			p = "./" + p
		}
		words[i] = Quote(p)
	}
	return strings.Join(words, " ")
}
