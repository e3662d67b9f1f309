package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// books is a system whose counters are compared with a recount of its records.
type books struct {
	*system
	tally    *chaos.Tally
	database string
	runs     int64
	sent     int
	// moments are the times that something happened of which no row is left.
	moments map[chaos.Series]int
}

var bookKnobs = map[string]string{
	"LEASE_TTL_SECONDS": "4", "SWEEP_INTERVAL_SECONDS": "1", "COOLDOWN_SECONDS": "1", "BASE_BACKOFF_SECONDS": "1", "MAX_BACKOFF_SECONDS": "1",
	"MAX_PIPELINE_ATTEMPTS": "2", "REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "4", "REPO_OPEN_PULL_REQUESTS": "1",
}

// putOff is a fix that has to wait because of a cap.
var putOff = chaos.Series{Counter: telemetry.Throttled, Reason: string(telemetry.ThrottlePRCap)}

var bookLimits = chaos.Limits{MaxAttempts: 2, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second}

// red is a new repository with a red head; slow makes its check take a while.
func (b *books) red(name, log string, slow int) failed {
	b.t.Helper()
	f := b.repository(name, int(b.runs), log, func(dir string) {
		write(b.t, dir, "go.mod", "module example.com/x\n\ngo 1.22\n")
		write(b.t, dir, "main.go", "package main\n\nfunc  main( ) { println(\"hello\") }\n")
		write(b.t, dir, ".sre-agent.yaml", fmt.Sprintf("version: 1\nchecks:\n  - job: lint\n    run: |\n      sleep %d\n      test -z \"$(gofmt -l . | tee /dev/stderr)\"\n", slow))
	})
	b.runs++
	return f
}

// commit moves the branch of a failure on to a new commit that is as red as the last one.
func (b *books) commit(f failed) failed {
	b.t.Helper()
	dir := b.t.TempDir()
	token := b.scene.Environ()["GITHUB_WRITE_TOKEN"]
	for _, args := range [][]string{
		{"clone", "-q", strings.Replace(f.params.CloneURL, "://", "://x-access-token:"+token+"@", 1), "."},
		{"-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "next"},
		{"push", "-q", "origin", "HEAD"},
	} {
		b.git(dir, args...)
	}
	f.params.SHA = b.git(dir, "rev-parse", "HEAD")
	return b.again(f)
}

// again is the same workflow in a run of its own.
func (b *books) again(f failed) failed {
	b.t.Helper()
	b.runs++
	f.params.RunID = demo.RunID + 9000 + b.runs
	f.params.SuiteID = f.params.RunID
	if _, err := b.scene.Forge.AddJob(demo.Owner, f.params.Name, f.params.RunID, 1, forgetest.Job{Name: "lint", Conclusion: "failure"}, redLog); err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *books) git(dir string, args ...string) string {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

var redLog = stepLog(demo.CheckCommand, "main.go")

// deliver sends a body under a fresh id, and returns the id.
func (b *books) deliver(event string, body []byte) string {
	b.t.Helper()
	b.sent++
	id := fmt.Sprint("books-", b.sent)
	b.send(event, id, body)
	return id
}

// end sends a failure and waits until its run has ended as it should.
func (b *books) end(f failed, state, reason string) {
	b.t.Helper()
	b.deliver("workflow_run", githubtest.FailedRun(f.params))
	r := b.state(f, 40*time.Second, func(r store.Run) bool { return r.EndedAt != nil })
	if r.State != state || r.Reason != reason && reason != "*" {
		b.t.Fatalf("%s at %.8s: %s(%s) %s, want %s(%s)", f.params.Name, f.params.SHA, r.State, r.Reason, r.Explanation, state, reason)
	}
}

// state waits until the run of a failure is as it should be.
func (b *books) state(f failed, within time.Duration, ok func(store.Run) bool) (found store.Run) {
	b.t.Helper()
	testenv.Eventually(b.t, within, func() bool {
		runs, err := b.st.Runs(b.t.Context(), "", 200)
		if err != nil {
			return false
		}
		for _, r := range runs {
			if r.Failure.Repository.Name == f.params.Name && r.Failure.Commit == f.params.SHA && r.Failure.WorkflowName == f.params.WorkflowName {
				found = r
			}
		}
		return found.ID != 0 && ok(found)
	})
	return found
}

// compare waits until every counter, for each of its reasons, is what the records say.
func (b *books) compare(ctx context.Context, but ...chaos.Series) {
	b.t.Helper()
	conn, err := pgx.Connect(ctx, b.database)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var wrong []string
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(8 * time.Second); time.Now().Before(deadline); <-tick.C {
		entries, err := chaos.Recount(ctx, conn, bookLimits, b.moments[putOff])
		if err != nil {
			b.t.Fatal(err)
		}
		for s, n := range b.moments {
			for range n {
				entries = append(entries, chaos.Entry{Series: s})
			}
		}
		wrong = nil
		for _, c := range chaos.Tallies(b.tally.Counted(), entries, nil) {
			skip := false
			for _, s := range but {
				skip = skip || s == c.Series
			}
			if c.Counted != c.Recounted && !skip {
				wrong = append(wrong, fmt.Sprintf("%v counted %d, the records say %d", c.Series, c.Counted, c.Recounted))
			}
		}
		if wrong == nil {
			return
		}
	}
	b.t.Errorf("%s", strings.Join(wrong, "\n"))
}

// TestTheSixCountersEqualARecountOfTheRecords drives every kind of delivery and ending through the four programs.
func TestTheSixCountersEqualARecountOfTheRecords(t *testing.T) {
	tally, err := chaos.NewTally(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tally.Close)
	knobs := tally.Environ()
	for k, v := range bookKnobs {
		knobs[k] = v
	}
	database := testenv.Postgres(t)
	b := &books{system: startClusterOn(t, database, testenv.RedisURL(t), knobs), tally: tally, database: database, moments: map[chaos.Series]int{}}
	b.expectReady(everybody...)
	b.deliveries()
	b.pullRequests()
	b.restraint()
	b.outages()
	b.doorbells()
	b.compare(t.Context())
	if t.Failed() {
		return
	}
	b.storm()
	b.crashes()
	for _, c := range chaos.AllSeries() {
		t.Logf("%v %d", c, tally.Counted()[c])
	}
}

// deliveries: new, the same id, the same body, coalesced, ignored, own branch, own author, a fork, declined.
func (b *books) deliveries() {
	f := b.red("plain", redLog, 0)
	b.end(f, "published", "")
	body := githubtest.FailedRun(f.params)
	b.send("workflow_run", fmt.Sprint("books-", b.sent), body) // the stream knows the id
	b.moments[chaos.Series{Counter: telemetry.WebhookDeduped, Reason: string(telemetry.DedupStreamWindow)}]++
	b.deliver("workflow_run", body)
	second := f
	second.params.Attempt = 2
	b.deliver("workflow_run", githubtest.FailedRun(second.params))
	b.deliver("push", githubtest.Example(githubtest.Push))
	b.deliver("some_new_event", []byte(`{"hello":"world"}`))
	own := f
	own.params.Branch, own.params.SHA = "sre-agent/x", strings.Repeat("1", 40)
	b.deliver("workflow_run", githubtest.FailedRun(own.params))
	fork := f
	fork.params.HeadRepository, fork.params.SHA = "somebody/fork", strings.Repeat("2", 40)
	b.deliver("workflow_run", githubtest.FailedRun(fork.params))
	author := f
	author.params.SHA = strings.Repeat("3", 40)
	b.deliver("workflow_run", bytes.ReplaceAll(githubtest.FailedRun(author.params), []byte("octocat@github.com"), []byte("sre-agent@sre-agent.invalid")))
	b.end(b.red("unknown", stepLog("make everything", "it broke"), 0), "declined", "*")
}

// pullRequests: refused by a person, refused again, followed, and stale.
func (b *books) pullRequests() {
	closed := b.red("closed", redLog, 0)
	b.end(closed, "published", "")
	if err := b.scene.Forge.ClosePullRequest(demo.Owner, "closed", 1); err != nil {
		b.t.Fatal(err)
	}
	for range 2 {
		closed = b.commit(closed)
		b.end(closed, "blocked", "pull_request_closed")
	}
	open := b.red("open", redLog, 0)
	b.end(open, "published", "")
	old := b.again(open)
	old.params.Workflow, old.params.WorkflowName = ".github/workflows/other.yml", "Other"
	open = b.commit(open)
	b.end(open, "superseded", "pull_request_open")
	b.end(old, "superseded", "stale")
}

// restraint: a fix that was put off goes on, or its run is ended by a switch, or by its success; and a failure that is
// left alone.
func (b *books) restraint() {
	who := store.Actor{Who: "test", Why: "to be counted"}
	room, r := b.full("room")
	if err := b.scene.Forge.ClosePullRequest(demo.Owner, "room", 1); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.st.RetryRun(b.t.Context(), r.ID, who); err != nil {
		b.t.Fatal(err)
	}
	b.state(room, 40*time.Second, func(r store.Run) bool { return r.State == "published" })

	off, r := b.full("off")
	if _, err := b.st.Switch(b.t.Context(), r.RepositoryID, false, who); err != nil {
		b.t.Fatal(err)
	}
	b.state(off, 40*time.Second, func(r store.Run) bool { return r.State == "cancelled" && r.Reason == store.ReasonRepositoryOff })
	off.params.WorkflowName = "Unwanted"
	off.params.SHA = strings.Repeat("5", 40)
	b.deliver("workflow_run", githubtest.FailedRun(off.params))

	green, _ := b.full("green")
	b.deliver("workflow_run", bytes.ReplaceAll(githubtest.FailedRun(green.params), []byte(`"failure"`), []byte(`"success"`)))
	b.state(green, 40*time.Second, func(r store.Run) bool { return r.State == "superseded" && r.Reason == store.ReasonGreen })
}

// full is a repository that has as many open pull requests as it may, and a second failure whose fix waits for that.
func (b *books) full(name string) (failed, store.Run) {
	b.t.Helper()
	f := b.red(name, redLog, 0)
	b.end(f, "published", "")
	f = b.again(f)
	f.params.Workflow, f.params.WorkflowName = ".github/workflows/more.yml", "More"
	b.deliver("workflow_run", githubtest.FailedRun(f.params))
	b.moments[putOff]++
	return f, b.state(f, 40*time.Second, func(r store.Run) bool { return r.State == "waiting" && r.Reason == string(telemetry.ThrottlePRCap) })
}

// outages: the forge fails a fetch, a creation, and loses the reply of one.
func (b *books) outages() {
	left := map[string]int{"fetch": 1, "create": 1, "lost": 1}
	b.scene.Forge.SetFault(func(r *http.Request) *forgetest.Fault {
		hit := func(what string, ok bool) bool {
			if ok && left[what] > 0 {
				left[what]--
				return true
			}
			return false
		}
		creates := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pulls")
		switch {
		case hit("fetch", strings.Contains(r.URL.Path, "/repos/"+demo.Owner+"/flaky/actions/")):
			return &forgetest.Fault{Status: http.StatusBadGateway, Body: "down"}
		case hit("create", creates):
			return &forgetest.Fault{Status: http.StatusBadGateway, Body: "down"}
		case hit("lost", creates):
			return &forgetest.Fault{AfterEffect: true, Drop: true}
		}
		return nil
	})
	b.end(b.red("flaky", redLog, 0), "published", "")
	b.scene.Forge.SetFault(nil)
	if left["fetch"]+left["create"]+left["lost"] > 0 {
		b.t.Errorf("not all faults hit: %v", left)
	}
}

// doorbells: one of a run that has moved on, and a delivery that comes round the stream's window.
func (b *books) doorbells() {
	addr := ""
	for _, a := range b.procs["ingest"].Env {
		if rest, ok := strings.CutPrefix(a, "NATS_URL="); ok {
			addr = rest
		}
	}
	nc, err := nats.Connect(addr)
	if err != nil {
		b.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.t.Fatal(err)
	}
	stream, err := js.Stream(b.t.Context(), streams.Deliveries)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := stream.GetMsg(b.t.Context(), 1)
	if err != nil {
		b.t.Fatal(err)
	}
	m := &nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}
	m.Header.Set(nats.MsgIdHdr, "round-the-window")
	if _, err := js.PublishMsg(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
	b.moments[chaos.Series{Counter: telemetry.WebhookDeduped, Reason: string(telemetry.DedupDeliveryID)}]++
}

// storm: what is above the rate waits, and its row says so as long as it does.
func (b *books) storm() {
	busy := b.red("busy", stepLog("make everything", "it broke"), 0)
	for n := range 6 {
		f := b.again(busy)
		f.params.Workflow, f.params.WorkflowName = fmt.Sprintf(".github/workflows/%d.yml", n), fmt.Sprint("Busy ", n)
		f.params.SHA = strings.Repeat("4", 40) // the branch is elsewhere: the runs end at once
		b.deliver("workflow_run", githubtest.FailedRun(f.params))
	}
	testenv.Eventually(b.t, 30*time.Second, func() bool { // the last ones may not be recorded yet
		waiting, err := b.st.Runs(b.t.Context(), "waiting", 10)
		return err == nil && len(waiting) == 2
	})
	b.compare(b.t.Context())
	conn, err := pgx.Connect(b.t.Context(), b.database)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.t.Context())) }()
	limited := chaos.Series{Counter: telemetry.Throttled, Reason: string(telemetry.ThrottleRateLimited)}
	b.moments[limited] = b.tally.Counted()[limited]
	if b.moments[limited] != 2 {
		b.t.Errorf("%d runs were delayed by the rate limit, want 2", b.moments[limited])
	}
	runs, err := b.st.Runs(b.t.Context(), "waiting", 10)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range runs {
		if _, err := b.st.CancelRun(b.t.Context(), r.ID, store.Actor{Who: "test", Why: "it has been counted"}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// crashes: a runner is killed at its work until the run is blocked. It counts nothing meanwhile, so nothing is lost
// with it but the doorbell that comes again: that one is stale.
func (b *books) crashes() {
	f := b.red("slow", redLog, 30)
	b.deliver("workflow_run", githubtest.FailedRun(f.params))
	for n := int32(1); n <= 2; n++ {
		b.state(f, 30*time.Second, func(r store.Run) bool { return r.State == "running" && r.AttemptCount == n })
		b.settleTally()
		b.procs["runner"].Kill()
		b.procs["runner"].start()
	}
	b.state(f, 30*time.Second, func(r store.Run) bool { return r.State == "blocked" && r.Reason == "max_attempts" })
	b.compare(b.t.Context(), chaos.Series{Counter: telemetry.RunsSkipped, Reason: string(telemetry.SkipStale)})
}

// settleTally waits until everybody has sent what it had counted.
func (b *books) settleTally() {
	t := time.NewTimer(4 * chaos.TallyEvery)
	defer t.Stop()
	<-t.C
}
