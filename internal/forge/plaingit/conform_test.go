package plaingit_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/plaingit"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

const (
	writeToken = "the-write-token-of-a-robot"
	readToken  = "the-read-token-of-a-reader"
)

// driver is a git server, a folder, and the people who look into it.
type driver struct {
	*forgetest.Server
	folder string
	t      *testing.T
	opened map[int]string // by whom, when it was not by us
}

// Lacks: what only a forge has; and a patch that a person closed is not written again.
func (driver) Lacks(f conform.Feature) bool {
	switch f {
	case conform.PullStates:
		return false
	case conform.API, conform.Repeats, conform.MergeCommit, conform.Drafts, conform.Labels, conform.Comments, conform.Files, conform.Hunks, conform.Conflicts,
		conform.Permissions, conform.Checks, conform.Archives, conform.Forks, conform.EmptyPulls, conform.LateHeads:
	}
	return true
}

func (d driver) Client(conform.Access) conform.Client {
	return signed{plaingit.New(d.folder, d, nil), d.opened}
}

// signed says who opened a patch, which the folder does not: everything in it is ours.
type signed struct {
	*plaingit.Client
	opened map[int]string
}

func (s signed) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	open, err := s.Client.OpenPullRequests(ctx, owner, name)
	for i := range open {
		if who := s.opened[open[i].Number]; who != "" {
			open[i].Author = who
		}
	}
	return open, err
}

func (d driver) Remote(a conform.Access, owner, name string) gitrepo.Remote {
	token := map[conform.Access]string{conform.Writer: writeToken, conform.Reader: readToken, conform.Stranger: "a-stranger"}[a]
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/" + name + ".git", Token: token}
}

func (driver) Secrets() []string { return []string{writeToken} }

func (d driver) SetFault(f func(*http.Request) *forgetest.Fault) { d.Server.SetFault(f) }

func (driver) Answer(conform.Kind) *forgetest.Fault { return nil }

func (d driver) NewRepository(name string) (string, error) {
	_, err := d.CreateRepo("acme", name, "main")
	return "acme", err
}

// BranchHead implements plaingit.Source.
func (d driver) BranchHead(_ context.Context, owner, name, branch string) (string, error) {
	sha, err := d.Server.BranchHead(owner, name, branch)
	if err == nil && sha == "" {
		err = fmt.Errorf("%s: %w", branch, forge.ErrNoBranch)
	}
	return sha, err
}

// Patch implements plaingit.Source with a clone of its own.
func (d driver) Patch(ctx context.Context, owner, name, branch string) (commit string, patch []byte, err error) {
	if commit, err = d.BranchHead(ctx, owner, name, branch); err != nil {
		return "", nil, err
	}
	dir := d.t.TempDir()
	url := strings.Replace(d.Remote(conform.Reader, owner, name).URL, "://", "://x:"+readToken+"@", 1)
	if out, err := exec.CommandContext(ctx, "git", "clone", "--quiet", "--bare", url, dir).CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, out)
	}
	patch, err = exec.CommandContext(ctx, "git", "-C", dir, "format-patch", "--stdout", "-1", commit).Output()
	return commit, patch, err
}

func (d driver) file(owner, name string, number int) string {
	return filepath.Join(d.folder, owner, name, strconv.Itoa(number)+".patch")
}

// Seen reads what a person reads: the patches themselves.
func (d driver) Seen(owner, name string) (out []conform.Seen, err error) {
	var prs []forge.PullRequest
	for _, branch := range []string{conform.Branch, "second", "closed"} {
		found, err := plaingit.New(d.folder, d, nil).FindPullRequests(d.t.Context(), owner, name, branch)
		if err != nil {
			return nil, err
		}
		prs = append(prs, found...)
	}
	for _, pr := range prs {
		raw, rerr := os.ReadFile(strings.TrimPrefix(pr.URL, "file://"))
		if rerr != nil {
			return nil, rerr
		}
		var why []string
		for line := range strings.Lines(string(raw)) {
			if text, ok := strings.CutPrefix(line, "|"); ok {
				why = append(why, strings.TrimPrefix(strings.TrimRight(text, "\n"), " "))
			}
		}
		one := conform.Seen{PullRequest: pr}
		if len(why) > 2 {
			one.Title, one.Body = why[0], strings.Join(why[2:], "\n")
		}
		out = append(out, one)
	}
	return out, err
}

func (driver) Fork(_, _, _ string) (forkOwner, forkName string, err error) {
	return "", "", forge.ErrUnsupported
}

func (d driver) Open(owner, name, login string, pr forge.NewPullRequest) error {
	made, err := plaingit.New(d.folder, d, nil).CreatePullRequest(d.t.Context(), owner, name, pr)
	d.opened[made.Number] = login
	return err
}

func (driver) Comment(_, _ string, _ int, _, _ string) error { return forge.ErrUnsupported }

func (d driver) rename(owner, name string, number int, from, to string) error {
	file := d.file(owner, name, number)
	return os.Rename(file+from, file+to)
}

func (d driver) Close(owner, name string, number int) error {
	return d.rename(owner, name, number, "", ".closed")
}

func (d driver) Reopen(owner, name string, number int) error {
	return d.rename(owner, name, number, ".closed", "")
}

func (d driver) Merge(owner, name string, number int) error {
	return d.rename(owner, name, number, "", ".applied")
}

func (driver) Archive(_, _ string) error { return forge.ErrUnsupported }

func (driver) SetPermission(_, _, _ string, _ forge.Permission) error { return forge.ErrUnsupported }

func (driver) Report(_, _, _, _ string, _ forge.Checks) error { return forge.ErrUnsupported }

func TestPlainGitConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver {
		s, err := forgetest.Start(forgetest.Options{WriteTokens: []string{writeToken}, ReadTokens: []string{readToken}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return driver{s, t.TempDir(), t, map[int]string{}}
	})
}
