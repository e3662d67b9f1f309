package setting

import (
	"strconv"

	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/jsonfile"
)

func inJSON(src []byte, set edit.Setting, comments bool) ([]byte, error) {
	root, err := jsonfile.Parse(src, comments)
	if err != nil {
		return nil, err
	}
	n := root
	for i, part := range set.Key {
		next := child(n, part)
		if next == nil {
			if i < len(set.Key)-1 || n.Kind != '{' {
				return nil, noSection(set)
			}
			value := set.Value
			if isText(value) {
				value = jsonfile.Quote(value)
			}
			return edit.Do(src, jsonfile.Insert(src, n, part, value))
		}
		n = next
	}
	switch n.Kind {
	case '{', '[':
		return nil, notScalar(set)
	case '"':
		if n.Text == set.Value {
			return src, nil
		}
		return edit.Do(src, edit.Edit{Start: n.Start, End: n.End, Text: jsonfile.Quote(set.Value)})
	case '0':
		if !numberRE.MatchString(set.Value) {
			return nil, kindDiffers(set, "a number")
		}
	case 't', 'f':
		if !boolRE.MatchString(set.Value) {
			return nil, kindDiffers(set, "a boolean")
		}
	default:
		if isText(set.Value) {
			return edit.Do(src, edit.Edit{Start: n.Start, End: n.End, Text: jsonfile.Quote(set.Value)})
		}
	}
	return edit.Do(src, edit.Edit{Start: n.Start, End: n.End, Text: set.Value})
}

func child(n *jsonfile.Node, part string) *jsonfile.Node {
	if n.Kind == '[' {
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Items) {
			return n.Items[i]
		}
		return nil
	}
	return n.Get(part)
}
