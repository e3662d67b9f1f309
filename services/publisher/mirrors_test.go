package publisher

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

func TestAMirrorIsLookedAtAgainWhenAnythingFails(t *testing.T) {
	git, err := gitrepo.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, remote := t.TempDir()+"/mirror", gitrepo.Remote{URL: "https://forge.example.com/a.git", Token: "one"}
	mirror, err := git.OpenMirror(t.Context(), dir, remote)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var o openMirrors
		looked := 0
		open := func(r gitrepo.Remote) {
			t.Helper()
			if _, err := o.open(dir, r, func(string) (*gitrepo.Mirror, error) { looked++; return mirror, nil }); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, want int) {
			t.Helper()
			if looked != want {
				t.Errorf("%s: it was looked at %d times, want %d", what, looked, want)
			}
		}
		open(remote)
		open(remote)
		if err := o.used(mirror, nil); err != nil {
			t.Error(err)
		}
		open(remote)
		expect("used again at once", 1)
		failed := errors.New("failed")
		if err := o.used(mirror, failed); !errors.Is(err, failed) {
			t.Errorf("the error became %v", err)
		}
		open(remote)
		expect("after a failure", 2)
		renewed := remote
		renewed.Token = "two"
		open(renewed)
		expect("with another token", 3)
		<-time.After(openFor)
		open(renewed)
		expect("a while later", 4)
	})
}
