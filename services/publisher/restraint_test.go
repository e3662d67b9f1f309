package publisher_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// another makes a second fixed run of the first one's fix, in which something is different.
func (r *rig) another(change func(*ci.Failure, *store.Fix, *evidence.Report)) store.Run {
	r.t.Helper()
	ctx := r.t.Context()
	r.events++
	f := r.run.Failure
	f.Workflow = fmt.Sprintf(".github/workflows/%d.yml", r.events)
	report := evidence.Report{Policy: &evidence.Policy{Class: "safe"}, Check: &evidence.Check{Command: "true"}}
	fix := store.Fix{BaseCommit: f.Commit, Diff: []byte(diff), Fixer: "greeter", Title: "Greet", Explanation: "x", Fingerprint: fmt.Sprint("f", r.events)}
	change(&f, &fix, &report)
	fix.Digest, fix.Evidence = patch.Digest(fix.Diff), report.JSON()
	d := store.Delivery{Provider: "github", ID: fmt.Sprint("d", r.events), Event: "workflow_run", BodySHA256: fmt.Sprintf("%064d", r.events), ReceivedAt: time.Now()}
	rec, err := r.st.RecordFailure(ctx, d, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.st.Pool().Exec(ctx, "update runs set state = 'ready', rung_at = now(), reason = '' where id = $1", rec.RunID); err != nil {
		r.t.Fatal(err)
	}
	limits := run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second, PerRepository: 100}
	claimed, refused, err := r.st.ClaimRun(ctx, store.Claim{RunID: rec.RunID, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		r.t.Fatal(refused, err)
	}
	if err := r.st.SaveFix(ctx, claimed.ID, claimed.Fence, fix); err != nil {
		r.t.Fatal(err)
	}
	return r.state(claimed.ID)
}

func unchanged(*ci.Failure, *store.Fix, *evidence.Report) {}

// once rings the publisher once.
func (r *rig) once(id int64) store.Run {
	r.t.Helper()
	if o := r.Handle(r.t.Context(), r.bell(id)); o.String() != "done" {
		r.t.Fatal(o)
	}
	return r.state(id)
}

func (r *rig) wants(got store.Run, state, reason string, prs int) {
	r.t.Helper()
	if got.State != state || got.Reason != reason || len(r.prs()) != prs {
		r.t.Fatalf("%s(%s) %s, %d pull requests; want %s(%s) and %d", got.State, got.Reason, got.Explanation, len(r.prs()), state, reason, prs)
	}
}

// goOn is what the scheduler and the runner do with a run that was put off, once it is due.
func (r *rig) goOn(id int64) store.Run {
	r.t.Helper()
	r.exec("update runs set not_before = now() where state in ('waiting', 'fixed')")
	if r.state(id).State == "waiting" {
		r.exec("update runs set state = 'ready', reason = '', rung_at = now() where state = 'waiting'")
		if _, resumed, err := r.st.ResumeFix(r.t.Context(), id, r.state(id).Fence); err != nil || !resumed {
			r.t.Fatal(resumed, err)
		}
	}
	return r.once(id)
}

func TestWhatIsOverTheCapOfOpenPullRequestsWaitsWithItsFix(t *testing.T) {
	r := newRig(t)
	r.Caps = store.Caps{Open: 1}
	r.publish(r.Service)
	id := r.another(unchanged).ID
	got := r.once(id)
	r.wants(got, "waiting", "pr_cap", 1)
	if wait := got.NotBefore.Sub(got.UpdatedAt); wait != 10*time.Minute || !strings.Contains(got.Explanation, "the cap is 1") || got.TransientCount != 0 {
		t.Errorf("it waits %s: %s, %d failures", wait, got.Explanation, got.TransientCount)
	}
	r.wants(r.goOn(id), "waiting", "pr_cap", 1)
	// The record does not know yet that it was closed.
	if err := r.forge.ClosePullRequest("acme", "hello", r.prs()[0].Number); err != nil {
		t.Fatal(err)
	}
	got = r.goOn(id)
	r.wants(got, "published", "", 2)
	if got.AttemptCount != 1 || r.tel.Count("sre_agent_pipeline_throttled_total", "pr_cap") != 2 {
		t.Errorf("%d attempts, counted %d times", got.AttemptCount, r.tel.Count("sre_agent_pipeline_throttled_total", "pr_cap"))
	}
}

func TestWhatIsOverTheCapOfAnHourWaitsForTheHour(t *testing.T) {
	r := newRig(t)
	r.Caps = store.Caps{PerHour: 1}
	r.publish(r.Service)
	got := r.once(r.another(unchanged).ID)
	r.wants(got, "waiting", "pr_cap", 1)
	if wait := got.NotBefore.Sub(got.UpdatedAt); wait < 55*time.Minute || wait > time.Hour {
		t.Errorf("it waits %s", wait)
	}
	r.exec("update publications set created_at = created_at - interval '61 minutes'")
	r.wants(r.goOn(got.ID), "published", "", 2)
}

func TestAFixIsNotPutOffForEver(t *testing.T) {
	r := newRig(t)
	r.Caps = store.Caps{Open: 1}
	r.publish(r.Service)
	id := r.another(unchanged).ID
	r.exec("update fixes set created_at = created_at - interval '8 days'")
	r.wants(r.once(id), "blocked", "pr_cap", 1)
}

// writes is a quota that lets one publication through a minute: by Redis, or, while that is away, by a tenth.
func writes(r *rig, shared *lease.Quota, perMinute int) *publisher.ForgeWrites {
	return &publisher.ForgeWrites{Shared: shared, Own: &lease.LocalQuota{Now: time.Now}, PerMinute: perMinute, PerHour: 500, Log: r.tel.Log}
}

func (r *rig) quota() *lease.Quota { return lease.NewQuota(testenv.Redis(r.t), "t:") }

func TestAForgesQuotaIsKeptWithRedisAndWithout(t *testing.T) {
	away := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = away.Close() })
	for name, quota := range map[string]func(*rig) *publisher.ForgeWrites{
		"shared":        func(r *rig) *publisher.ForgeWrites { return writes(r, r.quota(), 3) },
		"redis is away": func(r *rig) *publisher.ForgeWrites { return writes(r, lease.NewQuota(away, "t:"), 30) },
		"there is none": func(r *rig) *publisher.ForgeWrites { return writes(r, nil, 30) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Writes = quota(r)
			r.publish(r.Service)
			id := r.another(unchanged).ID
			got := r.once(id)
			r.wants(got, "fixed", "pr_cap", 1) // its intent is written: it stays with the publisher
			if wait := got.NotBefore.Sub(got.UpdatedAt); wait < 30*time.Second || wait > time.Minute {
				t.Errorf("it waits %s", wait)
			}
			r.Writes = writes(r, nil, 30)
			r.wants(r.goOn(id), "published", "", 2)
		})
	}
}

func TestALimitOfTheForgeThatNamesNoTimeIsWaitedForLongerEachTime(t *testing.T) {
	for name, tt := range map[string]struct {
		fault forgetest.Fault
		want  []time.Duration
	}{
		"403 secondary without a header": {
			forgetest.Fault{Status: 403, Body: `{"message":"You have exceeded a secondary rate limit."}`},
			[]time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour},
		},
		"429 without a header": {forgetest.Fault{Status: 429, Body: `{}`}, []time.Duration{time.Minute, 2 * time.Minute}},
		"403 secondary with a header": {
			forgetest.Fault{Status: 403, Header: http.Header{"Retry-After": {"90"}}, Body: `{"message":"You have exceeded a secondary rate limit."}`},
			[]time.Duration{90 * time.Second, 90 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
				if creating(req) {
					return &tt.fault
				}
				return nil
			})
			for n, want := range tt.want {
				got := r.once(r.run.ID)
				if wait := got.NotBefore.Sub(got.UpdatedAt); got.State != "fixed" || got.Reason != "dependency" || wait != want {
					t.Errorf("after limit %d: %s(%s) for %s, want %s", n+1, got.State, got.Reason, wait, want)
				}
				r.exec("update runs set not_before = now()")
			}
			r.forge.SetFault(nil)
			r.wants(r.once(r.run.ID), "published", "", 1)
		})
	}
}

func TestThePairThatPeopleRefuseIsOnlySuggested(t *testing.T) {
	r := newRig(t)
	lint := func(_ *ci.Failure, _ *store.Fix, report *evidence.Report) { report.Class = "lint" }
	for n := range 5 {
		r.wants(r.once(r.another(lint).ID), "published", "", n+1)
	}
	r.exec("update publications set pr_state = 'closed' where run_id in (select run_id from publications order by run_id limit 1)")
	r.wants(r.once(r.another(lint).ID), "published", "", 6) // one refusal may be chance
	r.exec("update publications set pr_state = 'merged', reverted_at = now() where run_id in (select run_id from publications where pr_state = 'open' order by run_id limit 1)")
	got := r.once(r.another(lint).ID)
	r.wants(got, "declined", "suggest_mode", 6)
	if !strings.Contains(got.Explanation, "2 of our last 6 pull requests about this class of failure") {
		t.Error(got.Explanation)
	}
	r.wants(r.once(r.another(unchanged).ID), "published", "", 7) // another class
}

func TestOneIncidentInTwoRepositoriesHasOnePullRequest(t *testing.T) {
	r := newRig(t)
	r.Incidents = time.Hour
	other, err := r.forge.CreateRepo("acme", "other", "main")
	if err != nil {
		t.Fatal(err)
	}
	r.git("push", "-q", strings.Replace(r.url(), "hello.git", "other.git", 1), "HEAD:refs/heads/main")
	trouble := func(_ *ci.Failure, fix *store.Fix, _ *evidence.Report) { fix.Trouble = "t" }
	elsewhere := func(f *ci.Failure, fix *store.Fix, report *evidence.Report) {
		trouble(f, fix, report)
		f.Repository.ID, f.Repository.Name, f.HeadRepository = fmt.Sprint(other.ID), "other", "acme/other"
	}
	leader := r.once(r.another(trouble).ID)
	r.wants(leader, "published", "", 1)
	got := r.once(r.another(elsewhere).ID)
	r.wants(got, "superseded", "incident", 1)
	h, err := r.st.History(t.Context(), leader.ID)
	if err != nil || got.Follows == nil || *got.Follows != leader.ID || len(h.Followers) != 1 || h.Followers[0] != got.ID {
		t.Errorf("follows %v, followers %v, %v", got.Follows, h.Followers, err)
	}
	if !strings.Contains(got.Explanation, r.prs()[0].URL) || r.tel.Count("sre_agent_pr_create_skipped_total", "incident") != 1 {
		t.Error(got.Explanation)
	}
	// What is not open any more stands for nothing, whatever the record says.
	if err := r.forge.ClosePullRequest("acme", "hello", 1); err != nil {
		t.Fatal(err)
	}
	r.wants(r.once(r.another(elsewhere).ID), "published", "", 1)
	if n := len(r.forge.PullRequests("acme", "other")); n != 1 {
		t.Errorf("%d pull requests in the other repository", n)
	}
}
