package redeliver_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/redeliver"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

const token = "hook-token-0123456789"

// receiver answers deliveries with a status, and remembers them.
type receiver struct {
	url    string
	status atomic.Int64
	mu     sync.Mutex
	got    []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.status.Store(http.StatusServiceUnavailable)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.got = append(r.got, req.Header.Get("X-GitHub-Delivery"))
		r.mu.Unlock()
		w.WriteHeader(int(r.status.Load()))
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

func (r *receiver) times(guid string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, g := range r.got {
		if g == guid {
			n++
		}
	}
	return n
}

// clock is moved by hand.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// records is a set of delivery ids.
type records map[string]bool

func (r records) KnownDeliveries(_ context.Context, provider string, ids []string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, id := range ids {
		if r[provider+"/"+id] {
			known[id] = true
		}
	}
	return known, nil
}

type rig struct {
	forge *forgetest.Server
	recv  *receiver
	clock *clock
	known records
	key   *rsa.PrivateKey
}

func newRig(t *testing.T, perPage int) *rig {
	t.Helper()
	r := &rig{recv: newReceiver(t), clock: newClock(), known: records{}}
	var err error
	if r.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if r.forge, err = forgetest.Start(forgetest.Options{MaxPerPage: perPage, Now: r.clock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.forge.Close(); err != nil {
			t.Error(err)
		}
		if v := r.forge.Violations(); len(v) > 0 {
			t.Errorf("against GitHub's description: %q", v)
		}
	})
	return r
}

func (r *rig) hook(owner, name string) int64 {
	return r.forge.AddHook(forgetest.Hook{Owner: owner, Name: name, URL: r.recv.url, Secret: "s", Tokens: []string{token}})
}

func (r *rig) round(t *testing.T, with string, addresses ...string) *redeliver.Round {
	t.Helper()
	parsed, err := config.ParseGitHubHooks(addresses)
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := redeliver.GitHub(r.forge.APIURL(), with, "4711", r.key, parsed, r.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	return &redeliver.Round{
		Hooks: hooks, Records: r.known, Limits: redeliver.DefaultLimits(), Now: r.clock.now,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func (r *rig) run(t *testing.T, round *redeliver.Round) []redeliver.Report {
	t.Helper()
	reports := round.Run(t.Context(), r.clock.now().Add(-redeliver.Window))
	for _, rep := range reports {
		if rep.Err != nil {
			t.Errorf("%s: %v", rep.Hook, rep.Err)
		}
	}
	return reports
}

func (r *rig) fail(t *testing.T, hook int64, n int) {
	t.Helper()
	for i := range n {
		r.clock.pass(time.Second)
		if code := r.forge.Deliver(t.Context(), hook, guid(i), "workflow_run", []byte(`{}`)); code != 503 {
			t.Fatalf("delivered with %d", code)
		}
	}
}

func guid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func verdicts(rep redeliver.Report) []string {
	var out []string
	for _, c := range rep.Deliveries {
		out = append(out, c.Delivery[len(c.Delivery)-2:]+" "+c.Verdict)
	}
	return out
}

func TestFailedDeliveriesOfEachKindOfHookAreAskedForOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hook func(*rig) (int64, string)
	}{
		"a repository's": {func(r *rig) (int64, string) {
			id := r.hook("acme", "shop")
			return id, fmt.Sprintf("repo:acme/shop:%d", id)
		}},
		"an organisation's": {func(r *rig) (int64, string) { id := r.hook("acme", ""); return id, fmt.Sprintf("org:acme:%d", id) }},
		"an App's": {func(r *rig) (int64, string) {
			return r.forge.AddHook(forgetest.Hook{URL: r.recv.url, Secret: "s", AppID: "4711", AppKey: &r.key.PublicKey}), "app"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2) // several pages
			id, address := tc.hook(r)
			r.fail(t, id, 5)
			r.known["github/"+guid(3)] = true // it came in, though the answer got lost
			r.recv.status.Store(http.StatusAccepted)
			r.forge.Deliver(t.Context(), id, guid(90), "workflow_run", []byte(`{}`))

			round := r.round(t, token, address)
			round.DryRun = true
			want := []string{"00 would_ask", "01 would_ask", "02 would_ask", "03 recorded", "04 would_ask"}
			if rep := r.run(t, round)[0]; cmp.Diff(want, verdicts(rep)) != "" || rep.Attempts != 6 || !rep.Whole || len(r.forge.Requests()) != 0 {
				t.Errorf("dry run: %+v, %q, %v", rep, verdicts(rep), r.forge.Requests())
			}
			round.DryRun = false
			want = []string{"00 asked", "01 asked", "02 asked", "03 recorded", "04 asked"}
			if rep := r.run(t, round)[0]; cmp.Diff(want, verdicts(rep)) != "" || rep.Counts[redeliver.Asked] != 4 {
				t.Errorf("%q", verdicts(rep))
			}
			testenv.Eventually(t, 10*time.Second, func() bool {
				for _, n := range []int{0, 1, 2, 4} {
					if r.forge.Attempts(id, guid(n)) != 2 {
						return false
					}
				}
				return true
			})
			if n := r.recv.times(guid(3)); n != 1 {
				t.Errorf("the recorded one was sent %d times", n)
			}
			if rep := r.run(t, round)[0]; cmp.Diff([]string{"03 recorded"}, verdicts(rep)) != "" {
				t.Errorf("afterwards: %q", verdicts(rep))
			}
		})
	}
}

func TestWhileNobodyAnswersItIsAskedLessAndLessAndThenNoMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	id := r.hook("acme", "shop")
	r.fail(t, id, 1)
	round := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", id))
	round.Limits = redeliver.Limits{Asks: 4, PerRound: 10, Rest: 30 * time.Minute}
	asked := map[int]bool{}
	for hour := range 30 {
		before := r.forge.Attempts(id, guid(0))
		switch rep := r.run(t, round)[0]; rep.Deliveries[0].Verdict {
		case redeliver.Asked:
			asked[hour] = true
			testenv.Eventually(t, 10*time.Second, func() bool { return r.forge.Attempts(id, guid(0)) == before+1 })
		case redeliver.Resting, redeliver.GaveUp:
		default:
			t.Fatalf("hour %d: %s", hour, rep.Deliveries[0].Verdict)
		}
		r.clock.pass(time.Hour)
	}
	if !cmp.Equal(asked, map[int]bool{0: true, 1: true, 2: true, 4: true}) || r.forge.Attempts(id, guid(0)) != 5 {
		t.Errorf("asked at the hours %v", asked)
	}
	r.clock.pass(72 * time.Hour)
	if rep := r.run(t, round)[0]; rep.Attempts != 0 {
		t.Errorf("GitHub has forgotten it, but: %+v", rep)
	}
}

func TestARoundTakesTheOldestFirstAndLeavesTheRestForLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	id := r.hook("acme", "shop")
	r.fail(t, id, 5)
	round := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", id))
	round.Limits.PerRound = 2
	want := []string{"00 asked", "01 asked", "02 later", "03 later", "04 later"}
	if rep := r.run(t, round)[0]; cmp.Diff(want, verdicts(rep)) != "" {
		t.Errorf("%q", verdicts(rep))
	}
}

func TestADeliveryThatTwoHooksMissedIsAskedForAtOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	repo, org := r.hook("acme", "shop"), r.hook("acme", "")
	r.fail(t, repo, 1)
	r.fail(t, org, 1)
	reports := r.run(t, r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", repo), fmt.Sprintf("org:acme:%d", org)))
	if reports[0].Deliveries[0].Verdict != redeliver.Asked || reports[1].Deliveries[0].Verdict != redeliver.Elsewhere {
		t.Errorf("%q, %q", verdicts(reports[0]), verdicts(reports[1]))
	}
}

func TestWhatTheProviderRefusesIsSaidAndDoesNotStopOtherHooks(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	bad, good := r.hook("acme", "gone"), r.hook("acme", "shop")
	r.fail(t, bad, 1)
	r.fail(t, good, 2)
	wrong := r.round(t, "another-token-9876543210", fmt.Sprintf("repo:acme/gone:%d", bad))
	right := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", good))
	right.Hooks = slices.Concat(wrong.Hooks, right.Hooks)
	reports := right.Run(t.Context(), r.clock.now().Add(-redeliver.Window))
	if reports[0].Err == nil || !strings.Contains(reports[0].Error, "404") || strings.Contains(reports[0].Error, "9876543210") || reports[0].Whole {
		t.Errorf("%+v", reports[0])
	}
	if reports[1].Err != nil || reports[1].Counts[redeliver.Asked] != 2 {
		t.Errorf("%+v", reports[1])
	}
}

func TestALimitEndsTheRoundAndSaysForHowLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	id := r.hook("acme", "shop")
	r.fail(t, id, 3)
	posts := 0
	r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
		if req.Method != http.MethodPost {
			return nil
		}
		if posts++; posts == 1 {
			return nil
		}
		return &forgetest.Fault{Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"90"}}, Body: `{"message":"You have exceeded a secondary rate limit"}`}
	})
	reports := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", id)).Run(t.Context(), r.clock.now().Add(-redeliver.Window))
	var retry *httpapi.RetryError
	if !errors.As(reports[0].Err, &retry) || retry.RetryAfter() != 90*time.Second {
		t.Errorf("%v", reports[0].Err)
	}
	if diff := cmp.Diff([]string{"00 asked", "01 later", "02 later"}, verdicts(reports[0])); diff != "" || posts != 2 {
		t.Errorf("%d requests (-want +got):\n%s", posts, diff)
	}
}

func TestWhenTheAnswerToARequestIsLostItIsAskedForAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	id := r.hook("acme", "shop")
	r.fail(t, id, 1)
	lost := false
	r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
		if req.Method != http.MethodPost || lost {
			return nil
		}
		lost = true
		return &forgetest.Fault{AfterEffect: true, Drop: true}
	})
	round := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", id))
	if rep := round.Run(t.Context(), r.clock.now().Add(-redeliver.Window))[0]; rep.Err == nil || rep.Deliveries[0].Verdict != redeliver.Later {
		t.Errorf("%+v", rep)
	}
	testenv.Eventually(t, 10*time.Second, func() bool { return r.forge.Attempts(id, guid(0)) == 2 })
	if rep := r.run(t, round)[0]; rep.Deliveries[0].Verdict != redeliver.Resting {
		t.Errorf("what was asked for unseen rests: %q", verdicts(rep))
	}
	r.clock.pass(time.Hour)
	if rep := r.run(t, round)[0]; rep.Deliveries[0].Verdict != redeliver.Asked {
		t.Errorf("%q", verdicts(rep))
	}
}

func TestAnAppsKeyThatIsNotItsOwnIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r.forge.AddHook(forgetest.Hook{URL: r.recv.url, AppID: "4711", AppKey: &other.PublicKey})
	if rep := r.round(t, token, "app").Run(t.Context(), r.clock.now())[0]; rep.Err == nil || !strings.Contains(rep.Error, "401") {
		t.Errorf("%+v", rep)
	}
}

func TestANextPageIsNeverFetchedFromElsewhereNorForEver(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked elsewhere") }))
	defer elsewhere.Close()
	pages := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/repos/acme/shop/hooks/7/deliveries" || req.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("asked for %s", req.URL.Path)
		}
		pages++
		w.Header().Set("Link", "<"+elsewhere.URL+`/x?cursor=again>; rel="next"`)
		_, _ = w.Write([]byte(`[{"id":1,"guid":"a\u001b[2J","delivered_at":"2026-01-02T03:04:05Z","status_code":503}]`))
	}))
	defer srv.Close()
	hooks, err := redeliver.GitHub(srv.URL, token, "", nil, []config.HookAddress{{Kind: "repo", Path: "acme/shop", ID: 7}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	round := redeliver.Round{Hooks: hooks, Records: records{}, Limits: redeliver.DefaultLimits(), Now: time.Now}
	rep := round.Run(t.Context(), time.Time{})[0]
	if rep.Err != nil || pages != 2 || len(rep.Deliveries) != 0 {
		t.Errorf("%d pages, %+v", pages, rep)
	}
}

func TestOlderAttemptsThanAskedForAreNotLookedAt(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	id := r.hook("acme", "shop")
	r.fail(t, id, 3)
	r.clock.pass(2 * time.Hour)
	r.forge.Deliver(t.Context(), id, guid(50), "workflow_run", []byte(`{}`))
	rep := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", id)).Run(t.Context(), r.clock.now().Add(-time.Hour))[0]
	if diff := cmp.Diff([]string{"50 asked"}, verdicts(rep)); diff != "" || rep.Attempts != 1 || !rep.Whole {
		t.Errorf("%+v (-want +got):\n%s", rep, diff)
	}
}

func TestAHookWhoseProviderRefusesEverythingIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	id := r.hook("acme", "shop")
	r.fail(t, id, 7)
	r.forge.SetFault(func(req *http.Request) *forgetest.Fault {
		if req.Method != http.MethodPost {
			return nil
		}
		return &forgetest.Fault{Status: http.StatusForbidden, Body: `{"message":"Resource not accessible by personal access token"}`}
	})
	rep := r.round(t, token, fmt.Sprintf("repo:acme/shop:%d", id)).Run(t.Context(), r.clock.now().Add(-time.Hour))[0]
	if rep.Err == nil || rep.Counts[redeliver.Refused] != 5 || rep.Counts[redeliver.Later] != 2 || len(r.forge.Requests()) != 5 {
		t.Errorf("%+v, %d requests", rep, len(r.forge.Requests()))
	}
}
