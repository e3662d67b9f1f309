package fixplan

import (
	"bytes"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// modify puts the new text in the place of the old one, which stands there exactly once.
func modify(src []byte, was, want string) ([]byte, error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	was, want = sameEnds(src, was), sameEnds(src, want)
	at, err := once(src, was)
	if err != nil {
		return nil, err
	}
	if at < 0 {
		if want == "" || bytes.Contains(src, []byte(want)) {
			return src, nil
		}
		return nil, fault.Permf(edit.NotFound, "the text of old is not there: quote it exactly")
	}
	// Where the new text holds the old one, it may be there already.
	if inner := strings.Index(want, was); inner >= 0 && at >= inner && bytes.HasPrefix(src[at-inner:], []byte(want)) {
		return src, nil
	}
	return edit.Do(src, edit.Edit{Start: at, End: at + len(was), Text: want})
}

// drop takes the text away, with its line when nothing else stands on it.
func drop(src []byte, was string) ([]byte, error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	was = sameEnds(src, was)
	at, err := once(src, was)
	if err != nil || at < 0 {
		return src, err
	}
	end := at + len(was)
	trimmed := at + len(strings.TrimRight(was, "\r\n"))
	e := edit.Lines(src, at, trimmed)
	e.End = max(e.End, end)
	return edit.Do(src, e)
}

// once is where the text stands, or -1; more than once is an error, overlaps count.
func once(src []byte, text string) (int, error) {
	at := bytes.Index(src, []byte(text))
	if at >= 0 && bytes.Contains(src[at+1:], []byte(text)) {
		return 0, fault.Permf(edit.Ambiguous, "the text of old is there more than once: quote more of it")
	}
	return at, nil
}

// sameEnds gives the text the line ends of the file, if the file has but one kind of them.
func sameEnds(src []byte, text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if edit.LineEnd(src) == "\r\n" {
		return strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}
