package publisher_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

const robot = "robot"

// forkable is a forge with a repository that robot has a fork of, as the publisher and as people see it.
type forkable struct {
	name   string
	url    string
	client publisher.Forge
	// address is where git pushes to, as people do.
	address func(owner string) string
	fork    func(login string) error
	open    func(login, headOwner, branch string) error
	faults  func(func(*http.Request) *forgetest.Fault)
}

// forkables are all forges that have forks; each test's rig moves to one.
func forkables(t *testing.T) map[string]func(*rig) forkable {
	t.Helper()
	all := map[string]func(*rig) forkable{origin.GitHub: onGitHub}
	for _, o := range otherForges(t) {
		all[o.name] = func(r *rig) forkable { return onOther(r, o) }
	}
	return all
}

func onGitHub(r *rig) forkable {
	return forkable{
		name: origin.GitHub, url: r.forge.URL(), client: r.hub, faults: r.forge.SetFault,
		address: func(owner string) string { return strings.Replace(r.url(), "/acme/", "/"+owner+"/", 1) },
		fork:    func(login string) error { _, err := r.forge.Fork("acme", "hello", login); return err },
		open: func(login, headOwner, branch string) error {
			return r.forge.OpenAs(login, "acme", "hello", forgetest.PR{Title: "theirs", Head: headOwner + ":" + branch, Base: "main"})
		},
	}
}

func onOther(r *rig, o otherForge) forkable {
	r.onAnotherForge(o.name, o.host, o.client)
	return forkable{
		name: o.name, url: o.host.URL(), client: o.client, faults: o.host.SetFault,
		address: func(owner string) string { return strings.Replace(address(o.host), "/acme/", "/"+owner+"/", 1) },
		fork:    func(login string) error { _, _, err := o.host.Fork("acme", "hello", login); return err },
		open: func(login, headOwner, branch string) error {
			return o.host.Open("acme", "hello", login, forge.NewPullRequest{Title: "theirs", Head: branch, HeadOwner: headOwner, Base: "main"})
		},
	}
}

// viaFork is a publisher that pushes to the robot's fork.
func (r *rig) viaFork(f forkable) *publisher.Service {
	r.t.Helper()
	s := r.publisher()
	s.Target = publisher.ViaFork(robot, r.on(f.client, f.name, f.url))
	m := s.Git.(*publisher.Mirrors) //nolint:forcetypeassert // publisher made it
	if f.name != origin.GitHub {
		m.Remote = r.Git.(*publisher.Mirrors).Remote //nolint:forcetypeassert // publisher made it
	}
	m.ForkOwner = robot
	return s
}

// ofFork are the pull requests of an owner's fork from the run's branch.
func (r *rig) ofFork(f forkable, owner string) []forge.PullRequest {
	r.t.Helper()
	prs, err := f.client.FindPullRequests(r.t.Context(), "acme", "hello", owner+":"+r.branch())
	if err != nil {
		r.t.Fatal(err)
	}
	return prs
}

// onEach runs a test on every forge that has forks, with robot's fork there.
func onEach(t *testing.T, test func(*testing.T, *rig, forkable)) {
	t.Helper()
	for name, on := range forkables(t) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := on(r)
			if err := f.fork(robot); err != nil {
				t.Fatal(err)
			}
			test(t, r, f)
		})
	}
}

// loseCreation has the answer to the first new pull request lost.
func (f forkable) loseCreation() {
	left := 1
	f.faults(func(req *http.Request) *forgetest.Fault {
		if req.Method != http.MethodPost || strings.Contains(req.URL.Path, "/git-") || left == 0 {
			return nil
		}
		left--
		return &lost
	})
}

func TestAFixGoesThroughAForkAndNoBranchIsMadeInTheRepository(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig, f forkable) {
		f.loseCreation() // and the one that was made is found
		got := r.publish(r.viaFork(f))
		prs := r.ofFork(f, robot)
		if got.State != "published" || len(prs) != 1 || !prs[0].FromFork {
			t.Fatalf("%s(%s) %s, %+v", got.State, got.Reason, got.Explanation, prs)
		}
		if at := r.git("ls-remote", f.address("acme"), "refs/heads/"+r.branch()); at != "" {
			t.Errorf("a branch of the repository itself is at %s", at)
		}
		h, err := r.st.History(t.Context(), got.ID)
		if err != nil || h.Publication.State != store.PubAdopted || h.Publication.CommitID != prs[0].HeadSHA || *h.Publication.PrUrl != prs[0].URL {
			t.Errorf("%+v, %v, want %+v", h.Publication, err, prs[0])
		}
	})
}

// A stranger who knows the branch's name, and even our commit, opens a pull request from a fork of their own.
func TestAPullRequestFromAStrangersForkIsNeverTakenForOurs(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig, f forkable) {
		s := r.viaFork(f)
		f.faults(func(req *http.Request) *forgetest.Fault {
			if req.Method == http.MethodPost && !strings.Contains(req.URL.Path, "/git-") {
				return &forgetest.Fault{Drop: true} // so that our branch is there, and no pull request
			}
			return nil
		})
		s.Handle(t.Context(), r.doorbell())
		f.faults(nil)
		r.git("fetch", "-q", f.address(robot), r.branch())
		ours := r.git("rev-parse", "FETCH_HEAD")
		if err := f.fork("mallory"); err != nil {
			t.Fatal(err)
		}
		r.git("push", "-q", f.address("mallory"), ours+":refs/heads/"+r.branch())
		if err := f.open("mallory", "mallory", r.branch()); err != nil {
			t.Fatal(err)
		}
		r.exec("update runs set not_before = now() where state = 'fixed'")
		got := r.publish(s)
		prs, theirs := r.ofFork(f, robot), r.ofFork(f, "mallory")
		if got.State != "published" || len(prs) != 1 || len(theirs) != 1 {
			t.Fatalf("%s(%s) %s, %d of ours, %d of theirs", got.State, got.Reason, got.Explanation, len(prs), len(theirs))
		}
		pub, err := r.st.Publication(t.Context(), got.ID)
		if err != nil || *pub.PrUrl != prs[0].URL || pub.State != store.PubOpened {
			t.Errorf("%+v, %v, want %s", pub, err, prs[0].URL)
		}
	})
}

func TestAClosedPullRequestFromTheForkIsANo(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig, f forkable) {
		s := r.viaFork(f)
		f.loseCreation()
		s.Handle(t.Context(), r.doorbell())
		closer, ok := f.client.(interface {
			ClosePullRequest(ctx context.Context, owner, name string, number int) error
		})
		if !ok || closer.ClosePullRequest(t.Context(), "acme", "hello", r.ofFork(f, robot)[0].Number) != nil {
			t.Fatal("it can't be closed")
		}
		r.exec("update runs set not_before = now() where state = 'fixed'")
		if got := r.publish(s); got.Reason != store.ReasonPRClosed || len(r.ofFork(f, robot)) != 1 {
			t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.ofFork(f, robot)))
		}
	})
}

func TestAPullRequestFromBeforeTheForkIsFound(t *testing.T) {
	r := newRig(t)
	r.failOnce(lost, creating)
	r.Handle(t.Context(), r.doorbell())
	r.exec("update runs set not_before = now() where state = 'fixed'")
	f := onGitHub(r)
	if got := r.publish(r.viaFork(f)); got.State != "published" || len(r.prs()) != 1 || r.prs()[0].HeadOwner != "" {
		t.Errorf("%s(%s), %+v", got.State, got.Reason, r.prs())
	}
}

// What has a fork's name and is none may be public.
func TestNothingIsPushedToWhatIsNoForkOfTheRepository(t *testing.T) {
	for name, on := range forkables(t) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := on(r)
			got := r.publish(r.viaFork(f))
			if got.State != "blocked" || got.Reason != "fork_missing" || !strings.Contains(got.Explanation, robot+"/hello") {
				t.Errorf("without a fork: %s(%s) %s", got.State, got.Reason, got.Explanation)
			}
			if pub, err := r.st.Publication(t.Context(), got.ID); err != nil || pub != nil {
				t.Errorf("there is an intent: %+v, %v", pub, err)
			}
		})
	}
	r := newRig(t)
	if _, err := r.forge.CreateRepo(robot, "hello", "main"); err != nil {
		t.Fatal(err)
	}
	if got := r.publish(r.viaFork(onGitHub(r))); got.State != "blocked" || got.Reason != "fork_missing" {
		t.Errorf("a repository that is no fork: %s(%s) %s", got.State, got.Reason, got.Explanation)
	}
	if head, err := r.forge.BranchHead(robot, "hello", r.branch()); err != nil || head != "" {
		t.Errorf("it was pushed to: %s, %v", head, err)
	}
}

func TestARepositoryThatCanHaveNoForkIsNotPushedTo(t *testing.T) {
	r := newRig(t)
	for name, at := range map[string]origin.Place{
		"the owner's own": {Forge: origin.GitHub, Owner: "Robot", Name: "hello"},
		"no forge":        {Forge: origin.PlainGit, Owner: "web", Name: "hello"},
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
