package publisher_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/azuretest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/giteatest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// forgeCase is what a forge answers, once, to the creation of a pull request, and what becomes of the run.
type forgeCase struct {
	name          string
	fault         forgetest.Fault
	state, reason string
}

func forgeCases() []forgeCase {
	said := `{"message":"no"}`
	after := http.Header{"Retry-After": {"1"}}
	return []forgeCase{
		{"created", forgetest.Fault{}, "published", ""},
		{"401", forgetest.Fault{Status: 401, Body: said}, "blocked", "unauthorized"},
		{"403", forgetest.Fault{Status: 403, Body: said}, "blocked", "forbidden"},
		{"409", forgetest.Fault{Status: 409, Body: said}, "blocked", "pull_request_rejected"},
		{"422", forgetest.Fault{Status: 422, Body: said}, "blocked", "pull_request_rejected"},
		{"429 with a time", forgetest.Fault{Status: 429, Header: after, Body: said}, "published", ""},
		{"429 without one", forgetest.Fault{Status: 429, Body: said}, "published", ""},
		{"403 of a limit with a time", forgetest.Fault{Status: 403, Header: after, Body: said}, "published", ""},
		{"500", forgetest.Fault{Status: 500}, "published", ""},
		{"500 after the effect", forgetest.Fault{Status: 500, AfterEffect: true}, "published", ""},
		{"no answer after the effect", forgetest.Fault{Drop: true, AfterEffect: true}, "published", ""},
		{"sent to another host", forgetest.Fault{Status: 307, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}}, "blocked", "foreign_redirect"},
	}
}

// next is another run, of another trouble on another commit.
func (r *rig) next(h *host.Host, name string) {
	r.t.Helper()
	r.write("n.txt", name)
	r.git("add", "-A")
	r.git("commit", "-qm", name)
	r.git("push", "-q", strings.Replace(h.URL(), "://", "://x:"+host.WriteToken+"@", 1)+"/acme/hello.git", "HEAD:refs/heads/main")
	r.commit = r.git("rev-parse", "HEAD")
	r.run = r.fixedAs(r.repoID, r.commit)
	r.exec("update runs set fingerprint = 'f' || id where state = 'fixed'")
	r.run = r.state(r.run.ID)
}

func TestEveryAnswerOfEveryForgeHasItsEndingCounterAndRow(t *testing.T) {
	lab, err := gitlabtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	tea, err := giteatest.Start(giteatest.Gitea)
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.onAnotherForge(tt.name, tt.host, tt.client)
			for _, tc := range forgeCases() {
				r.answered(t, tt.host, tt.client, tc)
			}
			r.foreign(t, tt.host)
		})
	}
}

// answered has a run meet one answer.
func (r *rig) answered(t *testing.T, h *host.Host, client publisher.Forge, tc forgeCase) {
	t.Helper()
	r.next(h, tc.name)
	retries := r.tel.Count("sre_agent_pipeline_retry_total", "publish")
	left := 1
	h.SetFault(func(req *http.Request) *forgetest.Fault {
		if req.Method != http.MethodPost || strings.Contains(req.URL.Path, "/git-") || left == 0 || (tc.fault.Status == 0 && !tc.fault.Drop) {
			return nil
		}
		left--
		return &tc.fault
	})
	got := r.publish(r.Service)
	h.SetFault(nil)
	if got.State != tc.state || got.Reason != tc.reason || (tc.reason != "" && got.Explanation == "") {
		t.Errorf("%s: %s(%s): %s", tc.name, got.State, got.Reason, got.Explanation)
	}
	prs, err := client.FindPullRequests(t.Context(), "acme", "hello", r.branch())
	want := map[string]int{"published": 1}[tc.state]
	if err != nil || len(prs) != want {
		t.Errorf("%s: %d pull requests, %v, want %d", tc.name, len(prs), err, want)
	}
	pub, err := r.st.Publication(t.Context(), r.run.ID)
	if err != nil || pub == nil || (pub.PrUrl != nil) != (want == 1) {
		t.Errorf("%s: the row is %+v, %v", tc.name, pub, err)
	}
	again := r.tel.Count("sre_agent_pipeline_retry_total", "publish") - retries
	if tried := tc.state == "published" && left == 0; (again == 1) != tried {
		t.Errorf("%s: counted as tried again %d times", tc.name, again)
	}
}

// foreign has a person's commit on the run's branch: it stays, and the run says so.
func (r *rig) foreign(t *testing.T, h *host.Host) {
	t.Helper()
	r.next(h, "a foreign commit")
	r.git("checkout", "-q", "--detach")
	r.write("theirs.txt", "theirs")
	r.git("add", "-A")
	r.git("commit", "-qm", "theirs")
	theirs := r.git("rev-parse", "HEAD")
	url := strings.Replace(h.URL(), "://", "://x:"+host.WriteToken+"@", 1) + "/acme/hello.git"
	r.git("push", "-q", url, "HEAD:refs/heads/"+r.branch())
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "branch_taken" {
		t.Errorf("a foreign commit: %s(%s): %s", got.State, got.Reason, got.Explanation)
	}
	if at := r.git("ls-remote", url, "refs/heads/"+r.branch()); !strings.HasPrefix(at, theirs) {
		t.Errorf("the foreign commit is gone: %s", at)
	}
}
