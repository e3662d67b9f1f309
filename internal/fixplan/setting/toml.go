package setting

import (
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/tomlfile"
)

var bareRE = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func inTOML(src []byte, set edit.Setting) ([]byte, error) {
	f, err := tomlfile.Parse(src)
	if err != nil {
		return nil, err
	}
	e, ok := f.Find(set.Key...)
	if !ok {
		return addTOML(src, f, set)
	}
	v := e.Value
	switch v.Kind {
	case unstable.String:
		if v.Text == set.Value {
			return src, nil
		}
		if strings.HasPrefix(string(src[v.Start:]), `"""`) || strings.HasPrefix(string(src[v.Start:]), "'''") {
			return nil, notScalar(set)
		}
		return edit.Do(src, edit.Edit{Start: v.Start, End: v.End, Text: tomlfile.Quoted(src, v.Start, set.Value)})
	case unstable.Bool:
		if !boolRE.MatchString(set.Value) {
			return nil, kindDiffers(set, "a boolean")
		}
	case unstable.Integer, unstable.Float:
		if !numberRE.MatchString(set.Value) {
			return nil, kindDiffers(set, "a number")
		}
	default:
		return nil, notScalar(set)
	}
	return edit.Do(src, edit.Edit{Start: v.Start, End: v.End, Text: set.Value})
}

func addTOML(src []byte, f *tomlfile.File, set edit.Setting) ([]byte, error) {
	last := len(set.Key) - 1
	table := f.Table(set.Key[:last]...)
	if table == nil {
		return nil, noSection(set)
	}
	key, value := set.Key[last], set.Value
	if !bareRE.MatchString(key) {
		key = tomlfile.Quoted(nil, 0, key)
	}
	if isText(value) {
		value = tomlfile.Quoted(nil, 0, value)
	}
	return edit.Do(src, table.Add(src, key+" = "+value))
}
