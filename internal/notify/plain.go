package notify

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/markup"
)

const maxText = 1500

// acts is what services act on in a text: mentions, tags, links and commands.
var acts = strings.NewReplacer("<", "‹", ">", "›", "@", "＠", "`", " ", "*", " ", "[", " ", "]", " ", "|", " ")

// plain makes a text that no service takes for more than text: no mention, link, tag or command, nothing that hides or
// turns what follows.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(acts.Replace(markup.Plain(l)), " ")
	}
	return markup.Clip(strings.TrimSpace(strings.Join(lines, "\n")), maxText)
}
