package model

import (
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// newMark is a word that nobody who wrote the log or the repository can have known.
func newMark(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make a mark: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// enclosed puts untrusted text between a question's marks.
func enclosed(mark, name, text string) string {
	return "<<<data " + mark + " " + name + ">>>\n" + strings.TrimRight(neutral(mark, text), "\n") + "\n<<<end " + mark + ">>>\n"
}

var (
	// looksLikeMark is what could pass for one of our marks.
	looksLikeMark = regexp.MustCompile(`(?i)<<<(\s*/?\s*(?:data|end)\b)`)
	// formatWords are the words by which the formats of common models tell turns apart. A server that puts them into its
	// template as they are would take them for the end of the data.
	formatWords = regexp.MustCompile(`(?i)<(\|[a-z0-9_ -]{1,40}\||/?s>|(?:start|end)_of_turn>|<\s*/?sys>>)|\[(/?(?:INST|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS|SYSTEM_PROMPT)\])`)
)

// neutral makes a text harmless between marks: no mark, nothing of a model's own format, nothing that people can't
// see. A part of a file that is changed by it can't be edited by exact text, which is all right.
func neutral(mark, text string) string {
	if mark != "" {
		text = strings.ReplaceAll(text, mark, "[mark]")
	}
	text = visible(text)
	text = looksLikeMark.ReplaceAllString(text, "<< <$1")
	return formatWords.ReplaceAllStringFunc(text, func(s string) string { return s[:1] + " " + s[1:] })
}

// visible spells out what is invisible or changes the order of the text. Instructions can hide in all of them.
func visible(text string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == '\r':
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Co, r), r == '\u2028', r == '\u2029', r == '\u3164', r == '\u115f':
			b.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + "}")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// oneLine is a short text without line ends.
func oneLine(text string, most int) string {
	return clip(strings.Join(strings.Fields(text), " "), most)
}

// clip cuts a text, and never within a character.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
