package gitpush

import (
	"context"
	"fmt"
	"regexp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// unsafeLine is a line of a message that git am would take for the end of the message or for a patch.
// The headers before it have no such line.
var unsafeLine = regexp.MustCompile(`(?m)^(---|diff -|Index: |From )`)

// FormatPatch writes a commit that Commit made in mail format, for git am. The same commit gives the same bytes. A
// message that git am would read as something else is "bad_commit_metadata".
func (p *Pusher) FormatPatch(ctx context.Context, mirror *gitrepo.Mirror, commit string) ([]byte, error) {
	if err := gitrepo.CheckCommit(commit); err != nil {
		return nil, err
	}
	message, err := p.git.Run(ctx, gitrepo.Cmd{GitDir: mirror.Dir(), Args: []string{"cat-file", "commit", commit}})
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", commit, err)
	}
	if unsafeLine.Match(message) {
		return nil, fault.Permf("bad_commit_metadata", "format %s: a line of its message would end it for git am", commit)
	}
	out, err := p.git.Run(ctx, gitrepo.Cmd{GitDir: mirror.Dir(), Args: []string{
		"format-patch", "--stdout", "--no-signature", "--no-attach", "--no-thread", "--no-renames", "--binary", "--full-index", "-1", commit, "--",
	}})
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", commit, err)
	}
	return out, nil
}
