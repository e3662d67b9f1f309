// Package tomlfile finds the places of a TOML file's values, so that one can be changed and all else be kept.
//
// It promises bounded depth, and that a key given twice makes the file unreadable. It is pure.
package tomlfile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// File is what a TOML file holds, in its order.
type File struct {
	Tables []Table
	deep   bool
}

// maxParts is how many parts a dotted key may have.
const maxParts = 32

// Table is a header and what stands below it. The first one has no header and no path.
type Table struct {
	Path []string
	// Array says that it is one of several: [[path]].
	Array bool
	// Start is a byte of the header's line.
	Start   int
	Entries []Entry
}

// Entry is one key and its value; in an inline table too.
type Entry struct {
	Key        []string
	Start, End int
	Value      Value
}

// Value is a value and its place.
type Value struct {
	Kind       unstable.Kind
	Start, End int
	// Text is a string's content, or the value as it is written.
	Text string
	// Items are an array's, Entries an inline table's.
	Items   []Value
	Entries []Entry
}

// Parse reads a file.
func Parse(src []byte) (f *File, err error) {
	// The file is hostile and the parser is somebody else's: a panic there is the file's fault, not ours.
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fault.Permf(edit.Unreadable, "the file cannot be read as TOML")
		}
	}()
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	if err := edit.Shallow(src); err != nil {
		return nil, err
	}
	text := src
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		text = append([]byte("   "), src[3:]...)
	}
	f = &File{Tables: []Table{{}}}
	p := unstable.Parser{}
	p.Reset(text)
	for p.NextExpression() {
		f.take(&p, text, p.Expression())
	}
	if err := p.Error(); err != nil {
		return nil, fault.Perm(edit.Unreadable, err)
	}
	if f.deep {
		return nil, fault.Permf(edit.Unreadable, "a key has more than %d parts", maxParts)
	}
	// The whole reader knows rules that the parser alone does not: a key given twice, a table given twice.
	var whole map[string]any
	if err := toml.Unmarshal(text, &whole); err != nil {
		return nil, fault.Perm(edit.Unreadable, err)
	}
	return f, nil
}

func (f *File) take(p *unstable.Parser, src []byte, n *unstable.Node) {
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable:
		path, start, _ := keyOf(n.Key())
		f.deep = f.deep || len(path) > maxParts
		f.Tables = append(f.Tables, Table{Path: path, Array: n.Kind == unstable.ArrayTable, Start: start})
	case unstable.KeyValue:
		t := &f.Tables[len(f.Tables)-1]
		e := entry(p, src, n)
		f.deep = f.deep || len(e.Key) > maxParts
		t.Entries = append(t.Entries, e)
	}
}

// keyOf returns a key's parts and the bytes from its first to behind its last.
func keyOf(it unstable.Iterator) (path []string, start, end int) {
	start = -1
	for it.Next() {
		n := it.Node()
		if start < 0 {
			start = int(n.Raw.Offset)
		}
		end = int(n.Raw.Offset + n.Raw.Length)
		path = append(path, string(n.Data))
	}
	return path, start, end
}

func entry(p *unstable.Parser, src []byte, n *unstable.Node) Entry {
	key, start, end := keyOf(n.Key())
	stop := int(n.Raw.Offset + n.Raw.Length)
	from := end + bytes.IndexByte(src[end:], '=') + 1
	for src[from] == ' ' || src[from] == '\t' {
		from++
	}
	for stop > from && (src[stop-1] == ' ' || src[stop-1] == '\t') {
		stop--
	}
	return Entry{Key: key, Start: start, End: stop, Value: value(p, src, n.Value(), from, stop)}
}

func value(p *unstable.Parser, src []byte, n *unstable.Node, start, end int) Value {
	v := Value{Kind: n.Kind, Start: start, End: end}
	switch n.Kind {
	case unstable.Array:
		for it := n.Children(); it.Next(); {
			// Of the items only those that the parser gives a place can be told apart; others are never edited.
			item := it.Node()
			at := int(item.Raw.Offset)
			v.Items = append(v.Items, value(p, src, item, at, at+int(item.Raw.Length)))
		}
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue && it.Node().Raw.Length > 0 {
				v.Entries = append(v.Entries, entry(p, src, it.Node()))
			}
		}
	default:
		v.Text = string(n.Data)
	}
	return v
}

// Find returns the entry at the path, whether its table is written as a header, dotted or inline. A path through an
// array of tables finds nothing.
func (f *File) Find(path ...string) (Entry, bool) {
	for _, t := range f.Tables {
		if t.Array || len(t.Path) >= len(path) || !slices.Equal(t.Path, path[:len(t.Path)]) {
			continue
		}
		if e, ok := find(t.Entries, path[len(t.Path):]); ok {
			return e, true
		}
	}
	return Entry{}, false
}

func find(entries []Entry, path []string) (Entry, bool) {
	for _, e := range entries {
		switch {
		case len(e.Key) > len(path) || !slices.Equal(e.Key, path[:len(e.Key)]):
		case len(e.Key) == len(path):
			return e, true
		default:
			if inner, ok := find(e.Value.Entries, path[len(e.Key):]); ok {
				return inner, true
			}
		}
	}
	return Entry{}, false
}

// Table returns the table with the header, or nil.
func (f *File) Table(path ...string) *Table {
	for i, t := range f.Tables {
		if !t.Array && slices.Equal(t.Path, path) && (i > 0 || len(path) == 0) {
			return &f.Tables[i]
		}
	}
	return nil
}

// Quoted writes text as a string in the way that the text at the place is quoted, or with double quotes.
func Quoted(src []byte, like int, text string) string {
	if like < len(src) && src[like] == '\'' && !strings.ContainsAny(text, "'\n\r\t") {
		return "'" + text + "'"
	}
	r := strings.NewReplacer("\\", `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return `"` + r.Replace(text) + `"`
}

// Add puts an entry at the end of a table.
func (t *Table) Add(src []byte, line string) edit.Edit {
	if len(t.Entries) > 0 {
		last := t.Entries[len(t.Entries)-1]
		return edit.After(src, last.End, edit.Indent(src, last.Start)+line)
	}
	if len(t.Path) == 0 {
		at := len(src) - len(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")))
		return edit.Edit{Start: at, End: at, Text: line + edit.LineEnd(src)}
	}
	return edit.After(src, t.Start, line)
}
