package gitrepo

import (
	"context"
	"fmt"
)

// Whole makes sure that a commit is here with all of its history, in a repository of its own beside the mirror, and
// returns that one's git directory. It costs a full clone the first time; what has to be pushed to a repository that
// does not know the commit yet, as a fork that lags behind, can't be done for less. The permanent reasons are Fetch's.
func (m *Mirror) Whole(ctx context.Context, commit string) (gitDir string, err error) {
	if err := CheckCommit(commit); err != nil {
		return "", err
	}
	whole, err := m.git.OpenMirror(ctx, m.dir+".whole", m.remote)
	if err != nil {
		return "", err
	}
	unlock, err := whole.lock(ctx, true)
	if err != nil {
		return "", err
	}
	defer unlock()
	args := append(append([]string{}, fetchFlags...), "--no-filter", "--", "origin", "+"+commit+":refs/mirror/"+commit)
	if _, err := m.git.Run(ctx, Cmd{GitDir: whole.dir, Remote: &m.remote, Args: args}); err != nil {
		return "", fmt.Errorf("fetch the history of %s of %s: %w", commit, m.remote.URL, err)
	}
	whole.tidy(ctx)
	return whole.dir, nil
}
