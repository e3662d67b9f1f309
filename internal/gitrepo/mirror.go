package gitrepo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Mirror is a bare repository, kept warm, that holds the commits which were asked for and nothing of their history.
// Several processes may share one. Its objects are only ever added to.
type Mirror struct {
	git    *Git
	dir    string
	remote Remote
}

const (
	// keptRefs bounds what a fetch offers to the server as known. Objects stay when their ref goes.
	keptRefs = 64
	// maxPacks is when the small packs of many fetches are put together.
	maxPacks  = 60
	batchSize = 10_000
	stampFile = "sre-agent-mirror"
)

// OpenMirror adopts the mirror at dir or makes one. A mirror that is broken, or of another repository, is made anew.
func (g *Git) OpenMirror(ctx context.Context, dir string, remote Remote) (*Mirror, error) {
	if err := remote.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("gitrepo: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("gitrepo: %w", err)
	}
	m := &Mirror{git: g, dir: dir, remote: remote}
	unlock, err := m.lock(ctx, true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m.sweepSpares()
	healthy, err := m.healthy(ctx)
	if err != nil {
		return nil, err
	}
	if !healthy {
		if err := m.reset(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Dir is the mirror's git directory.
func (m *Mirror) Dir() string { return m.dir }

func (m *Mirror) lock(ctx context.Context, exclusive bool) (func(), error) {
	unlock, err := lock(ctx, m.dir+".lock", exclusive)
	if err != nil {
		return nil, fmt.Errorf("gitrepo: mirror: %w", err)
	}
	return unlock, nil
}

func (m *Mirror) stamp() string { return "1 " + m.remote.URL + "\n" }

// healthy says whether the mirror can be used as it is: made by this version for this URL, and each of its commits
// can be read.
func (m *Mirror) healthy(ctx context.Context) (bool, error) {
	if stamp, err := os.ReadFile(filepath.Join(m.dir, stampFile)); err != nil || string(stamp) != m.stamp() {
		return false, nil //nolint:nilerr // a mirror that can't be read is one that is not healthy
	}
	_, err := m.run(ctx, "rev-list", "--no-walk=unsorted", "--all")
	if ctx.Err() != nil {
		return false, fmt.Errorf("gitrepo: %w", context.Cause(ctx))
	}
	return err == nil, nil
}

// reset makes the mirror anew, empty; the caller holds the lock. It is made beside and renamed, so that a crash leaves
// no half of one.
func (m *Mirror) reset() error {
	fresh := m.dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("gitrepo: mirror: %w", err)
	}
	err := makeRepository(fresh, "ref: refs/heads/none\n", map[string]string{
		stampFile: m.stamp(),
		"config":  "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
	})
	if err == nil {
		err = os.Mkdir(filepath.Join(fresh, "complete"), 0o700)
	}
	if err == nil {
		err = os.RemoveAll(m.dir)
	}
	if err == nil {
		err = os.Rename(fresh, m.dir)
	}
	if err != nil {
		return fmt.Errorf("gitrepo: mirror: %w", err)
	}
	return nil
}

// makeRepository writes a git directory by hand: git init would copy templates, and two processes cost more.
func makeRepository(dir, head string, files map[string]string) error {
	for _, sub := range []string{"objects/info", "objects/pack", "refs/heads", "info"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	// Sandboxed code, which is another user, reads the objects, whatever our umask is.
	for _, sub := range []string{"objects", "objects/info", "objects/pack"} {
		if err := os.Chmod(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "info/attributes"), []byte(neutralAttributes), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "HEAD"), []byte(head), 0o644)
}

// run runs a local command on the mirror. It knows of no remote, so a missing object is an error and never a request.
func (m *Mirror) run(ctx context.Context, args ...string) ([]byte, error) {
	return m.git.Run(ctx, Cmd{GitDir: m.dir, Args: args})
}

// BranchHead asks the remote for the commit that a branch is at. No such branch is "branch_not_found".
func (m *Mirror) BranchHead(ctx context.Context, branch string) (string, error) {
	commit, ok, err := m.git.RemoteHead(ctx, m.remote, branch)
	if err == nil && !ok {
		return "", fault.Permf("branch_not_found", "%s has no branch %.200q", m.remote.URL, branch)
	}
	return commit, err
}

// DefaultHead asks the remote for the commit that its default branch is at.
func (m *Mirror) DefaultHead(ctx context.Context) (string, error) {
	out, err := m.git.Run(ctx, Cmd{Remote: &m.remote, Args: []string{"ls-remote", "--quiet", "--", "origin", "HEAD"}})
	if err != nil {
		return "", fmt.Errorf("ask for the default branch: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); name == "HEAD" && commitID.MatchString(id) {
			return id, nil
		}
	}
	return "", fault.Permf("branch_not_found", "%s has no default branch", m.remote.URL)
}

// RemoteHead asks a remote for the commit that a branch is at, and false when there is no such branch.
func (g *Git) RemoteHead(ctx context.Context, remote Remote, branch string) (commit string, ok bool, err error) {
	if err := CheckBranch(branch); err != nil {
		return "", false, err
	}
	ref := "refs/heads/" + branch
	out, err := g.Run(ctx, Cmd{Remote: &remote, Args: []string{"ls-remote", "--quiet", "--heads", "--", "origin", ref}})
	if err != nil {
		return "", false, fmt.Errorf("ask for branch %q: %w", branch, err)
	}
	for line := range strings.Lines(string(out)) {
		// The pattern also matches longer names that end like it.
		if id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); name == ref && commitID.MatchString(id) {
			return id, true, nil
		}
	}
	return "", false, nil
}

// ReadFile reads a regular file of a commit that was fetched, from its objects: a link in the tree is never followed.
// A path that is not there is (nil, false, nil); one that is no regular file is "not_a_file"; more than max bytes is
// "file_too_large".
func (m *Mirror) ReadFile(ctx context.Context, commit, path string, max int64) ([]byte, bool, error) {
	if err := errors.Join(CheckCommit(commit), checkPath(path)); err != nil {
		return nil, false, err
	}
	unlock, err := m.lock(ctx, false)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	out, err := m.run(ctx, "ls-tree", "-z", "--full-tree", commit, "--", path)
	if err != nil {
		return nil, false, fmt.Errorf("read %s of %s: %w", path, commit, err)
	}
	if len(out) == 0 {
		return nil, false, nil
	}
	fields := strings.Fields(string(out[:bytes.IndexByte(append(out, '\t'), '\t')]))
	if len(fields) != 3 || fields[1] != "blob" || fields[0] == "120000" {
		return nil, false, fault.Permf("not_a_file", "%q in %s is not a regular file", path, commit)
	}
	out, err = m.git.Run(ctx, Cmd{GitDir: m.dir, Args: []string{"cat-file", "blob", fields[2]}, MaxOutput: max})
	if errors.Is(err, ErrTooLarge) {
		return nil, false, fault.Permf("file_too_large", "%q in %s has more than %d bytes", path, commit, max)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s of %s: %w", path, commit, err)
	}
	return out, true, nil
}

// tidy drops the refs of old commits and puts small packs together. It is housekeeping: failures are only logged.
func (m *Mirror) tidy(ctx context.Context) {
	out, err := m.refs()
	if err == nil && len(out) > keptRefs {
		var drop bytes.Buffer
		for _, id := range out[:len(out)-keptRefs] {
			fmt.Fprintf(&drop, "delete refs/mirror/%s\n", id)
		}
		_, err = m.git.Run(ctx, Cmd{GitDir: m.dir, Args: []string{"update-ref", "--stdin"}, Stdin: drop.Bytes()})
	}
	if packs, _ := filepath.Glob(filepath.Join(m.dir, "objects/pack/*.pack")); err == nil && len(packs) > maxPacks {
		_, err = m.run(ctx, "repack", "-a", "-d", "-q")
	}
	if err != nil {
		m.git.log.WarnContext(ctx, "tidy mirror", "mirror", m.dir, "error", err)
	}
}

// refs lists the commits that have a ref, oldest fetch first.
func (m *Mirror) refs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(m.dir, "refs/mirror"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	age := map[string]int64{}
	var ids []string
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && commitID.MatchString(entry.Name()) {
			ids = append(ids, entry.Name())
			age[entry.Name()] = info.ModTime().UnixNano()
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(age[a], age[b]) })
	return ids, err
}
