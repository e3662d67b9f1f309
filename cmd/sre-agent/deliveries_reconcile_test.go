package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/redeliver"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/streams"
)

const hookSecret = "the-secret-of-the-hook"

// sometimes is ingest, which can be down.
type sometimes struct {
	http.Handler
	down atomic.Bool
}

func (s *sometimes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.Handler.ServeHTTP(w, r)
}

// hooked is a forge whose hook leads to the real ingest on bus.
func hooked(t *testing.T, environ map[string]string, bus *streams.Bus) (*forgetest.Server, int64, *sometimes) {
	t.Helper()
	ring := webhook.NewKeyring()
	ring.Add("github", webhook.Keys{Signing: [][]byte{[]byte(hookSecret)}})
	tel := telemetry.NewTest()
	in := &sometimes{Handler: ingest.Handler(ingest.Options{
		Publisher: bus, Counters: tel.Counters, Log: tel.Log, Providers: providers.Table(), Keys: ring,
		MaxBody: 1 << 20, ReadTimeout: 10 * time.Second, PublishTimeout: 5 * time.Second,
	})}
	srv := httptest.NewServer(in)
	t.Cleanup(srv.Close)
	forge, err := forgetest.Start(forgetest.Options{MaxPerPage: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := forge.Close(); err != nil || len(forge.Violations()) > 0 {
			t.Errorf("%v, %q", err, forge.Violations())
		}
	})
	hook := forge.AddHook(forgetest.Hook{
		Owner: "acme", Name: "api", URL: srv.URL + "/webhooks/github", Secret: hookSecret, Tokens: []string{"the-hook-token"},
	})
	environ["GITHUB_API_URL"], environ["GITHUB_HOOK_TOKEN"] = forge.APIURL(), "the-hook-token"
	environ["GITHUB_HOOKS"] = fmt.Sprintf("repo:acme/api:%d", hook)
	return forge, hook, in
}

func guid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func TestWhatIngestMissedIsAskedForAndRecordedOnce(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	st := throttled(t, environ, bus)
	forge, hook, in := hooked(t, environ, bus)
	ctx := t.Context()
	sent := func(n int) int { return forge.Deliver(ctx, hook, guid(n), "workflow_run", failed(n)) }
	if code := sent(0); code != http.StatusAccepted {
		t.Fatalf("answered %d", code)
	}
	in.down.Store(true)
	for n := 1; n < 4; n++ {
		if code := sent(n); code != http.StatusServiceUnavailable {
			t.Fatalf("answered %d", code)
		}
	}
	in.down.Store(false)

	dry := sreAgent(t, environ, "deliveries", "reconcile", "--dry-run")
	dry.want(t, 0, "would be asked for 3\n", "")
	dry.want(t, 0, "4 attempts\n", "")
	dry.want(t, 0, guid(2), "")
	if n := len(forge.Requests()); n != 0 {
		t.Fatalf("a dry run sent %d requests", n)
	}
	// The second request is done, but its answer gets lost: whoever died there would see the same.
	posts := 0
	forge.SetFault(func(r *http.Request) *forgetest.Fault {
		if r.Method != http.MethodPost {
			return nil
		}
		if posts++; posts == 2 {
			return &forgetest.Fault{AfterEffect: true, Drop: true}
		}
		return nil
	})
	cut := sreAgent(t, environ, "deliveries", "reconcile")
	cut.want(t, 1, "asked for    1\n", "ask for a redelivery")
	cut.want(t, 1, "left for later 2\n", "")
	forge.SetFault(nil)

	testenv.Eventually(t, 20*time.Second, func() bool { return forge.Attempts(hook, guid(1)) == 2 && forge.Attempts(hook, guid(2)) == 2 })
	var reports []redeliver.Report
	got := sreAgent(t, environ, "deliveries", "reconcile", "--since", "1h", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &reports); err != nil || got.code != 0 || len(reports) != 1 || reports[0].Counts["asked"] != 1 ||
		len(reports[0].Deliveries) != 1 || reports[0].Deliveries[0].Delivery != guid(3) {
		t.Errorf("%d, %+v, %v\n%s", got.code, reports, err, got.stderr)
	}
	testenv.Eventually(t, 20*time.Second, func() bool { return forge.Attempts(hook, guid(3)) == 2 })
	settled(t, bus, 4)
	if after := tally(t, st); !strings.Contains(after, "4 runs, map[run:4]") {
		t.Error(after)
	}
	// Once more by hand, as GitHub's own button does: it is the same delivery.
	if code := sent(3); code != http.StatusOK {
		t.Errorf("the same delivery is answered %d", code)
	}
	sreAgent(t, environ, "deliveries", "reconcile").want(t, 0, "never succeeded 0 deliveries\n", "")
	sreAgent(t, environ, "deliveries", "show", "GitHub", guid(2)).want(t, 0, "as run\n", "")
	wantMessages(t, bus, streams.Deliveries, 4)
}

func TestADeliveryThatCameInThoughTheProviderSawNoAnswerIsNotAskedFor(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	throttled(t, environ, bus)
	forge, hook, in := hooked(t, environ, bus)
	in.down.Store(true)
	forge.Deliver(t.Context(), hook, guid(1), "workflow_run", failed(1))
	deliver(t, bus, "acme", "api", guid(1), failed(1))
	settled(t, bus, 1)
	got := sreAgent(t, environ, "deliveries", "reconcile")
	got.want(t, 0, "recorded     1\n", "")
	if len(forge.Requests()) != 0 {
		t.Errorf("asked for it: %v", forge.Requests())
	}
}

func TestReconcilingNeedsHooksAndWhatTheyTake(t *testing.T) {
	t.Parallel()
	const database = "postgres://127.0.0.1:1/x"
	for name, tc := range map[string]struct {
		environ map[string]string
		args    []string
		code    int
		stderr  string
	}{
		"no hooks":           {map[string]string{"DATABASE_URL": database}, nil, 2, "GITHUB_HOOKS is not set"},
		"no token":           {map[string]string{"GITHUB_HOOKS": "repo:a/b:1"}, nil, 2, "GITHUB_HOOK_TOKEN is not set"},
		"no key of the App":  {map[string]string{"GITHUB_HOOKS": "app", "GITHUB_APP_ID": "1"}, nil, 2, "GITHUB_APP_PRIVATE_KEY is not set"},
		"no database":        {map[string]string{"GITHUB_HOOKS": "repo:a/b:1", "GITHUB_HOOK_TOKEN": "t"}, nil, 2, "DATABASE_URL is not set"},
		"a hook that is odd": {map[string]string{"GITHUB_HOOKS": "a/b"}, nil, 2, "GITHUB_HOOKS"},
		"a time that is odd": {map[string]string{"GITHUB_HOOKS": "app"}, []string{"--since", "yesterday"}, 2, "--since"},
		"an argument":        {map[string]string{"GITHUB_HOOKS": "app"}, []string{"x"}, 2, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			sreAgent(t, tc.environ, append([]string{"deliveries", "reconcile"}, tc.args...)...).want(t, tc.code, "", tc.stderr)
		})
	}
	// The other commands do without.
	sreAgent(t, map[string]string{"GITHUB_HOOKS": "repo:a/b:1"}, "runs", "list").want(t, 2, "", "DATABASE_URL is not set")
}

// TestEveryProvidersDeliveryIsShown takes one delivery of each provider in, as ingest publishes it.
func TestEveryProvidersDeliveryIsShown(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	throttled(t, environ, bus)
	table := providers.Table()
	for _, p := range table {
		m := deliveryMessage(p.Name, "id-of/"+p.Name, []byte(`{"no":"event"}`))
		if _, err := bus.Publish(context.WithoutCancel(t.Context()), m); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, bus, uint64(len(table)))
	for _, p := range table {
		id := "id-of/" + p.Name
		for form, args := range map[string][]string{
			"two words":      {p.Name, id},
			"capitals":       {strings.ToUpper(p.Name), id},
			"a path":         {p.Name + "/" + id},
			"the message id": {p.Name + "-" + id},
		} {
			got := sreAgent(t, environ, append([]string{"deliveries", "show"}, args...)...)
			got.want(t, 0, "delivery "+id+" of "+p.Name+"\n", "")
			got.want(t, 0, "DELIVERIES/", "")
			if !strings.Contains(got.stdout, " as dead (") && !strings.Contains(got.stdout, " as ignored (") {
				t.Errorf("%s of %s:\n%s", form, p.Name, got.stdout)
			}
			if strings.Contains(got.stdout, " as dead (") && !strings.Contains(got.stdout, "dead letter") {
				t.Errorf("%s of %s: no dead letter:\n%s", form, p.Name, got.stdout)
			}
		}
	}
	for _, args := range [][]string{{"bogus", "x"}, {"bogus/x"}, {"github"}, {"github-"}, {"github", ""}, {"a", "b", "c"}, {}} {
		if got := sreAgent(t, environ, append([]string{"deliveries", "show"}, args...)...); got.code != 2 {
			t.Errorf("%q: exit code %d\n%s", args, got.code, got.stderr)
		}
	}
}

func TestADeliveryIsShownByTheServerThatAnswers(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	throttled(t, environ, bus)
	deliver(t, bus, "acme", "api", "delivery-1", failed(1))
	settled(t, bus, 1)
	with := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for k, v := range environ {
			out[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	for name, tc := range map[string]struct {
		environ map[string]string
		code    int
		stdout  []string
	}{
		"both":             {environ, 0, []string{"as run\n", "1  waiting (new)  acme/api", "DELIVERIES/1"}},
		"no database":      {with("DATABASE_URL", ""), 0, []string{"not looked for: DATABASE_URL is not set", "DELIVERIES/1"}},
		"no NATS":          {with("NATS_URL", ""), 0, []string{"as run\n", "not looked for: NATS_URL is not set"}},
		"a database away":  {with("DATABASE_URL", "postgres://127.0.0.1:1/x"), 1, []string{"the database does not answer", "DELIVERIES/1"}},
		"a NATS away":      {with("NATS_URL", "nats://127.0.0.1:1"), 1, []string{"as run\n", "NATS does not answer"}},
		"neither is named": {map[string]string{}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sreAgent(t, tc.environ, "deliveries", "show", "github", "delivery-1")
			for _, want := range tc.stdout {
				got.want(t, tc.code, want, "")
			}
			if got.code != tc.code {
				t.Errorf("exit code %d: %s", got.code, got.stderr)
			}
		})
	}
	var view whereaboutsView
	got := sreAgent(t, with("DATABASE_URL", ""), "deliveries", "show", "github", "delivery-1", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &view); err != nil || view.NoStore != "DATABASE_URL is not set" || view.Message.Sequence != 1 {
		t.Errorf("%+v, %v", view, err)
	}
}
