package gitpush

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// CommitMeta is what goes into a commit beside its files. When counts in whole seconds.
type CommitMeta struct {
	Message, AuthorName, AuthorEmail string
	// CommitterName and CommitterEmail are the author's where they are empty.
	CommitterName, CommitterEmail string
	When                          time.Time
	// SignOff adds the author's Signed-off-by line (developercertificate.org).
	SignOff bool
	// Signer signs the commit; nil leaves it unsigned.
	Signer *Signer
}

func (m CommitMeta) env() (map[string]string, error) {
	if strings.TrimSpace(m.Message) == "" || strings.ContainsRune(m.Message, 0) {
		return nil, errors.New("the message is empty or has a zero byte")
	}
	if m.CommitterName == "" {
		m.CommitterName = m.AuthorName
	}
	if m.CommitterEmail == "" {
		m.CommitterEmail = m.AuthorEmail
	}
	for _, s := range []string{m.AuthorName, m.AuthorEmail, m.CommitterName, m.CommitterEmail} {
		if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "<>\n\r\x00") {
			return nil, fmt.Errorf("%q is no author", s)
		}
	}
	if m.When.Unix() < 0 {
		return nil, errors.New("the time is before 1970")
	}
	when := "@" + strconv.FormatInt(m.When.Unix(), 10) + " +0000"
	return map[string]string{
		"GIT_AUTHOR_NAME": m.AuthorName, "GIT_AUTHOR_EMAIL": m.AuthorEmail, "GIT_AUTHOR_DATE": when,
		"GIT_COMMITTER_NAME": m.CommitterName, "GIT_COMMITTER_EMAIL": m.CommitterEmail, "GIT_COMMITTER_DATE": when,
	}, nil
}

var trailers = regexp.MustCompile(`\n\n([A-Za-z-]+: [^\n]*\n)+$`)

// text is the message with its sign-off, which joins the trailers that are there.
func (m CommitMeta) text() string {
	if !m.SignOff {
		return m.Message
	}
	line := "Signed-off-by: " + m.AuthorName + " <" + m.AuthorEmail + ">\n"
	text := strings.TrimRight(m.Message, "\n") + "\n"
	if strings.HasSuffix(text, "\n"+line) {
		return text
	}
	if !trailers.MatchString(text) {
		text += "\n"
	}
	return text + line
}
