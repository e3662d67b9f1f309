package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// TestAStormFromOneRepositoryIsRecordedWhole: every delivery that was answered 2xx has its record, and no program's
// memory grows with the storm. E2E_STORM says how many deliveries there are.
func TestAStormFromOneRepositoryIsRecordedWhole(t *testing.T) {
	storm := number(t, "E2E_STORM", 2000)
	c := startCluster(t, map[string]string{"THROTTLE_WORKERS": "16", "DATABASE_MAX_CONNS": "20", "LOG_LEVEL": "warn"})
	c.expectReady(everybody...)
	c.procs["runner"].stop() // the storm's runs wait; what they would do is another test's
	params := c.fail(0).params
	params.SHA, params.WorkflowName = "0123456789012345678901234567890123456789", "WORKFLOW"
	const suite int64 = 987654321012
	const id int64 = 876543210123
	params.SuiteID, params.RunID = suite, id
	body := githubtest.FailedRun(params)
	params.Workflow = ".github/workflows/check-0.yml"
	secret := c.scene.Environ()["GITHUB_WEBHOOK_SECRETS"]
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var next, again atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range 32 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(storm); n = next.Add(1) {
				mine := bytes.ReplaceAll(body, []byte("check-0.yml"), fmt.Appendf(nil, "check-%d.yml", n))
				// Each workflow has a name, and each run of one an id and a suite, of its own.
				mine = bytes.ReplaceAll(mine, []byte(`"WORKFLOW"`), fmt.Appendf(nil, `"Check %d"`, n))
				mine = bytes.ReplaceAll(mine, fmt.Append(nil, suite), fmt.Append(nil, suite+n))
				mine = bytes.ReplaceAll(mine, fmt.Append(nil, id), fmt.Append(nil, id+n))
				for tries := 0; !c.taken(client, secret, fmt.Sprint("storm-", n), mine); tries++ {
					again.Add(1)
					if tries == 100 {
						t.Errorf("delivery %d is not taken", n)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	answered := time.Since(began)
	testenv.Eventually(t, 30*time.Second+time.Duration(storm)*10*time.Millisecond, func() bool {
		counts, err := c.st.DeliveryCounts(t.Context())
		return err == nil && counts["run"] == int64(storm)
	})
	recorded := time.Since(began)
	for _, name := range []string{"ingest", "throttle", "publisher"} {
		most := peak(t, c.procs[name].PID())
		t.Logf("%s: %d MB at most", name, most)
		if most > 400 {
			t.Errorf("%s took %d MB", name, most)
		}
	}
	t.Logf("%d deliveries answered in %v (%d were sent again), recorded after %v", storm, answered.Round(time.Millisecond), again.Load(), recorded.Round(time.Millisecond))
}

func (c *system) taken(client *http.Client, secret, id string, body []byte) bool {
	res, err := client.Do(githubtest.Request(c.url+"/webhooks/github", secret, "workflow_run", id, body))
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode/100 == 2
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that a process ever had, in MB.
func peak(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := highWater.FindSubmatch(text)
	if m == nil {
		t.Fatal("no VmHWM")
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}
