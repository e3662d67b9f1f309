package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// maxListing bounds the listing of a commit's files, in bytes: some 300,000 paths.
const maxListing = 32 << 20

// Files lists the paths of a fetched commit's regular files. More than 32 MiB of them is "repository_too_large".
func (m *Mirror) Files(ctx context.Context, commit string) ([]string, error) {
	if err := CheckCommit(commit); err != nil {
		return nil, err
	}
	unlock, err := m.lock(ctx, false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out, err := m.git.Run(ctx, Cmd{
		GitDir: m.dir, Args: []string{"ls-tree", "-r", "-z", "--full-tree", commit}, MaxOutput: maxListing,
	})
	if errors.Is(err, ErrTooLarge) {
		return nil, fault.Permf("repository_too_large", "the names of %s's files are more than %d bytes", commit, maxListing)
	}
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", commit, err)
	}
	var files []string
	for entry := range strings.SplitSeq(string(out), "\x00") {
		meta, path, ok := strings.Cut(entry, "\t")
		if ok && strings.HasPrefix(meta, "100") {
			files = append(files, path)
		}
	}
	return files, nil
}

// Lock takes a lock on a file that holds between processes and goes away with its holder: shared, or exclusive.
func Lock(ctx context.Context, path string, exclusive bool) (unlock func(), err error) {
	return lock(ctx, path, exclusive)
}
