package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// FetchHead asks the remote for the commit that a branch is at, or its default branch for "", and makes sure that this
// one and another commit are in the mirror. While the other one is not, all of that is one conversation instead of three.
// The permanent reasons are those of BranchHead and Fetch; a commit that is not there is left to Fetch.
func (m *Mirror) FetchHead(ctx context.Context, branch, commit string) (head string, err error) {
	if err := CheckCommit(commit); err != nil {
		return "", err
	}
	if !m.complete(commit) {
		head, err := m.fetchBoth(ctx, branch, commit)
		if _, permanent := fault.Reason(err); err == nil || !permanent {
			return head, err
		}
		// One of the two is not to be had, and the answer is about the branch alone.
	}
	if branch == "" {
		head, err = m.DefaultHead(ctx)
	} else {
		head, err = m.BranchHead(ctx, branch)
	}
	if err != nil {
		return "", err
	}
	return head, m.Fetch(ctx, head)
}

// askedRef is where the branch of the last FetchHead was.
const askedRef = "refs/asked/head"

// fetchBoth fetches a commit and a branch's head at once.
func (m *Mirror) fetchBoth(ctx context.Context, branch, commit string) (head string, err error) {
	source := "HEAD"
	if branch != "" {
		if err := CheckBranch(branch); err != nil {
			return "", err
		}
		source = "refs/heads/" + branch
	}
	unlock, err := m.lock(ctx, true)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := m.fetch(ctx, commit, source); err != nil {
		return "", fmt.Errorf("fetch %s and %s of %s: %w", source, commit, m.remote.URL, err)
	}
	text, err := os.ReadFile(filepath.Join(m.dir, askedRef))
	if head = strings.TrimSpace(string(text)); err != nil || !commitID.MatchString(head) {
		return "", fmt.Errorf("gitrepo: mirror: no commit came for %s: %w", source, err)
	}
	// A ref of its own, as every commit here has; git would take another process for it.
	if err := os.WriteFile(filepath.Join(m.dir, "refs/mirror", head), []byte(head+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("gitrepo: mirror: %w", err)
	}
	if err := errors.Join(m.mark(commit), m.mark(head)); err != nil {
		return "", err
	}
	m.tidy(ctx)
	return head, nil
}
