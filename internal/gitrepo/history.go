package gitrepo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Message is a commit with its whole message, which is anybody's text.
type Message struct{ Commit, Text string }

// maxMessages bounds the messages that are read at once, in bytes.
const maxMessages = 8 << 20

// Messages returns the newest commits of a branch with their messages, at most n and without their files. It has the
// mirror know a part of the branch's history, so it wants a mirror that serves nothing else.
func (m *Mirror) Messages(ctx context.Context, branch string, n int) ([]Message, error) {
	if err := CheckBranch(branch); err != nil {
		return nil, err
	}
	unlock, err := m.lock(ctx, true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	depth := strconv.Itoa(n)
	args := append(append([]string{}, fetchFlags...), "--filter=tree:0", "--depth="+depth, "--", "origin", "+refs/heads/"+branch+":refs/history/head")
	if _, err := m.git.Run(ctx, Cmd{GitDir: m.dir, Remote: &m.remote, Args: args}); err != nil {
		return nil, fmt.Errorf("fetch the history of %s: %w", branch, err)
	}
	out, err := m.git.Run(ctx, Cmd{
		GitDir: m.dir, MaxOutput: maxMessages,
		Args: []string{"rev-list", "--no-commit-header", "--format=%H%n%B%x00", "--max-count=" + depth, "refs/history/head"},
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", branch, err)
	}
	var messages []Message
	for part := range strings.SplitSeq(string(out), "\x00") {
		if id, text, ok := strings.Cut(strings.TrimLeft(part, "\n"), "\n"); ok && commitID.MatchString(id) {
			messages = append(messages, Message{Commit: id, Text: text})
		}
	}
	return messages, nil
}
