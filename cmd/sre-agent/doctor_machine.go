package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// What is checked on this machine, and on the forge.

func (d *doctor) git(ctx context.Context) {
	git, err := gitrepo.New("", slog.New(slog.DiscardHandler))
	if err != nil {
		d.fail("git", "install git 2.34 or newer (runner and publisher need it)", "%s", err)
		return
	}
	version, _ := git.Run(ctx, gitrepo.Cmd{Args: []string{"version"}}) // it has just said so
	d.ok("git", "%s", strings.TrimSpace(string(version)))
}

func (d *doctor) sandbox(ctx context.Context) {
	_, err := sandbox.New(ctx, sandbox.Options{Backend: d.cfg.SandboxBackend, Image: d.cfg.SandboxImage, Bin: d.cfg.SandboxBin})
	switch {
	case err == nil:
		d.ok("sandbox", "one can be made here")
	case d.cfg.Program() == config.Runner || d.cfg.Program() == config.All:
		d.fail("sandbox", "docs/getting-started.md says what a machine needs for bubblewrap or a container", "%s", err)
	default:
		d.warn("sandbox", "only the runner needs one: check it on the runner's machine", "%s", err)
	}
}

// leastFree is the room that mirrors and work trees may need at once, in bytes.
const leastFree = 2 << 30

func (d *doctor) disk(context.Context) {
	dir, err := filepath.Abs(d.cfg.DataDir)
	if err != nil {
		d.fail("disk", "set DATA_DIR to a folder", "%s", err)
		return
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		dir = filepath.Dir(dir) // it is made at the start
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		d.warn("disk", "set DATA_DIR to a folder on a disk of its own", "%s: %s", dir, err)
		return
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < leastFree {
		d.warn("disk", "make room: mirrors, work trees and caches are below DATA_DIR", "%d MB are free in %s", free>>20, dir)
		return
	}
	d.ok("disk", "there is room in %s", dir)
}

// tokens asks the forge who each token is. That call counts against no limit.
func (d *doctor) tokens(ctx context.Context) {
	asked := false
	for _, t := range []struct {
		name  string
		token config.Secret
		reads bool
	}{{"GITHUB_READ_TOKEN", d.cfg.ReadToken, true}, {"GITHUB_WRITE_TOKEN", d.cfg.WriteToken, false}} {
		if t.token.IsSet() {
			asked = true
			d.token(ctx, t.name, t.token, t.reads)
		}
	}
	if !asked {
		d.skip("tokens", "a forge's token (sre-agent doctor --program runner, or publisher)")
	}
}

func (d *doctor) token(ctx context.Context, name string, token config.Secret, reads bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.cfg.GitHubAPIURL, "/")+"/rate_limit", http.NoBody)
	if err != nil {
		d.fail("tokens", "set GITHUB_API_URL to the forge's address", "%s", err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // the token goes nowhere else
	res, err := client.Do(req)
	if err != nil {
		d.warn("tokens", "see that the forge can be reached from here", "%s was not tried: %s", name, err)
		return
	}
	_ = res.Body.Close()
	scopes := res.Header.Get("X-Oauth-Scopes")
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		d.fail("tokens", "make a new token and set "+name, "the forge does not know %s", name)
	case reads && writes(scopes):
		d.fail("tokens", "use a fine-grained token that may read contents and actions alone", "%s may write: its scopes are %q", name, scopes)
	case scopes != "":
		d.warn("tokens", "use a fine-grained token for the repositories that are meant", "%s is a classic token with the scopes %q", name, scopes)
	default:
		d.ok("tokens", "the forge takes %s", name)
	}
}

// writes says whether a classic token's scopes let it change a repository.
func writes(scopes string) bool {
	return slices.ContainsFunc(strings.Split(scopes, ","), func(s string) bool {
		s = strings.TrimSpace(s)
		return s == "repo" || s == "public_repo" || s == "workflow" || s == "delete_repo"
	})
}
