package java

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// element is an XML element and its places: of the whole, and of what is inside its tags.
type element struct {
	name             string
	start, end       int
	inside, insideTo int
	children         []*element
}

// readXML reads a document of elements and text. A document type, which can define entities, is refused.
func readXML(src []byte) (*element, error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	dec := xml.NewDecoder(bytes.NewReader(src))
	top := &element{}
	stack := []*element{top}
	for {
		start := int(dec.InputOffset())
		tok, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Perm(edit.Unreadable, err)
		}
		open := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.Directive:
			return nil, fault.Permf(edit.Declined, "the file has a document type")
		case xml.StartElement:
			e := &element{name: t.Name.Local, start: start, inside: int(dec.InputOffset())}
			open.children = append(open.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			if len(stack) == 1 || open.name != t.Name.Local {
				return nil, fault.Permf(edit.Unreadable, "</%s> closes nothing, at byte %d", t.Name.Local, start)
			}
			open.insideTo, open.end = start, int(dec.InputOffset())
			stack = stack[:len(stack)-1]
		}
		if len(stack) > edit.MaxDepth {
			return nil, fault.Permf(edit.Unreadable, "the file is nested deeper than %d", edit.MaxDepth)
		}
	}
	if len(stack) > 1 || len(top.children) != 1 {
		return nil, fault.Permf(edit.Unreadable, "the file is not one closed element")
	}
	return top.children[0], nil
}

// get follows the names down and returns the first element there, or nil.
func (e *element) get(path ...string) *element {
	for _, name := range path {
		if e == nil {
			return nil
		}
		var next *element
		for _, c := range e.children {
			if c.name == name {
				next = c
				break
			}
		}
		e = next
	}
	return e
}

// text is what stands inside, without blanks around it.
func (e *element) text(src []byte) string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(string(src[e.inside:e.insideTo]))
}

// setText replaces the text and keeps the blanks around it.
func (e *element) setText(src []byte, text string) edit.Edit {
	have := string(src[e.inside:e.insideTo])
	start := e.inside + len(have) - len(strings.TrimLeft(have, " \t\r\n"))
	return edit.Edit{Start: start, End: start + len(strings.TrimSpace(have)), Text: text}
}
