package jsonfile

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// Quote writes s as a JSON string.
func Quote(s string) string {
	out, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		// Only text that is not UTF-8 fails, and Check lets none through.
		return `""`
	}
	return string(out)
}

// Insert adds a member to the object, in its place if the keys are sorted, else as the last.
func Insert(src []byte, obj *Node, key, value string) edit.Edit {
	if len(obj.Members) == 0 {
		return insertFirst(src, obj, Quote(key)+": "+value)
	}
	colon, comma := separators(src, obj)
	entry := Quote(key) + colon + value
	at := place(obj, key)
	if at < len(obj.Members) {
		next := obj.Members[at]
		gap := comma
		if lead, own := ownLine(src, next.KeyStart); own {
			gap = "," + edit.LineEnd(src) + lead
		}
		return edit.Edit{Start: next.KeyStart, End: next.KeyStart, Text: entry + gap}
	}
	last := obj.Members[len(obj.Members)-1]
	gap := comma
	if lead, own := ownLine(src, last.KeyStart); own {
		gap = "," + edit.LineEnd(src) + lead
	}
	return edit.Edit{Start: last.Value.End, End: last.Value.End, Text: gap + entry}
}

// separators are what the object has between a key and its value, and between two members of one line.
func separators(src []byte, obj *Node) (colon, comma string) {
	m := obj.Members[0]
	colon = string(src[m.KeyStart:m.Value.Start])
	colon = colon[strings.LastIndexByte(colon, '"')+1:]
	if strings.TrimSpace(colon) != ":" || strings.ContainsAny(colon, "\r\n") {
		colon = ": "
	}
	if colon == ":" {
		return colon, ","
	}
	return colon, ", "
}

func insertFirst(src []byte, obj *Node, entry string) edit.Edit {
	inside := string(src[obj.Start+1 : obj.End-1])
	if strings.TrimSpace(inside) != "" {
		// Only comments stand in it.
		return edit.Edit{Start: obj.Start + 1, End: obj.Start + 1, Text: entry}
	}
	end, indent := edit.LineEnd(src), edit.Indent(src, obj.Start)
	return edit.Edit{Start: obj.Start + 1, End: obj.End - 1, Text: end + indent + unit(src) + entry + end + indent}
}

// unit is one step of the file's indentation: the first one in it.
func unit(src []byte) string {
	for _, line := range strings.SplitAfter(string(src), "\n") {
		if rest := strings.TrimLeft(line, " \t"); len(rest) < len(line) && strings.TrimSpace(rest) != "" {
			return line[:len(line)-len(rest)]
		}
	}
	return "  "
}

// ownLine says what stands before a key on its line, and whether that is only white space.
func ownLine(src []byte, at int) (string, bool) {
	lead := string(src[edit.LineStart(src, at):at])
	return lead, strings.TrimSpace(lead) == "" && edit.LineStart(src, at) > 0
}

func place(obj *Node, key string) int {
	keys := make([]string, 0, len(obj.Members))
	for _, m := range obj.Members {
		keys = append(keys, m.Key)
	}
	if !slices.IsSorted(keys) || len(keys) < 2 {
		return len(keys)
	}
	at, _ := slices.BinarySearch(keys, key)
	return at
}

// Drop takes a member away, with its comma and its line.
func Drop(src []byte, obj *Node, key string) edit.Edit {
	at := slices.IndexFunc(obj.Members, func(m Member) bool { return m.Key == key })
	m := obj.Members[at]
	switch {
	case len(obj.Members) == 1 && blankBytes(src[obj.Start+1:m.KeyStart]) && blankBytes(src[m.Value.End:obj.End-1]):
		return edit.Edit{Start: obj.Start + 1, End: obj.End - 1}
	case len(obj.Members) == 1:
		return edit.Edit{Start: m.KeyStart, End: m.Value.End}
	case at+1 < len(obj.Members) && blankBytes(src[m.Value.End+1:obj.Members[at+1].KeyStart]):
		return edit.Edit{Start: m.KeyStart, End: obj.Members[at+1].KeyStart}
	case at > 0 && blankBytes(src[obj.Members[at-1].Value.End+1:m.KeyStart]):
		return edit.Edit{Start: obj.Members[at-1].Value.End, End: m.Value.End}
	}
	return edit.Edit{Start: m.KeyStart, End: m.Value.End + 1}
}

func blankBytes(b []byte) bool { return strings.TrimSpace(string(b)) == "" }

// Section adds an object with one member to the top: behind the last of the keys in like that is there, or at the end.
func Section(src []byte, root *Node, key string, like []string, name, value string) edit.Edit {
	if len(root.Members) == 0 {
		return insertFirst(src, root, Quote(key)+": {"+Quote(name)+": "+Quote(value)+"}")
	}
	after := root.Members[len(root.Members)-1]
	for _, m := range root.Members {
		if slices.Contains(like, m.Key) {
			after = m
		}
	}
	lead, own := ownLine(src, after.KeyStart)
	if !own {
		text := ", " + Quote(key) + ": {" + Quote(name) + ": " + Quote(value) + "}"
		return edit.Edit{Start: after.Value.End, End: after.Value.End, Text: text}
	}
	line := edit.LineEnd(src) + lead
	text := "," + line + Quote(key) + ": {" + line + unit(src) + Quote(name) + ": " + Quote(value) + line + "}"
	return edit.Edit{Start: after.Value.End, End: after.Value.End, Text: text}
}
