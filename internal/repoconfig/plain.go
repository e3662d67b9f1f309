package repoconfig

import (
	"fmt"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

const (
	maxNesting = 8
	maxColumn  = 200
)

// plain refuses, before anything is parsed, what a settings file doesn't need and a hostile one uses: anchors and
// aliases (which multiply), tags, directives, complex keys, and nesting deeper than any setting.
func plain(data []byte) error {
	depth, entries, line := 0, 0, 0
	for _, tk := range lexer.Tokenize(string(data)) {
		at := tk.Position.Line
		if at != line {
			line, entries = at, 0
		}
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType, token.MappingKeyType:
			return fmt.Errorf("%s, line %d: anchors, aliases, tags and complex keys are not allowed: write the value out", Path, at)
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		case token.InvalidType:
			return fmt.Errorf("%s, line %d: no valid YAML: correct it", Path, at)
		}
		if depth > maxNesting || entries > maxNesting || (tk.Type != token.CommentType && tk.Type == token.MappingValueType && tk.Position.Column > maxColumn) {
			return fmt.Errorf("%s, line %d: nested too deep: no setting needs it", Path, at)
		}
	}
	return nil
}
