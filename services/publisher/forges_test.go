package publisher_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/azuretest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/giteatest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// onAnotherForge moves the rig's repository and its publisher to another forge.
func (r *rig) onAnotherForge(name string, h *host.Host, f publisher.Forge) {
	r.t.Helper()
	if err := h.CreateRepository("acme", "hello"); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			r.t.Error(err)
		}
	})
	r.git("push", "-q", strings.Replace(h.URL(), "://", "://x:"+host.WriteToken+"@", 1)+"/acme/hello.git", "HEAD:refs/heads/main")
	r.Target = r.on(f, name, h.URL())
	r.Git.(*publisher.Mirrors).Remote = func(_ context.Context, at origin.Place) (gitrepo.Remote, error) {
		return gitrepo.Remote{URL: at.GitURL, Username: at.User, Token: host.WriteToken}, nil
	}
}

// lostReply is a forge whose answer to the first creation is lost.
type lostReply struct {
	publisher.Forge
	lost bool
}

func (l *lostReply) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	made, err := l.Forge.CreatePullRequest(ctx, owner, name, pr)
	if err == nil && !l.lost {
		l.lost = true
		return forge.PullRequest{}, context.DeadlineExceeded
	}
	return made, err
}

func TestAFixHasOnePullRequestOnEveryForge(t *testing.T) {
	lab, err := gitlabtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	tea, err := giteatest.Start(giteatest.Gitea)
	if err != nil {
		t.Fatal(err)
	}
	jo, err := giteatest.Start(giteatest.Forgejo)
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := bitbuckettest.Start()
	if err != nil {
		t.Fatal(err)
	}
	azure, err := azuretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		host   *host.Host
		client publisher.Forge
	}{
		{origin.GitLab, lab.Host, gitlab.New(lab.APIURL(), host.WriteToken, nil)},
		{origin.Gitea, tea.Host, gitea.New(tea.URL(), host.WriteToken, nil)},
		{origin.Bitbucket, cloud.Host, bitbucket.New(cloud.APIURL(), host.WriteToken, nil)},
		{origin.Azure, azure.Host, azuredevops.New(azure.URL(), host.WriteToken, nil)},
		{origin.Forgejo, jo.Host, gitea.New(jo.URL(), host.WriteToken, nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.onAnotherForge(tt.name, tt.host, &lostReply{Forge: tt.client})
			got := r.publish(r.Service)
			if got.State != string(run.Published) {
				t.Fatalf("the run is %s(%s): %s", got.State, got.Reason, got.Explanation)
			}
			prs, err := tt.client.FindPullRequests(t.Context(), "acme", "hello", publisher.Branch(r.run.Failure, 1))
			if err != nil || len(prs) != 1 || prs[0].State != forge.Open || prs[0].BaseRef != "main" {
				t.Errorf("pull requests %+v, %v: want one, open, against main", prs, err)
			}
			if pub, err := r.st.Publication(t.Context(), r.run.ID); err != nil || pub.PrUrl == nil || *pub.PrUrl != prs[0].URL {
				t.Errorf("the row has %+v, %v, want %s", pub, err, prs[0].URL)
			}
		})
	}
}
