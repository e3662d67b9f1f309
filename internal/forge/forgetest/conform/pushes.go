package conform

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

const diff = "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+two\n"

// pushing is the publisher's git on a scene whose branch is not pushed yet.
type pushing struct {
	*Scene
	push   *gitpush.Pusher
	mirror *gitrepo.Mirror
	dir    string
	commit string
}

func newPushing(t *testing.T, d Driver) *pushing {
	t.Helper()
	p := &pushing{Scene: NewScene(t, d), dir: filepath.Join(t.TempDir(), "mirror")}
	p.Delete(t, p.Branch)
	var err error
	p.push, err = gitpush.New("", nil)
	must(t, err)
	p.mirror, err = p.push.OpenMirror(t.Context(), p.dir, p.Remote(Writer, p.Owner, p.Name))
	must(t, err)
	p.commit, err = p.push.Commit(t.Context(), p.mirror, p.BaseCommit, []byte(diff), gitpush.CommitMeta{
		Message: "Fix", AuthorName: "sre-agent", AuthorEmail: "a@b.invalid", When: time.Unix(1_700_000_000, 0),
	})
	must(t, err)
	return p
}

func (p *pushing) as(t *testing.T, a Access) error {
	t.Helper()
	return p.push.Push(t.Context(), p.mirror, p.Remote(a, p.Owner, p.Name), p.commit, p.Branch, "")
}

func testPushes(t *testing.T, d Driver) {
	t.Run("the branch is not there", func(t *testing.T) {
		p := newPushing(t, d)
		Want{}.Check(t, d, "push", p.as(t, Writer))
		p.stands(t, p.commit)
	})
	t.Run("the branch exists with our commit", func(t *testing.T) {
		p := newPushing(t, d)
		must(t, p.as(t, Writer))
		Want{}.Check(t, d, "push again", p.as(t, Writer))
		p.stands(t, p.commit)
	})
	t.Run("the branch exists with a foreign commit, which is never overwritten", func(t *testing.T) {
		p := newPushing(t, d)
		foreign := p.Push(t, p.Branch, "main", "a.txt", "three\n")
		if err := p.as(t, Writer); !errors.Is(err, gitpush.ErrLease) {
			t.Errorf("push: %v, want ErrLease", err)
		}
		p.stands(t, foreign)
	})
	t.Run("the reply of the push is lost", func(t *testing.T) {
		p := newPushing(t, d)
		if d.Lacks(API) {
			return
		}
		d.SetFault(func(r *http.Request) *forgetest.Fault {
			if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				return &forgetest.Fault{AfterEffect: true, Drop: true}
			}
			return nil
		})
		err := p.as(t, Writer)
		d.SetFault(nil)
		if err == nil {
			t.Error("a push without an answer is no success")
		}
		hides(t, d, "push", err)
		p.stands(t, p.commit)
		Want{}.Check(t, d, "push again", p.as(t, Writer))
	})
	t.Run("a token that may not push", func(t *testing.T) {
		p := newPushing(t, d)
		for _, a := range []Access{Reader, Stranger} {
			if d.Remote(a, p.Owner, p.Name).Token == "" {
				continue
			}
			err := p.as(t, a)
			if err == nil {
				t.Errorf("access %d may push", a)
			}
			hides(t, d, "push", err)
		}
		p.stands(t, "")
	})
}

// stands looks where the branch is, and that no file of the mirror holds a token.
func (p *pushing) stands(t *testing.T, want string) {
	t.Helper()
	if got := p.Head(t, p.Branch); got != want {
		t.Errorf("the branch is at %q, want %q", got, want)
	}
	err := filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range p.Secrets() {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds a token", e.Name())
			}
		}
		return err
	})
	must(t, err)
}
