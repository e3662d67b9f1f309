package markup

import (
	"regexp"
	"strings"
)

// Dialect is how a forge reads what is written in a pull request.
type Dialect struct {
	// MaxBody is how many characters a pull request's text may have.
	MaxBody int
	// MaxComment is how many a comment may have.
	MaxComment int
	// Comments says that an HTML comment is not shown. Where it is, a definition that nothing refers to is hidden instead.
	comments bool
}

// Of returns the dialect of a forge, by the name that internal/origin has for it. One that is unknown gets what is the
// safest everywhere.
//
// The limits are those that the forges answer with when they are passed: GitHub's and Azure's are in their refusals
// ("maximum is 65536 characters", "must not be longer than 4000 characters", of comments 150,000), GitLab's in its API
// reference (1,048,576; of comments 1,000,000). Bitbucket Cloud publishes none and its comments end at 32,768; Gitea and
// Forgejo have none, and get GitHub's.
func Of(forge string) Dialect {
	switch forge {
	case "github", "gitea", "forgejo":
		return Dialect{MaxBody: 65_536, MaxComment: 65_536, comments: true}
	case "gitlab":
		return Dialect{MaxBody: 1_048_576, MaxComment: 1_000_000, comments: true}
	case "bitbucket":
		return Dialect{MaxBody: 32_768, MaxComment: 32_768} // it shows HTML as text
	case "azure-devops":
		return Dialect{MaxBody: 4000, MaxComment: 150_000}
	default:
		return Dialect{MaxBody: 4000, MaxComment: 4000}
	}
}

// Hidden writes a text that no reader sees and Find finds again. The text is of one line.
func (d Dialect) Hidden(text string) string {
	clean := hideable.Replace(Plain(text))
	if d.comments {
		return "<!-- sre-agent " + clean + " -->\n"
	}
	return "\n[//]: # (sre-agent " + clean + ")\n"
}

// hideable keeps a text from ending a comment or a definition, and in one piece.
var hideable = strings.NewReplacer("--", "- - ", ">", "", "<", "", "(", "", ")", "", "\\", "", "\"", "")

var hidden = regexp.MustCompile(`(?m)^(?:<!-- sre-agent (.*) -->|\[//\]: # \(sre-agent (.*)\))\r?$`)

// Find returns the last hidden text of a body, in whatever dialect that was written. What came from outside can't pass
// for one: it never begins a line by itself.
func Find(body string) (text string, ok bool) {
	all := hidden.FindAllStringSubmatch(body, -1)
	if len(all) == 0 {
		return "", false
	}
	last := all[len(all)-1]
	return last[1] + last[2], true
}
