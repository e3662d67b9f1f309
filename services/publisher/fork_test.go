package publisher_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

const robot = "robot"

// forks is GitHub's client with pull requests from the robot's fork.
type forks struct {
	*github.Client
	r    *rig
	made []forge.PullRequest
	lose bool
}

func (f *forks) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	if !strings.HasPrefix(branch, robot+":") {
		return f.Client.FindPullRequests(ctx, owner, name, branch)
	}
	var out []forge.PullRequest
	for _, pr := range f.made {
		if robot+":"+pr.HeadRef == branch {
			out = append(out, pr)
		}
	}
	return out, nil
}

func (f *forks) CreatePullRequest(_ context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	head, err := f.r.forge.BranchHead(pr.HeadOwner, name, pr.Head)
	if err != nil || pr.HeadOwner != robot || owner != "acme" {
		return forge.PullRequest{}, fmt.Errorf("%s:%s: %w", pr.HeadOwner, pr.Head, err)
	}
	n := len(f.made) + 1
	f.made = append(f.made, forge.PullRequest{Number: n, URL: fmt.Sprint("https://forge/pr/", n), State: forge.Open, HeadRef: pr.Head, HeadSHA: head, FromFork: true})
	if f.lose {
		f.lose = false
		return forge.PullRequest{}, context.DeadlineExceeded
	}
	return f.made[n-1], nil
}

// viaFork is a publisher that pushes to the robot's fork.
func (r *rig) viaFork() (*publisher.Service, *forks) {
	r.t.Helper()
	if _, err := r.forge.CreateRepo(robot, "hello", "main"); err != nil {
		r.t.Fatal(err)
	}
	f := &forks{Client: r.hub, r: r}
	s := r.publisher()
	s.Target = publisher.ViaFork(robot, r.at(f))
	s.Git.(*publisher.Mirrors).ForkOwner = robot //nolint:forcetypeassert // publisher made it
	return s, f
}

func TestAFixGoesThroughAForkAndNoBranchIsMadeInTheRepository(t *testing.T) {
	r := newRig(t)
	s, f := r.viaFork()
	f.lose = true // and the one that was made is found there
	got := r.publish(s)
	if got.State != "published" || len(f.made) != 1 {
		t.Fatalf("%s(%s) %s, %d pull requests", got.State, got.Reason, got.Explanation, len(f.made))
	}
	if head, err := r.forge.BranchHead("acme", "hello", r.branch()); err != nil || head != "" {
		t.Errorf("a branch of the repository itself is at %s", head)
	}
	h, err := r.st.History(t.Context(), got.ID)
	if err != nil || h.Publication.State != store.PubAdopted || h.Publication.CommitID != f.made[0].HeadSHA {
		t.Errorf("%+v, %v", h.Publication, err)
	}
}

func TestAClosedPullRequestFromTheForkIsANo(t *testing.T) {
	r := newRig(t)
	s, f := r.viaFork()
	f.lose = true
	s.Handle(t.Context(), r.doorbell())
	f.made[0].State = forge.Closed
	r.exec("update runs set not_before = now() where state = 'fixed'")
	if got := r.publish(s); got.Reason != store.ReasonPRClosed || len(f.made) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(f.made))
	}
}

func TestAPullRequestFromBeforeTheForkIsFound(t *testing.T) {
	r := newRig(t)
	r.failOnce(lost, creating)
	r.Handle(t.Context(), r.doorbell())
	r.exec("update runs set not_before = now() where state = 'fixed'")
	s, f := r.viaFork()
	if got := r.publish(s); got.State != "published" || len(f.made) != 0 || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d and %d pull requests", got.State, got.Reason, len(f.made), len(r.prs()))
	}
}

func TestARepositoryThatHasNoForkIsNotPushedTo(t *testing.T) {
	r := newRig(t)
	for name, at := range map[string]origin.Place{
		"the owner's own": {Forge: origin.GitHub, Owner: "Robot", Name: "hello"},
		"another forge":   {Forge: origin.GitLab, Owner: "web", Name: "hello"},
	} {
		m := &publisher.Mirrors{ForkOwner: robot, Dir: t.TempDir()}
		err := m.PushNew(t.Context(), at, r.commit, r.branch())
		if reason, _ := fault.Reason(err); reason != "fork_unsupported" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestASignedCommitIsTheSameForEveryPublisher: the one that comes after a crash has another mirror, and adopts the intent.
func TestASignedCommitIsTheSameForEveryPublisher(t *testing.T) {
	r := newRig(t)
	key := filepath.Join(t.TempDir(), "key")
	r.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	signed := func() *publisher.Service {
		signer, err := gitpush.LoadSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		s := r.publisher()
		m := s.Git.(*publisher.Mirrors) //nolint:forcetypeassert // publisher made it
		m.Signer, m.SignOff, m.CommitterName, m.CommitterEmail = signer, true, "Build robot", "robot@example.com"
		return s
	}
	r.failOnce(lost, pushing)
	signed().Handle(t.Context(), r.doorbell())
	r.exec("update runs set not_before = now() where state = 'fixed'")
	got := r.publish(signed())
	if got.State != "published" {
		t.Fatalf("%s(%s) %s", got.State, got.Reason, got.Explanation)
	}
	r.git("fetch", "-q", r.url(), r.branch())
	object := r.git("cat-file", "commit", "FETCH_HEAD")
	for _, want := range []string{"\ngpgsig -----BEGIN SSH SIGNATURE-----", "committer Build robot <robot@example.com>", "\nSigned-off-by: sre-agent <sre-agent@example.org>"} {
		if !strings.Contains(object, want) {
			t.Errorf("no %q in\n%s", want, object)
		}
	}
	private, err := os.ReadFile(key)
	if err != nil || strings.Contains(r.tel.Logs(), strings.Split(string(private), "\n")[1]) {
		t.Errorf("%v, or the key is in the log", err)
	}
}

var lost = forgetest.Fault{Drop: true, AfterEffect: true}

func (r *rig) doorbell() *streams.Message {
	return r.bell(r.run.ID)
}

func (r *rig) tool(name string, args ...string) {
	r.t.Helper()
	if out, err := exec.CommandContext(r.t.Context(), name, args...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
