package receipt

import (
	"errors"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/minisign"
)

// MaxComment bounds what a comment is that is looked at.
const MaxComment = 64 << 10

// Signed is a receipt with its signature.
type Signed struct {
	// Text is the canonical form.
	Text []byte
	// Minisig is the content of a .minisig file for it.
	Minisig string
}

// Sign signs a receipt. Who signs the same one again gets the same bytes.
func Sign(r Receipt, key minisign.SecretKey) (Signed, error) {
	text, err := r.Canonical()
	if err != nil {
		return Signed{}, err
	}
	minisig, err := key.Sign(text, "sre-agent receipt of "+r.Diff+" made at "+r.MadeAt)
	return Signed{text, minisig}, err
}

// Comment is how a receipt stands on a pull request. The token is what it is found again by.
func (s Signed) Comment(d markup.Dialect, token string) string {
	return "### Receipt\n\nWhat this pull request is made of, signed. `sre-agent verify` checks it offline, and so does `minisign -V` " +
		"when the two blocks are files.\n\n" + markup.Block("json", string(s.Text)) + "\n" + markup.Block("text", s.Minisig) +
		"\n" + d.Hidden(mark+token)
}

const mark = "receipt="

// Ours says whether a comment is the one with this token.
func Ours(comment, token string) bool {
	text, ok := markup.Find(comment)
	return ok && text == mark+token
}

var blocks = regexp.MustCompile("(?s)`{3,}json\n *(\\{[^\n]*\\})\n`{3,}\n.*?`{3,}text\n(.*?)\n`{3,}\n")

// FromComment reads what Comment wrote.
func FromComment(comment string) (Signed, error) {
	comment = strings.ReplaceAll(comment, "\r\n", "\n") + "\n"
	if len(comment) > MaxComment {
		return Signed{}, errors.New("too long for a comment with a receipt")
	}
	m := blocks.FindStringSubmatch(comment)
	if m == nil {
		return Signed{}, errors.New("no receipt is in it")
	}
	var minisig strings.Builder
	for line := range strings.Lines(m[2] + "\n") {
		minisig.WriteString(strings.TrimLeft(line, " "))
	}
	return Signed{[]byte(m[1]), minisig.String()}, nil
}
