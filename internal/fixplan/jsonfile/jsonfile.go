// Package jsonfile finds the places of a JSON file's values, so that one can be changed and all else be kept.
//
// It promises bounded depth, and that a duplicate key makes the file unreadable: nobody can say which one counts.
// Comments and trailing commas are allowed where the reader of the file allows them. It is pure.
package jsonfile

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// Node is a value and its place.
type Node struct {
	// Kind is '{', '[', '"', '0', 't', 'f' or 'n'.
	Kind       jsontext.Kind
	Start, End int
	// Text is a string's content.
	Text    string
	Members []Member
	Items   []*Node
}

// Member is one key of an object and its value.
type Member struct {
	Key      string
	KeyStart int
	Value    *Node
}

// Get returns the value under the key, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for _, m := range n.Members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// Parse reads a file whose top is an object.
func Parse(src []byte, comments bool) (*Node, error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	text := bytes.Clone(src)
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		copy(text, "   ")
	}
	if comments {
		blank(text)
	}
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	root, err := read(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fault.Permf(edit.Unreadable, "something follows the JSON value, at byte %d", root.End)
	}
	if root.Kind != '{' {
		return nil, fault.Permf(edit.Unreadable, "the file is no JSON object")
	}
	return root, nil
}

func read(dec *jsontext.Decoder) (*Node, error) {
	n := &Node{Kind: dec.PeekKind()}
	if n.Kind == '{' || n.Kind == '[' {
		if _, err := dec.ReadToken(); err != nil {
			return nil, fault.Perm(edit.Unreadable, err)
		}
		n.Start = int(dec.InputOffset()) - 1
		err := inside(dec, n)
		n.End = int(dec.InputOffset())
		return n, err
	}
	value, err := dec.ReadValue()
	if err != nil {
		return nil, fault.Perm(edit.Unreadable, err)
	}
	n.End = int(dec.InputOffset())
	n.Start = n.End - len(value)
	if n.Kind == '"' {
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return nil, fault.Perm(edit.Unreadable, err)
		}
		n.Text = string(text)
	}
	return n, nil
}

func inside(dec *jsontext.Decoder, n *Node) error {
	if dec.StackDepth() > edit.MaxDepth {
		return fault.Permf(edit.Unreadable, "the file is nested deeper than %d", edit.MaxDepth)
	}
	for {
		next := dec.PeekKind()
		switch {
		case next == '}' || next == ']':
			if _, err := dec.ReadToken(); err != nil {
				return fault.Perm(edit.Unreadable, err)
			}
			return nil
		case n.Kind == '[':
			item, err := read(dec)
			if err != nil {
				return err
			}
			n.Items = append(n.Items, item)
		default:
			key, err := read(dec)
			if err != nil {
				return err
			}
			value, err := read(dec)
			if err != nil {
				return err
			}
			n.Members = append(n.Members, Member{Key: key.Text, KeyStart: key.Start, Value: value})
		}
	}
}
