package payload

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Object is a body whose outermost members can be asked for.
type Object struct {
	raw     []byte
	members []member // in the body's order
	indexed bool
}

type member struct{ key, value []byte }

// Unread is a body that nobody has checked: its members are searched for, and nothing else is known of it.
func Unread(body []byte) Object { return Object{raw: body} }

// Member returns the last value of a key in the outermost object, or nil.
func (o Object) Member(key string) []byte {
	if !o.indexed {
		return Member(o.raw, key)
	}
	for i := len(o.members) - 1; i >= 0; i-- {
		if string(o.members[i].key) == key {
			return o.members[i].value
		}
	}
	return nil
}

// Text is the string at a path of keys, and empty where there is none.
func (o Object) Text(path ...string) string {
	value := o.Member(path[0])
	if value == nil {
		return ""
	}
	return MemberText(value, path[1:]...)
}

// index finds the outermost members and checks all of the body on the way, or returns false where there is anything odd.
func index(body []byte) (Object, bool) {
	o := Object{raw: body, indexed: true, members: make([]member, 0, usualMembers)}
	r := readers.Get().(*reader)
	defer readers.Put(r)
	r.body = *bytes.NewBuffer(body) // the decoder reads what is in a bytes.Buffer in place
	r.Reset(&r.body, asLax...)
	defer func() { r.body = bytes.Buffer{} }()
	d := &r.Decoder
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return Object{}, false
	}
	for d.PeekKind() != '}' {
		key, err := d.ReadValue()
		if err != nil || len(key) < 2 || bytes.IndexByte(key, '\\') >= 0 {
			return Object{}, false // an escaped key is rare enough to be left to the slower way
		}
		// What is read is a part of the body itself, so it stays.
		m := member{key: key[1 : len(key)-1]}
		if m.value, err = d.ReadValue(); err != nil {
			return Object{}, false
		}
		o.members = append(o.members, m)
		if len(o.members) > maxMembers {
			return Object{}, false
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return Object{}, false
	}
	_, err := d.ReadToken()
	return o, errors.Is(err, io.EOF)
}

type reader struct {
	jsontext.Decoder
	body bytes.Buffer
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// usualMembers is more than what most events have.
const usualMembers = 16

// maxMembers bounds the index; no provider sends a tenth as many.
const maxMembers = 256

// Member returns the last value of a key in the body's outermost object, or nil. It trusts nothing: for bytes that
// are not JSON it returns nil or bytes that a JSON decoder refuses.
func Member(body []byte, key string) []byte {
	var (
		depth   int
		isKey   bool // the next string at depth 1 is a key
		wanted  bool // the value that comes is the wanted one
		start   = -1
		found   []byte
		closeAt = func(end int) {
			if wanted && start >= 0 {
				found = body[start:end]
			}
			wanted, start = false, -1
		}
	)
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := stringEnd(body, i)
			if end < 0 {
				return nil
			}
			if depth == 1 && isKey {
				wanted, isKey = string(body[i+1:end-1]) == key, false
			}
			i = end - 1
		case ':':
			if depth == 1 && wanted && start < 0 {
				start = i + 1
			}
		case '{':
			depth++
			isKey = depth == 1
		case '[':
			depth++
		case '}', ']':
			if depth == 1 {
				closeAt(i)
			}
			depth--
		case ',':
			if depth == 1 {
				closeAt(i)
				isKey = true
			}
		}
	}
	return found
}

// stringEnd returns the index after the closing quote of the string that opens at i, or -1.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		next := bytes.IndexByte(body[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		escapes := 0
		for j := i - 1; j >= 0 && body[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return -1
}
