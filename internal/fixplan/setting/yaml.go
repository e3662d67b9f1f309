package setting

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// mark is a byte order mark.
var mark = []byte("\xef\xbb\xbf")

// maxYAML is the largest YAML file that is read: the parser's cost grows faster than the file.
const maxYAML = 128 << 10

// inYAML changes a setting of a file with one document. A part of the key that is a number names a list's item.
func inYAML(src []byte, set edit.Setting) ([]byte, error) {
	text, marked := bytes.CutPrefix(src, mark)
	out, err := inPlainYAML(text, set)
	if marked && err == nil {
		return append(slices.Clone(mark), out...), nil
	}
	return out, err
}

func inPlainYAML(src []byte, set edit.Setting) ([]byte, error) {
	root, err := readYAML(src)
	if err != nil {
		return nil, err
	}
	n := root
	for i, part := range set.Key {
		next, err := yamlChild(n, part)
		if err != nil {
			return nil, err
		}
		if next == nil {
			if i < len(set.Key)-1 {
				return nil, noSection(set)
			}
			return addYAML(src, n, part, set)
		}
		n = next
	}
	return setYAML(src, n, set)
}

func readYAML(src []byte) (root ast.Node, err error) {
	// As in repoconfig: a panic of the parser is the file's fault.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, fault.Permf(edit.Unreadable, "the file cannot be read as YAML")
		}
	}()
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	if len(src) > maxYAML {
		return nil, fault.Permf(edit.Unreadable, "the file has %d bytes, of YAML at most %d are edited", len(src), maxYAML)
	}
	if err := edit.Shallow(src); err != nil {
		return nil, err
	}
	// The parser counts some lines that end in \r\n twice; without \r lines and columns are the same.
	text := bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	if err := plainYAML(text); err != nil {
		return nil, err
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fault.Permf(edit.Unreadable, "no valid YAML: %s", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, fault.Permf(edit.Declined, "the file holds %d documents", len(f.Docs))
	}
	return f.Docs[0].Body, nil
}

// plainYAML refuses deep nesting by indentation and by dashes before anything recursive reads it.
func plainYAML(src []byte) error {
	dashes, line := 0, 0
	for _, tk := range lexer.Tokenize(string(src)) {
		if tk.Position.Line != line {
			line, dashes = tk.Position.Line, 0
		}
		if tk.Type == token.SequenceEntryType || tk.Type == token.MappingKeyType || tk.Type == token.MappingValueType {
			dashes++
		}
		if dashes > edit.MaxDepth || (dashes > 0 && tk.Position.Column > 2000 && tk.Type == token.MappingValueType) {
			return fault.Permf(edit.Unreadable, "line %d is nested deeper than %d", line, edit.MaxDepth)
		}
	}
	return nil
}

// pairs are a mapping's entries: the parser writes a mapping of one entry in either of two ways.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func yamlChild(n ast.Node, part string) (ast.Node, error) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(seq.Values) {
			return seq.Values[i], nil
		}
		return nil, nil
	}
	var found ast.Node
	values, _ := pairs(n)
	for _, v := range values {
		if v.Key.GetToken().Value != part {
			continue
		}
		if found != nil {
			return nil, fault.Permf(edit.Unreadable, "key %q is there twice", part)
		}
		found = v.Value
	}
	return found, nil
}

// offset is the byte of a token, found by its line and column and checked against the text.
func offset(src []byte, tk *token.Token) (int, bool) {
	at := 0
	for line := 1; line < tk.Position.Line; line++ {
		at = edit.LineStop(src, at)
	}
	for column := 1; column < tk.Position.Column && at < len(src); column++ {
		_, n := utf8.DecodeRune(src[at:])
		at += n
	}
	want := strings.TrimSpace(tk.Origin)
	// The parser counts the blanks that follow a plain scalar into its column.
	for n := 0; n < 100 && at > 0 && src[at-1] != '\n' && !strings.HasPrefix(string(src[at:min(len(src), at+len(want))]), want); n++ {
		at--
	}
	return at, want != "" && strings.HasPrefix(string(src[at:]), want)
}

func setYAML(src []byte, n ast.Node, set edit.Setting) ([]byte, error) {
	tk := n.GetToken()
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
	case *ast.NullNode:
		return nil, fault.Permf(edit.Declined, "%s has no value", strings.Join(set.Key, "."))
	default:
		return nil, notScalar(set)
	}
	at, ok := offset(src, tk)
	have := strings.TrimSpace(tk.Origin)
	if !ok || strings.ContainsAny(have, "\r\n") {
		return nil, notScalar(set)
	}
	if tk.Value == set.Value {
		return src, nil
	}
	text := set.Value
	switch _, isString := n.(*ast.StringNode); {
	case !isString && isText(text):
		return nil, kindDiffers(set, "a number or a boolean")
	case have[0] == '\'':
		text = "'" + strings.ReplaceAll(text, "'", "''") + "'"
	case have[0] == '"' || (isString && !plainText(text)):
		text = doubleQuoted(text)
	}
	return edit.Do(src, edit.Edit{Start: at, End: at + len(have), Text: text})
}

// plainRE is text that needs no quotes in any YAML reader; words that some take for booleans and null need them.
var (
	plainRE   = regexp.MustCompile(`^[A-Za-z/_][A-Za-z0-9 /._+@-]*$`)
	specialRE = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

func plainText(text string) bool {
	return plainRE.MatchString(text) && !specialRE.MatchString(text) && !strings.HasSuffix(text, " ")
}

func doubleQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// addYAML puts a new key behind the last one of a block mapping.
func addYAML(src []byte, n ast.Node, key string, set edit.Setting) ([]byte, error) {
	values, ok := pairs(n)
	if !ok || len(values) == 0 {
		return nil, noSection(set)
	}
	if m, ok := n.(*ast.MappingNode); ok && m.IsFlowStyle {
		return nil, notScalar(set)
	}
	if !plainRE.MatchString(key) || specialRE.MatchString(key) {
		return nil, fault.Permf(edit.Declined, "key %q needs quotes", key)
	}
	first, ok := offset(src, values[0].Key.GetToken())
	lead := string(src[edit.LineStart(src, first):first])
	if !ok || strings.Trim(lead, " -") != "" {
		return nil, notScalar(set)
	}
	text := set.Value
	if isText(text) && !plainText(text) {
		text = doubleQuoted(text)
	}
	// Before the first key: what the last one holds may be of any length.
	if strings.Contains(lead, "-") {
		return nil, notScalar(set)
	}
	line := lead + key + ": " + text
	last := values[len(values)-1]
	if tk := last.Value.GetToken(); isScalar(last.Value) && !strings.ContainsAny(strings.TrimSpace(tk.Origin), "\r\n") {
		return edit.Do(src, edit.After(src, lineAt(src, tk.Position.Line), line))
	}
	at := edit.LineStart(src, first)
	return edit.Do(src, edit.Edit{Start: at, End: at, Text: line + edit.LineEnd(src)})
}

func isScalar(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}

func lineAt(src []byte, line int) int {
	at := 0
	for ; line > 1; line-- {
		at = edit.LineStop(src, at)
	}
	return at
}
