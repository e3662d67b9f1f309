package java

import "strings"

// token is a piece of a Gradle build file: a word, a string (text is its content), or one other character.
type token struct {
	kind       byte // 'w', 's', or the character itself
	text       string
	start, end int
}

// lex splits a Groovy or Kotlin build file. Comments and blanks are dropped, a line's end is a token of its own.
func lex(src string) []token {
	var out []token
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(src[i:], "//"):
			i += untilOr(src[i:], "\n", 0)
		case strings.HasPrefix(src[i:], "/*"):
			i += 2 + untilOr(src[i+2:], "*/", 2)
		case c == '"' || c == '\'':
			t := quoted(src, i)
			out = append(out, t)
			i = t.end
		case wordByte(c):
			j := i
			for j < len(src) && wordByte(src[j]) {
				j++
			}
			out = append(out, token{'w', src[i:j], i, j})
			i = j
		default:
			out = append(out, token{c, src[i : i+1], i, i + 1})
			i++
		}
	}
	return out
}

// untilOr is how far it is to behind the mark (plus is the mark's length to pass), or to the end.
func untilOr(s, mark string, plus int) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i + plus
	}
	return len(s)
}

func wordByte(c byte) bool {
	return c == '_' || c == '.' || c == '-' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

func quoted(src string, i int) token {
	if triple := strings.Repeat(src[i:i+1], 3); strings.HasPrefix(src[i:], triple) {
		end := i + 3 + untilOr(src[i+3:], triple, 3)
		return token{'s', "", i, end}
	}
	for j := i + 1; j < len(src); j++ {
		switch src[j] {
		case '\\':
			j++
		case '\n':
			return token{'s', "", i, j}
		case src[i]:
			return token{'s', src[i+1 : j], i, j + 1}
		}
	}
	return token{'s', "", i, len(src)}
}
