package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// scenario is one of the incidents of docs/ops.md, by its anchor there.
type scenario struct {
	name, what string
	// parts are what it may be about; the first one is what it is about unless somebody says otherwise.
	parts []string
	// extra is the services' configuration besides the usual.
	extra func(dir string) (map[string]string, error)
	// bring brings the incident about. It may set what mends it.
	bring func(ctx context.Context, n *incident, part string) error
	// over says whether the incident is over.
	over func(ctx context.Context, n *incident) bool
}

// scenarioWithin is how long it may take until the system is in a scenario's state.
const scenarioWithin = 2 * time.Minute

func scenarios() []scenario {
	return []scenario{
		{name: "webhook-storm", what: "one repository fails over and over", bring: bringStorm, over: stormOver},
		{name: "queue-backlog", what: "deliveries come in and nobody takes them", bring: bringBacklog, over: backlogOver},
		{name: "pull-request-spam-loop", what: "one repository gets one pull request after another", bring: bringSpam, over: spamOver},
		{name: "scanner-failures", what: "a scanner of the runner's fails", extra: brokenScanner, bring: bringScanner, over: onePublished},
		{name: "dead-letters-growing", what: "messages are given up", bring: bringLetters, over: lettersOver},
		{name: "one-repository-stuck", what: "one repository does not move, all others do", bring: bringStuck, over: stuckOver},
		{
			name: "a-dependency-is-down", what: "a server does not answer", parts: []string{"redis", "postgresql", "nats", "forge"},
			bring: bringOutage, over: onePublished,
		},
		{name: "lost-disk", what: "the disk with the streams is gone", bring: bringLostDisk, over: onePublished},
		{name: "secret-leaked", what: "a secret came in with a webhook", bring: bringSecret, over: secretOver},
		{name: "rolling-back-a-release", what: "an older release does not start after a newer one ran", bring: bringRollback, over: onePublished},
	}
}

// onePublished says that the one failure ended with its one pull request.
func onePublished(ctx context.Context, n *incident) bool { return n.published(ctx, 1) }

const (
	noisyName     = "noisy"
	noisyFailures = 25
)

func bringStorm(ctx context.Context, n *incident, _ string) error {
	for i := range noisyFailures {
		p := githubtest.Params{
			RepositoryID: 4242, Owner: demo.Owner, Name: noisyName, CloneURL: n.scene.Forge.URL() + "/acme/noisy.git", WebURL: n.scene.Forge.URL() + "/acme/noisy",
			DefaultBranch: "main", Branch: "main", SHA: fmt.Sprintf("%040x", i+1), Workflow: ".github/workflows/ci.yml", WorkflowName: "CI",
			RunID: int64(1000 + i), SuiteID: int64(1000 + i), Attempt: 1, Actor: "dev",
		}
		if err := n.send(ctx, "workflow_run", fmt.Sprint("storm-", i), githubtest.FailedRun(p)); err != nil {
			return err
		}
	}
	if err := n.failAndSend(ctx); err != nil {
		return err
	}
	return n.await(ctx, scenarioWithin, "the storm does not wait", func(ctx context.Context) bool {
		return n.waiting(ctx, noisyName, run.WaitRateLimited) > 5 && n.published(ctx, 1)
	})
}

func stormOver(ctx context.Context, n *incident) bool {
	paused, err := n.st.Paused(ctx)
	return err == nil && paused == 0 && n.waiting(ctx, noisyName, "") == 0 && n.published(ctx, 1)
}

// waiting counts a repository's runs that wait for a reason, or (with "") for any.
func (n *incident) waiting(ctx context.Context, repository, reason string) (waiting int) {
	runs, err := n.st.Runs(ctx, string(run.Waiting), 1000)
	if err != nil {
		return -1
	}
	for _, r := range runs {
		if r.Failure.Repository.Name == repository && (reason == "" || r.Reason == reason) {
			waiting++
		}
	}
	return waiting
}

func bringBacklog(ctx context.Context, n *incident, _ string) error {
	if err := n.pauseStage(ctx, streams.Deliveries, streams.ThrottleConsumer); err != nil {
		return err
	}
	for i := range 20 {
		if err := n.send(ctx, "push", fmt.Sprint("push-", i), fmt.Appendf(nil, `{"ref":"refs/heads/main","n":%d}`, i)); err != nil {
			return err
		}
	}
	return n.failAndSend(ctx)
}

func (n *incident) pauseStage(ctx context.Context, stream, consumer string) error {
	return n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		_, err := bus.JetStream().PauseConsumer(ctx, stream, consumer, time.Now().Add(24*time.Hour))
		return err
	})
}

func backlogOver(ctx context.Context, n *incident) bool {
	return backlogOf(ctx, n) == 0 && n.published(ctx, 1)
}

// backlogOf is how many deliveries are not recorded yet, or -1 when NATS does not answer.
func backlogOf(ctx context.Context, n *incident) float64 {
	left := -1.0
	err := n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		lags, err := bus.Lags(ctx)
		for _, l := range lags {
			if l.Stream == streams.Deliveries {
				left = float64(l.Pending + l.AckPending)
			}
		}
		return err
	})
	if err != nil {
		return -1
	}
	return left
}

const spamPulls = 3

func bringSpam(ctx context.Context, n *incident, _ string) error {
	n.mend = n.failAndSend
	for range spamPulls {
		if err := n.failAndSend(ctx); err != nil {
			return err
		}
	}
	return n.await(ctx, scenarioWithin, "no pull requests", func(ctx context.Context) bool { return n.published(ctx, spamPulls) })
}

func spamOver(ctx context.Context, n *incident) bool {
	runs, err := n.st.Runs(ctx, string(run.Declined), 10)
	return err == nil && len(runs) == 1 && runs[0].Reason == "shadow_mode" && n.published(ctx, spamPulls)
}

func brokenScanner(dir string) (map[string]string, error) {
	path := filepath.Join(dir, "osv-scanner")
	return map[string]string{"SCANNERS": path}, os.WriteFile(path, []byte("#!/bin/sh\necho 'no such database' >&2\nexit 127\n"), 0o755)
}

func bringScanner(ctx context.Context, n *incident, _ string) error {
	n.mend = func(context.Context) error {
		path := filepath.Join(n.dir, "osv-scanner")
		if err := os.WriteFile(path+".new", []byte("#!/bin/sh\necho '{\"results\":[]}'\n"), 0o755); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
	if err := n.failAndSend(ctx); err != nil {
		return err
	}
	return n.await(ctx, scenarioWithin, "the run is not blocked", func(ctx context.Context) bool {
		blocked, err := n.st.Runs(ctx, string(run.Blocked), 10)
		return err == nil && len(blocked) == 1 && blocked[0].Reason == "scan_failed"
	})
}

func bringLetters(ctx context.Context, n *incident, _ string) error {
	for i := range 3 {
		if err := n.send(ctx, "workflow_run", fmt.Sprint("broken-", i), fmt.Appendf(nil, `{"action":"completed","n":%d}`, i)); err != nil {
			return err
		}
	}
	p, err := n.fail()
	if err != nil {
		return err
	}
	err = n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		h := nats.Header{
			streams.HdrDeadReason: {streams.ReasonMaxDeliveries}, streams.HdrDeadError: {"given up after 10 deliveries"}, streams.HdrDeadStream: {streams.Deliveries},
			streams.HdrDeadID: {"github-given-up"}, "Sre-Type": {streams.TypeDelivery}, "Sre-Version": {"1"}, "Sre-Time": {time.Now().UTC().Format(time.RFC3339Nano)},
			streams.HdrProvider: {"github"}, streams.HdrDeliveryID: {"given-up"}, streams.HdrEvent: {"workflow_run"},
		}
		_, err := bus.JetStream().PublishMsg(ctx, &nats.Msg{Subject: "dead." + streams.DeliverySubject("github", demo.Owner, demo.Name), Header: h, Data: githubtest.FailedRun(p)})
		return err
	})
	if err != nil {
		return err
	}
	return n.await(ctx, scenarioWithin, "no dead letters", func(ctx context.Context) bool { return n.letters(ctx) == 4 })
}

func (n *incident) letters(ctx context.Context) (letters int) {
	err := n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		return bus.Letters(ctx, func(streams.Letter) (bool, error) { letters++; return true, nil })
	})
	if err != nil {
		return -1
	}
	return letters
}

func lettersOver(ctx context.Context, n *incident) bool {
	return n.letters(ctx) == 0 && n.published(ctx, 1)
}

func bringStuck(ctx context.Context, n *incident, _ string) error {
	if err := n.failAndSend(ctx); err != nil {
		return err
	}
	if err := n.await(ctx, scenarioWithin, "no pull request", func(ctx context.Context) bool { return n.published(ctx, 1) }); err != nil {
		return err
	}
	found, err := n.st.FindRepositories(ctx, "", demo.Owner, demo.Name)
	if err != nil || len(found) != 1 {
		return errors.Join(err, errors.New("the repository is not known"))
	}
	_, _, err = n.st.ChangeRepository(ctx, found[0].ID, store.OpPause, store.Actor{Who: "a colleague", Why: "looking into it"}, func(s *store.RepositorySettings) {
		now := time.Now()
		s.PausedAt = &now
	})
	if err != nil {
		return err
	}
	if err := n.failAndSend(ctx); err != nil {
		return err
	}
	return n.await(ctx, scenarioWithin, "no run waits", func(ctx context.Context) bool { return n.waiting(ctx, demo.Name, "") == 1 })
}

func stuckOver(ctx context.Context, n *incident) bool { return n.published(ctx, 2) }

func bringSecret(ctx context.Context, n *incident, _ string) error {
	p, err := n.fail()
	if err != nil {
		return err
	}
	p.Message = "use ghp_" + strings.Repeat("Zq3", 12)
	return n.send(ctx, "workflow_run", "leaky", githubtest.FailedRun(p))
}

// secretOver says that the delivery is no longer in the stream, and that the publisher goes on.
func secretOver(ctx context.Context, n *incident) bool {
	kept, paused := true, true
	err := n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		kept = false
		err := bus.SelectDeliveries(ctx, streams.Selection{Provider: "github", IDs: []string{"leaky"}}, func(streams.Kept) (bool, error) {
			kept = true
			return false, nil
		})
		if err != nil {
			return err
		}
		c, err := bus.JetStream().Consumer(ctx, streams.Fixes, streams.PublisherConsumer)
		if err == nil {
			paused = c.CachedInfo().Paused
		}
		return err
	})
	return err == nil && !kept && !paused && n.published(ctx, 1)
}

func bringRollback(ctx context.Context, n *incident, _ string) error {
	if err := n.stopServices(); err != nil {
		return err
	}
	err := n.withBus(ctx, func(ctx context.Context, bus *streams.Bus) error {
		s, err := bus.JetStream().Stream(ctx, streams.Deliveries)
		if err != nil {
			return err
		}
		cfg := s.CachedInfo().Config
		cfg.Subjects = []string{"deliveries.>", "deliveries-of-the-next-release.>"}
		_, err = bus.JetStream().UpdateStream(ctx, cfg)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := n.st.Pool().Exec(ctx, "insert into goose_db_version (version_id, is_applied) values (90000, true)"); err != nil {
		return err
	}
	n.mend = func(ctx context.Context) error {
		if err := n.startServices(ctx); err != nil {
			return err
		}
		return n.failAndSend(ctx)
	}
	return nil
}
