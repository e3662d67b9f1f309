package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/github"
)

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// given is more than any token of ours is to have.
func given() map[string]string {
	return map[string]string{
		"contents": "write", "pull_requests": "write", "checks": "write", "statuses": "write", "actions": "write", "workflows": "write",
		"administration": "write", "metadata": "read",
	}
}

// newApp is an App that acme and robot have installed, with these permissions.
func newApp(t *testing.T, permissions map[string]string, rights github.Rights) (*github.App, *forgetest.Server, *clock) {
	t.Helper()
	c := &clock{at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	s, _ := newForge(t, forgetest.Options{Now: c.now})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.InstallApp(forgetest.App{ID: "7", Key: &key.PublicKey, Owners: []string{"acme", "robot"}, Permissions: permissions})
	if _, err := s.Fork("acme", "shop", "robot"); err != nil {
		t.Fatal(err)
	}
	return github.NewApp(s.APIURL(), "7", key, rights, nil, c.now), s, c
}

func TestAnAppsTokenIsForOneRepositoryAndNoMoreThanItIsFor(t *testing.T) {
	publish := map[string]string{"contents": "write", "pull_requests": "write", "checks": "read", "statuses": "read"}
	propose := maps.Clone(publish)
	propose["contents"] = "read"
	for name, tc := range map[string]struct {
		rights github.Rights
		owner  string
		want   map[string]string
	}{
		"a repository that is pushed to":              {github.ToPublish(""), "acme", publish},
		"one whose fork is pushed to":                 {github.ToPublish("robot"), "acme", propose},
		"the fork":                                    {github.ToPublish("robot"), "Robot", map[string]string{"contents": "write"}},
		"one whose failed jobs are to be run again":   {github.ToRerun, "acme", map[string]string{"actions": "write"}},
		"a fork of the same name, without the option": {github.ToPublish(""), "robot", publish},
	} {
		t.Run(name, func(t *testing.T) {
			app, s, c := newApp(t, given(), tc.rights)
			got, err := app.Token(t.Context(), tc.owner, "shop")
			if err != nil {
				t.Fatal(err)
			}
			want := []forgetest.Grant{{
				Token: got, Owner: strings.ToLower(tc.owner), Repositories: []string{"shop"}, Permissions: tc.want, Expires: c.now().Add(time.Hour),
			}}
			if diff := cmp.Diff(want, s.Grants()); diff != "" {
				t.Errorf("granted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAppsTokenIsReplacedBeforeItsHourEnds(t *testing.T) {
	app, s, c := newApp(t, given(), github.ToPublish(""))
	client := github.NewForApp(s.APIURL(), app, nil)
	for _, step := range []struct {
		passes time.Duration
		tokens int
	}{{0, 1}, {54 * time.Minute, 1}, {2 * time.Minute, 2}, {54 * time.Minute, 2}, {24 * time.Hour, 3}} {
		c.pass(step.passes)
		if _, err := client.BranchHead(t.Context(), "acme", "shop", "main"); err != nil {
			t.Fatal(err)
		}
		if n := len(s.Grants()); n != step.tokens {
			t.Errorf("after %s more: %d tokens were asked for, want %d", step.passes, n, step.tokens)
		}
	}
}

func TestManyWhoWantATokenAskOnce(t *testing.T) {
	app, s, _ := newApp(t, given(), github.ToPublish(""))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := app.Token(t.Context(), "acme", "shop"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(s.Grants()); n != 1 {
		t.Errorf("%d tokens, want 1", n)
	}
}

func TestATokenThatWasTakenAwayIsReplacedOnce(t *testing.T) {
	app, s, _ := newApp(t, given(), github.ToPublish(""))
	client := github.NewForApp(s.APIURL(), app, nil)
	if _, err := client.CreatePullRequest(t.Context(), "acme", "shop", fix()); err != nil {
		t.Fatal(err)
	}
	s.Revoke()
	if err := client.AddLabels(t.Context(), "acme", "shop", 1, []string{"safe"}); err != nil {
		t.Fatal(err)
	}
	if prs := s.PullRequests("acme", "shop"); len(s.Grants()) != 2 || len(prs) != 1 || len(prs[0].Labels) != 1 {
		t.Errorf("%d tokens, %+v", len(s.Grants()), prs)
	}
}

func TestAnAppThatMayNotHasAReason(t *testing.T) {
	less := given()
	delete(less, "pull_requests")
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		permissions         map[string]string
		key                 *rsa.PrivateKey
		owner, name, reason string
	}{
		"it is not installed there":        {given(), nil, "elsewhere", "shop", "repository_not_found"},
		"the repository is not there":      {given(), nil, "acme", "none", "repository_not_found"},
		"it was not given pull requests":   {less, nil, "acme", "shop", "forbidden"},
		"its key is another's":             {given(), stranger, "acme", "shop", "unauthorized"},
		"a name that leaves its place":     {given(), nil, "acme", "..", "invalid_name"},
		"a name that is a path of its own": {given(), nil, "acme", "shop/../../app", "repository_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			app, s, c := newApp(t, tc.permissions, github.ToPublish(""))
			if tc.key != nil {
				app = github.NewApp(s.APIURL(), "7", tc.key, github.ToPublish(""), nil, c.now)
			}
			token, err := app.Token(t.Context(), tc.owner, tc.name)
			if reason, _ := fault.Reason(err); reason != tc.reason || token != "" {
				t.Errorf("%v, want %s", err, tc.reason)
			}
			if err != nil && strings.Contains(err.Error(), "eyJ") {
				t.Errorf("%v shows what the App signed", err)
			}
		})
	}
}
