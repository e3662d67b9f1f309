package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Fetch makes sure that a commit and all of its files are in the mirror; a commit that is there costs nothing.
//
// Permanent reasons: "repository_not_found", "repository_moved", "unauthorized", "forbidden", "commit_not_found",
// "repository_corrupt".
func (m *Mirror) Fetch(ctx context.Context, commit string) error {
	if err := CheckCommit(commit); err != nil {
		return err
	}
	if m.complete(commit) {
		return nil
	}
	unlock, err := m.lock(ctx, true)
	if err != nil {
		return err
	}
	defer unlock()
	if m.complete(commit) {
		return nil
	}
	if err := m.fetch(ctx, commit, ""); err != nil {
		return fmt.Errorf("fetch %s of %s: %w", commit, m.remote.URL, err)
	}
	if err := m.mark(commit); err != nil {
		return err
	}
	m.tidy(ctx)
	return nil
}

// marker says that a commit is here with all of its files.
func (m *Mirror) marker(commit string) string { return filepath.Join(m.dir, "complete", commit) }

func (m *Mirror) mark(commit string) error {
	if err := os.WriteFile(m.marker(commit), nil, 0o600); err != nil {
		return fmt.Errorf("gitrepo: mirror: %w", err)
	}
	return nil
}

func (m *Mirror) complete(commit string) bool {
	_, err := os.Stat(m.marker(commit))
	return err == nil
}

// fetch gets the first commit whole. Later ones come without file contents, and then just the contents that no
// earlier commit had: that is less than any negotiation about commits could find out, as their history is not here.
// A branch that is not empty is fetched along, to askedRef.
func (m *Mirror) fetch(ctx context.Context, commit, branch string) error {
	known, err := m.refs()
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return m.fetchCommit(ctx, commit, branch, "--no-filter")
	}
	if err := m.fetchCommit(ctx, commit, branch, "--filter=blob:none"); err != nil {
		if !localTrouble(err) {
			return err
		}
		return m.afresh(ctx, commit, branch, err)
	}
	missing, err := m.missing(ctx, commit, branch)
	if err != nil {
		return m.afresh(ctx, commit, branch, err)
	}
	if err := m.fetchBlobs(ctx, missing); err != nil {
		// A server that gives out commits by id, but not files.
		if reason, _ := fault.Reason(err); reason == "commit_not_found" || localTrouble(err) {
			return m.afresh(ctx, commit, branch, err)
		}
		return err
	}
	// Git itself has checked that each object which was asked for came.
	return nil
}

// afresh gives up on what is here and starts over with what is asked for now.
func (m *Mirror) afresh(ctx context.Context, commit, branch string, why error) error {
	if ctx.Err() != nil {
		return why
	}
	m.git.log.WarnContext(ctx, "mirror is made anew", "mirror", m.dir, "why", why)
	if err := m.reset(); err != nil {
		return err
	}
	return m.fetchCommit(ctx, commit, branch, "--no-filter")
}

var fetchFlags = []string{
	"fetch", "--quiet", "--no-tags", "--no-auto-gc", "--no-write-fetch-head", "--no-recurse-submodules", "--no-show-forced-updates",
}

func (m *Mirror) fetchCommit(ctx context.Context, commit, branch, filter string) error {
	args := append(append([]string{}, fetchFlags...), filter, "--depth=1", "--", "origin", "+"+commit+":refs/mirror/"+commit)
	if branch != "" {
		args = append(args, "+"+branch+":"+askedRef)
	}
	_, err := m.git.Run(ctx, Cmd{GitDir: m.dir, Remote: &m.remote, Args: args})
	return err
}

func (m *Mirror) fetchBlobs(ctx context.Context, ids []string) error {
	for len(ids) > 0 {
		n := min(batchSize, len(ids))
		var stdin bytes.Buffer
		for _, id := range ids[:n] {
			stdin.WriteString(id + "\n")
		}
		ids = ids[n:]
		args := append(append([]string{}, fetchFlags...), "--filter=blob:none", "--stdin", "--", "origin")
		_, err := m.git.Run(ctx, Cmd{
			GitDir: m.dir, Remote: &m.remote, Args: args, Stdin: stdin.Bytes(),
			Config: map[string]string{"fetch.negotiationAlgorithm": "noop"},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// missing lists the objects of a commit's tree that are not here, and those of the branch that came along.
func (m *Mirror) missing(ctx context.Context, commit, branch string) ([]string, error) {
	args := []string{"rev-list", "--objects", "--no-object-names", "--missing=print", commit + "^{tree}"}
	if branch != "" {
		args = append(args, askedRef+"^{tree}")
	}
	out, err := m.git.Run(ctx, Cmd{GitDir: m.dir, MaxOutput: 256 << 20, Args: args})
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(string(out)) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "?"); ok && commitID.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// localTrouble says whether a failure is the mirror's own and not the remote's.
func localTrouble(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, text := range []string{
		"is corrupt", "bad object", "unable to read", "missing blob", "missing tree", "did not send all necessary objects",
		"unresolved deltas", "packfile", "shallow file has changed", "bad revision", "loose object", "inflate",
	} {
		if strings.Contains(e.Stderr, text) {
			return true
		}
	}
	return false
}
