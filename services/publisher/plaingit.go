package publisher

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/plaingit"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// Patches knows the repositories of a git server that is no forge, by the mirrors that fixes are made in.
type Patches struct {
	Mirrors *Mirrors
	Forge   origin.Forge
}

// Patch implements plaingit.Source. The commit was made in the mirror in this very try.
func (p Patches) Patch(ctx context.Context, owner, name, branch string) (commit string, patch []byte, err error) {
	at := p.Forge.Place(owner, name)
	commit, err = p.BranchHead(ctx, owner, name, branch)
	if err != nil {
		return "", nil, err
	}
	mirror, err := p.Mirrors.open(ctx, at)
	if err != nil {
		return "", nil, err
	}
	patch, err = p.Mirrors.Push.FormatPatch(ctx, mirror, commit)
	return commit, patch, err
}

// BranchHead implements plaingit.Source.
func (p Patches) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	commit, there, err := p.Mirrors.RemoteHead(ctx, p.Forge.Place(owner, name), branch)
	if err == nil && !there {
		err = fmt.Errorf("%s: %w", branch, forge.ErrNoBranch)
	}
	return commit, err
}

// AddPlainGit lets patches be written for the repositories of a git server that is no forge, if one is configured.
func AddPlainGit(writers map[string]Writer, c *config.Config, mirrors *Mirrors) {
	if c.PlainGitURL == "" || !c.PlainGitWriteToken.IsSet() {
		return
	}
	source := Patches{Mirrors: mirrors, Forge: origin.Forge{Name: origin.PlainGit, Base: c.PlainGitURL, User: c.PlainGitUser}}
	var mail plaingit.Sender
	if c.PlainGitMailTo != "" {
		mail = &plaingit.Mail{Server: c.SMTPAddress, From: c.AgentEmail, To: c.PlainGitMailTo, User: c.SMTPUser, Password: c.SMTPPassword.Reveal()}
	}
	writers[origin.PlainGit] = Writer{Token: c.PlainGitWriteToken, Forge: plaingit.New(c.PlainGitPatchDir, source, mail)}
}
