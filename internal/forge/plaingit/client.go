// Package plaingit is the forge of those who have none: in place of a pull request it writes a patch for git am to a
// folder, and sends it to an address if there is one.
//
// It promises that a patch is there whole or not at all, that the same branch, base and commit are one file whoever
// writes it again, and that a file is never written over. A person answers by renaming it: NUMBER.patch.applied counts
// as merged, NUMBER.patch.closed as closed. The mail goes out before the file is there: what was sent and not written is
// sent again, under the same Message-ID. What only a forge has is forge.ErrUnsupported.
package plaingit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
)

const (
	headHeader = "X-Sre-Agent-Head: "
	baseHeader = "X-Sre-Agent-Base: "
	applied    = ".applied"
	closed     = ".closed"
	maxFile    = 16 << 20
)

// Source knows the repositories behind the patches.
type Source interface {
	// Patch returns the commit that a branch was pushed at, and that commit in mail format.
	Patch(ctx context.Context, owner, name, branch string) (commit string, patch []byte, err error)
	// BranchHead returns a branch's commit, or forge.ErrNoBranch.
	BranchHead(ctx context.Context, owner, name, branch string) (string, error)
}

// Sender sends a patch to people.
type Sender interface {
	// Send sends a patch in mail format, whole or not at all as far as it can tell; id is the same for the same patch.
	Send(ctx context.Context, id string, patch []byte) error
}

// Client writes below one folder.
type Client struct {
	dir    string
	source Source
	mail   Sender
}

// New returns a client that keeps each repository's patches in a folder of its own below dir. A nil mail sends nothing.
func New(dir string, source Source, mail Sender) *Client {
	return &Client{dir: dir, source: source, mail: mail}
}

func (c *Client) folder(owner, name string) (string, error) {
	for _, s := range []string{owner, name} {
		if s == "" || s == "." || s == ".." {
			return "", fault.Permf("invalid_name", "%q can't be part of a path", s)
		}
	}
	return filepath.Join(c.dir, url.PathEscape(owner), url.PathEscape(name)), nil
}

// number is one for each branch, base and commit, so that two writers of the same meet at one file.
func number(head, base, commit string) int {
	sum := sha256.Sum256([]byte(head + "\x00" + base + "\x00" + commit))
	return int(binary.BigEndian.Uint32(sum[:])>>1) + 1
}

// CreatePullRequest writes the patch. It returns forge.ErrExists when an open one for the branch and base is there, and
// also when this very one is there in any state: what a person closed is not written again.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	if pr.HeadOwner != "" {
		return forge.PullRequest{}, fmt.Errorf("write patch from a fork: %w", forge.ErrUnsupported)
	}
	there, err := c.all(owner, name)
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("write patch: %w", err)
	}
	if _, err := c.source.BranchHead(ctx, owner, name, pr.Base); err != nil {
		if errors.Is(err, forge.ErrNoBranch) {
			err = fault.Perm("base_branch_missing", err)
		}
		return forge.PullRequest{}, fmt.Errorf("write patch for %s: %w", pr.Head, err)
	}
	commit, patch, err := c.source.Patch(ctx, owner, name, pr.Head)
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("write patch for %s: %w", pr.Head, err)
	}
	n := number(pr.Head, pr.Base, commit)
	for _, old := range there {
		if old.Number == n || (old.State == forge.Open && old.HeadRef == pr.Head && old.BaseRef == pr.Base) {
			return forge.PullRequest{}, fmt.Errorf("write patch for %s: %w", pr.Head, forge.ErrExists)
		}
	}
	first, rest, ok := bytes.Cut(explained(patch, pr), []byte("\n"))
	if !ok || !bytes.HasPrefix(first, []byte("From "+commit+" ")) {
		return forge.PullRequest{}, fault.Permf("pull_request_rejected", "write patch for %s: it is not in mail format", pr.Head)
	}
	if c.mail != nil {
		if err := c.mail.Send(ctx, fmt.Sprintf("%d.%s", n, commit), rest); err != nil {
			return forge.PullRequest{}, fmt.Errorf("send patch for %s: %w", pr.Head, err)
		}
	}
	// Escaped, a branch's name is no more than one header.
	text := fmt.Sprintf("%s\n%s%s\n%s%s\n%s", first, headHeader, url.QueryEscape(pr.Head), baseHeader, url.QueryEscape(pr.Base), rest)
	if err := c.place(owner, name, n, []byte(text)); err != nil {
		return forge.PullRequest{}, fmt.Errorf("write patch for %s: %w", pr.Head, err)
	}
	return c.PullRequest(ctx, owner, name, n)
}

// explained says why between the message and the changes, where git am reads over it. Each line has a mark, as one that
// begins like a change would be taken for one.
func explained(patch []byte, pr forge.NewPullRequest) []byte {
	head, changes, ok := bytes.Cut(patch, []byte("\n---\n"))
	if !ok {
		return patch
	}
	var why strings.Builder
	for line := range strings.Lines(pr.Title + "\n\n" + pr.Body) {
		why.WriteString(strings.TrimRight("| "+strings.TrimRight(line, "\r\n"), " ") + "\n")
	}
	return []byte(string(head) + "\n---\n" + strings.ReplaceAll(why.String(), "\x00", "") + "\n" + string(changes))
}

// place puts a whole file under its name, or nothing: a process that dies before the link leaves a hidden file that
// counts for nothing, and after it the patch is there and found again.
func (c *Client) place(owner, name string, n int, text []byte) error {
	dir, err := c.folder(owner, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	err = os.Link(tmp.Name(), filepath.Join(dir, strconv.Itoa(n)+".patch"))
	if errors.Is(err, fs.ErrExist) {
		return forge.ErrExists
	}
	return err
}

// all reads the repository's patches, newest first.
func (c *Client) all(owner, name string) ([]forge.PullRequest, error) {
	dir, err := c.folder(owner, name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []forge.PullRequest
	times := map[int]int64{}
	for _, e := range entries {
		pr, ok := read(dir, e)
		if info, err := e.Info(); ok && err == nil {
			times[pr.Number] = info.ModTime().UnixNano()
			out = append(out, pr)
		}
	}
	slices.SortStableFunc(out, func(a, b forge.PullRequest) int { return int(min(1, max(-1, times[b.Number]-times[a.Number]))) })
	return out, nil
}

func read(dir string, e fs.DirEntry) (forge.PullRequest, bool) {
	digits, suffix, ok := strings.Cut(e.Name(), ".patch")
	n, err := strconv.Atoi(digits)
	info, infoErr := e.Info()
	if !ok || err != nil || infoErr != nil || !info.Mode().IsRegular() || info.Size() > maxFile || (suffix != "" && suffix != applied && suffix != closed) {
		return forge.PullRequest{}, false
	}
	path := filepath.Join(dir, e.Name())
	raw, err := os.ReadFile(path)
	lines := strings.SplitN(string(raw), "\n", 4)
	if err != nil || len(lines) < 4 || !strings.HasPrefix(lines[0], "From ") {
		return forge.PullRequest{}, false
	}
	head, headErr := url.QueryUnescape(strings.TrimPrefix(lines[1], headHeader))
	base, baseErr := url.QueryUnescape(strings.TrimPrefix(lines[2], baseHeader))
	if headErr != nil || baseErr != nil || len(strings.Fields(lines[0])) < 2 {
		return forge.PullRequest{}, false
	}
	pr := forge.PullRequest{
		Number: n, URL: (&url.URL{Scheme: "file", Path: path}).String(), State: forge.Open, Merged: suffix == applied,
		HeadRef: head, BaseRef: base, HeadSHA: strings.Fields(lines[0])[1], Author: forge.OwnCheck,
	}
	if suffix != "" {
		pr.State = forge.Closed
	}
	return pr, true
}

// FindPullRequests lists the patches of a branch in every state.
func (c *Client) FindPullRequests(_ context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	return c.only(owner, name, func(pr forge.PullRequest) bool { return pr.HeadRef == branch })
}

// OpenPullRequests lists the patches that nobody has answered.
func (c *Client) OpenPullRequests(_ context.Context, owner, name string) ([]forge.PullRequest, error) {
	return c.only(owner, name, func(pr forge.PullRequest) bool { return pr.State == forge.Open })
}

// PullRequest reads one patch, or returns forge.ErrNoPullRequest.
func (c *Client) PullRequest(_ context.Context, owner, name string, number int) (forge.PullRequest, error) {
	found, err := c.only(owner, name, func(pr forge.PullRequest) bool { return pr.Number == number })
	if err != nil {
		return forge.PullRequest{}, err
	}
	if len(found) == 0 {
		return forge.PullRequest{}, fmt.Errorf("read patch %d: %w", number, forge.ErrNoPullRequest)
	}
	return found[0], nil
}

func (c *Client) only(owner, name string, wanted func(forge.PullRequest) bool) ([]forge.PullRequest, error) {
	found, err := c.all(owner, name)
	if err != nil {
		return nil, fmt.Errorf("list patches: %w", err)
	}
	return slices.DeleteFunc(found, func(pr forge.PullRequest) bool { return !wanted(pr) }), nil
}

// ClosePullRequest marks a patch as closed; one that was answered already is a success.
func (c *Client) ClosePullRequest(ctx context.Context, owner, name string, number int) error {
	pr, err := c.PullRequest(ctx, owner, name, number)
	if err != nil || pr.State == forge.Closed {
		return err
	}
	dir, err := c.folder(owner, name)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, strconv.Itoa(number)+".patch")
	return os.Rename(file, file+closed)
}

// BranchHead returns a branch's commit, or forge.ErrNoBranch.
func (c *Client) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	return c.source.BranchHead(ctx, owner, name, branch)
}
