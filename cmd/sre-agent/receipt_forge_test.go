package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/azuretest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/giteatest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// publishing is what the publisher does on a forge, as far as a receipt needs it.
type publishing interface {
	CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error)
	Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error)
}

// receiptForge is a double of a forge with an empty repository, and how sre-agent verify is configured for it.
type receiptForge struct {
	name, owner, git string
	environ          map[string]string
	client           publishing
	fault            func(func(*http.Request) *forgetest.Fault)
	violations       func() []string
}

// receiptForges starts one double of each forge. Those that may be below a path are.
func receiptForges(t *testing.T) []receiptForge {
	t.Helper()
	hub, hubErr := forgetest.Start(forgetest.Options{WriteTokens: []string{host.WriteToken}, ReadTokens: []string{host.ReadToken}})
	lab, labErr := gitlabtest.Start()
	tea, teaErr := giteatest.Start(giteatest.Gitea)
	jo, joErr := giteatest.Start(giteatest.Forgejo)
	cloud, cloudErr := bitbuckettest.Start()
	azure, azureErr := azuretest.Start()
	if err := errors.Join(hubErr, labErr, teaErr, joErr, cloudErr, azureErr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(hub.Close(), lab.Stop(), tea.Stop(), jo.Stop(), cloud.Stop(), azure.Stop()); err != nil {
			t.Error(err)
		}
	})
	const token = host.WriteToken
	all := []receiptForge{
		{name: origin.GitLab, owner: "acme/tools", environ: map[string]string{"GITLAB_GIT_URL": lab.URL() + "/", "GITLAB_API_URL": lab.APIURL()}, client: gitlab.New(lab.APIURL(), token, nil)},
		{name: origin.Gitea, owner: "acme", environ: map[string]string{"GITEA_URL": tea.URL()}, client: gitea.New(tea.URL(), token, nil)},
		{name: origin.Forgejo, owner: "acme", environ: map[string]string{"FORGEJO_URL": jo.URL()}, client: gitea.New(jo.URL(), token, nil)},
		{name: origin.Bitbucket, owner: "acme", environ: map[string]string{"BITBUCKET_GIT_URL": cloud.URL(), "BITBUCKET_API_URL": cloud.APIURL()}, client: bitbucket.New(cloud.APIURL(), token, nil)},
		{name: origin.Azure, owner: "web", environ: map[string]string{"AZURE_DEVOPS_URL": azure.URL()}, client: azuredevops.New(azure.URL(), token, nil)},
	}
	for i, h := range []*host.Host{lab.Host, tea.Host, jo.Host, cloud.Host, azure.Host} {
		f := &all[i]
		if err := h.CreateRepository(f.owner, "hello"); err != nil {
			t.Fatal(err)
		}
		f.git, f.fault, f.violations = h.URL()+"/"+f.owner+"/hello.git", h.SetFault, h.Violations
	}
	if _, err := hub.CreateRepo("acme", "hello", "main"); err != nil {
		t.Fatal(err)
	}
	return append(all, receiptForge{
		name: origin.GitHub, owner: "acme", git: hub.URL() + "/acme/hello.git", environ: map[string]string{"GITHUB_GIT_URL": hub.URL(), "GITHUB_API_URL": hub.APIURL()},
		client: github.New(hub.APIURL(), token, nil), fault: hub.SetFault, violations: hub.Violations,
	})
}

// published pushes two branches to a forge and opens their pull requests.
func (f receiptForge) published(t *testing.T) (ours, other forge.PullRequest) {
	t.Helper()
	dir := t.TempDir()
	url := strings.Replace(f.git, "://", "://x:"+host.WriteToken+"@", 1)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"commit", "-q", "--allow-empty", "-m", "first"},
		{"push", "-q", url, "HEAD:refs/heads/main"},
		{"commit", "-q", "--allow-empty", "-m", "second"},
		{"push", "-q", url, "HEAD:refs/heads/sre-agent/fix", "HEAD:refs/heads/sre-agent/other"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
	open := func(branch string) forge.PullRequest {
		pr, err := f.client.CreatePullRequest(t.Context(), f.owner, "hello", forge.NewPullRequest{Title: "Fix", Head: branch, Base: "main", Body: "why"})
		if err != nil {
			t.Fatal(err)
		}
		return pr
	}
	return open("sre-agent/fix"), open("sre-agent/other")
}

func TestAReceiptIsReadFromEveryForge(t *testing.T) {
	t.Parallel()
	key, public := keygen(t)
	stranger, _ := keygen(t)
	token := write(t, "token", host.ReadToken+"\n")
	for _, f := range receiptForges(t) {
		t.Run(f.name, func(t *testing.T) {
			ours, other := f.published(t)
			say := func(k minisign.SecretKey, about forge.PullRequest) {
				t.Helper()
				text := signedReceipt(t, k, about.URL).Comment(markup.Of(f.name), "0123")
				if _, err := f.client.Comment(t.Context(), f.owner, "hello", ours.Number, text); err != nil {
					t.Fatal(err)
				}
			}
			verify := func(args ...string) outcome {
				return sreAgent(t, f.environ, append([]string{"verify", ours.URL, "--public-key", public, "--token-file", token}, args...)...)
			}
			verify().want(t, 1, "", "none of the 0 comments has a receipt")
			say(stranger, ours)
			verify().want(t, 1, "FAILED  signature", "does not hold")
			say(key, other)
			verify().want(t, 1, "FAILED  pull request", "does not hold")
			say(key, ours)
			verify().want(t, 0, "the receipt is for this pull request", "")
			verify("--diff", write(t, "a.diff", severalTwo)).want(t, 1, "FAILED  diff", "does not hold")
			sreAgent(t, f.environ, "verify", ours.URL, "--public-key", public).want(t, 1, "", "sre-agent: ") // GitHub says 404 to whom it does not know, others 401
			f.sentElsewhere(t, ours, func() outcome { return verify() })
			if v := f.violations(); len(v) > 0 {
				t.Errorf("the forge's contract does not know: %q", v)
			}
		})
	}
}

// sentElsewhere has the forge redirect to another host, and asks about addresses that are not the forge's: the token
// stays at home.
func (f receiptForge) sentElsewhere(t *testing.T, pr forge.PullRequest, verify func() outcome) {
	t.Helper()
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "" || r.URL.User != nil {
			t.Errorf("the token was sent to another host: %q", r.Header)
		}
		http.NotFound(w, r)
	}))
	defer elsewhere.Close()
	requests := 0
	f.fault(func(*http.Request) *forgetest.Fault {
		requests++
		return &forgetest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {elsewhere.URL + "/x"}}}
	})
	defer f.fault(nil)
	if got := verify(); got.code != 1 || requests == 0 {
		t.Errorf("redirected: %+v after %d requests", got, requests)
	}
	asked, requests = 0, 0
	_, path, _ := strings.Cut(strings.TrimPrefix(pr.URL, "http://"), "/")
	_, public := keygen(t)
	for _, address := range []string{
		elsewhere.URL + "/" + path, strings.Replace(pr.URL, "http://", "https://", 1), pr.URL + "/files", strings.Replace(pr.URL, "://", "://evil.", 1),
	} {
		sreAgent(t, f.environ, "verify", address, "--public-key", public, "--token-file", write(t, "token", host.WriteToken)).want(t, 2, "", "no pull request's page")
	}
	if asked+requests != 0 {
		t.Errorf("%d requests to another host and %d to the forge were made", asked, requests)
	}
}
