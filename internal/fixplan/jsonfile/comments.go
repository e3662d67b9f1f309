package jsonfile

// blank overwrites comments and trailing commas with spaces, so that every other byte keeps its place.
func blank(text []byte) {
	comma := -1
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i, comma = stringEnd(text, i), -1
		case c == '/' && i+1 < len(text) && (text[i+1] == '/' || text[i+1] == '*'):
			stop := commentEnd(text, i)
			for ; i < stop; i++ {
				if text[i] != '\n' && text[i] != '\r' {
					text[i] = ' '
				}
			}
		case c == ',':
			comma = i
			i++
		case c == '}' || c == ']':
			if comma >= 0 {
				text[comma] = ' '
			}
			comma = -1
			i++
		default:
			if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
				comma = -1
			}
			i++
		}
	}
}

func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func commentEnd(text []byte, i int) int {
	line := text[i+1] == '/'
	for j := i + 2; j < len(text); j++ {
		if line && text[j] == '\n' {
			return j
		}
		if !line && text[j] == '*' && j+1 < len(text) && text[j+1] == '/' {
			return j + 2
		}
	}
	return len(text)
}
