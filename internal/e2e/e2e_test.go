package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

func TestFourProcessesTurnOneFailureIntoOneVerifiedPullRequest(t *testing.T) {
	c := startCluster(t, nil)
	f := c.fail(0)
	for range 3 {
		c.send("workflow_run", "delivery-1", githubtest.FailedRun(f.params))
	}
	c.send("push", "delivery-2", githubtest.Example(githubtest.Push))
	c.send("some_new_event", "delivery-3", []byte(`{"hello":"world"}`))
	r := c.ended(f, time.Minute)
	if r.State != "published" || c.prs(r) != 1 || len(c.scene.PullRequests()) != 1 {
		t.Fatalf("%s(%s) %s, %d pull requests", r.State, r.Reason, r.Explanation, len(c.scene.PullRequests()))
	}
	pr := c.scene.PullRequests()[0]
	if res, err := c.scene.CheckOnBranch(t.Context(), pr.Head); err != nil || !res.Green() {
		t.Errorf("the check on %s: %+v, %v", pr.Head, res, err)
	}
	counts := map[string]int64{}
	testenv.Eventually(t, 10*time.Second, func() bool {
		var err error
		counts, err = c.st.DeliveryCounts(t.Context())
		return err == nil && counts["run"]+counts["ignored"] == 3
	})
	if counts["run"] != 1 || counts["ignored"] != 2 {
		t.Errorf("records: %v", counts)
	}
	for _, name := range cluster.Programs {
		if code, says := c.ready(name); code != http.StatusOK {
			t.Errorf("%s is not ready: %d %s", name, code, says)
		}
	}
}

// TestKillNineAtRandomMoments kills one of the four at a random moment of the flow and starts it again: there is
// still exactly one pull request a failure. E2E_SEED repeats a run, E2E_ROUNDS sets how many rounds it has.
func TestKillNineAtRandomMoments(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("E2E_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	rounds := 20
	if n, err := strconv.Atoi(os.Getenv("E2E_ROUNDS")); err == nil {
		rounds = n
	}
	t.Logf("E2E_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := startCluster(t, map[string]string{
		"LEASE_TTL_SECONDS": "3", "SWEEP_INTERVAL_SECONDS": "1", "COOLDOWN_SECONDS": "1", "BASE_BACKOFF_SECONDS": "1", "MAX_BACKOFF_SECONDS": "1",
	})
	const warm = 2 // rounds that nobody disturbs: the second one says how long the flow takes
	var flow time.Duration
	for n := range warm {
		f := c.fail(n)
		began := time.Now()
		c.send("workflow_run", fmt.Sprint("round-", n), githubtest.FailedRun(f.params))
		c.ended(f, time.Minute)
		flow = time.Since(began)
	}
	t.Logf("the flow takes %v", flow)
	crashed := 0
	for n := warm; n < warm+rounds; n++ {
		f := c.fail(n)
		victim := c.procs[cluster.Programs[random.IntN(len(cluster.Programs))]]
		moment := time.Duration(random.Int64N(int64(flow)))
		killed := make(chan struct{})
		timer := time.AfterFunc(moment, func() {
			victim.Kill()
			victim.start()
			close(killed)
		})
		body := githubtest.FailedRun(f.params)
		for range 3 {
			c.send("workflow_run", fmt.Sprint("round-", n), body)
		}
		<-killed
		timer.Stop()
		began := time.Now()
		r := c.ended(f, time.Minute)
		if r.State != "published" || c.prs(r) != 1 {
			t.Fatalf("round %d, %s killed after %v: %s(%s) %s, %d pull requests", n, victim.Name, moment, r.State, r.Reason, r.Explanation, c.prs(r))
		}
		if r.AttemptCount > 1 {
			crashed++
		}
		t.Logf("round %d: %s killed after %v, published %v later, attempt %d", n, victim.Name, moment.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), r.AttemptCount)
	}
	if n := len(c.scene.PullRequests()); n != rounds+warm {
		t.Errorf("%d pull requests after %d failures", n, rounds+warm)
	}
	t.Logf("%d runs lost an attempt to a crash", crashed)
}
