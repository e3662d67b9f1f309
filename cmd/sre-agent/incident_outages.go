package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/streams"
)

// bringOutage takes one server away and lets a failure come in meanwhile.
func bringOutage(ctx context.Context, n *incident, part string) error {
	switch part {
	case "redis":
		if err := n.redis.Stop(); err != nil {
			return err
		}
		n.mend = n.startRedis
		return n.failAndSend(ctx)
	case "postgresql":
		if err := n.pg.Stop(); err != nil {
			return err
		}
		n.mend = n.startPostgres
		return n.failAndSend(ctx)
	case "nats":
		n.nats.Shutdown()
		return n.sentAgainAfter(ctx, n.startNATS)
	default:
		n.scene.Forge.SetFault(func(*http.Request) *forgetest.Fault {
			return &forgetest.Fault{Status: http.StatusBadGateway, Body: "down"}
		})
		n.mend = func(context.Context) error { n.scene.Forge.SetFault(nil); return nil }
		if err := n.failAndSend(ctx); err != nil {
			return err
		}
		return n.await(ctx, scenarioWithin, "the run does not wait", func(ctx context.Context) bool {
			return n.waiting(ctx, demo.Name, run.WaitDependency) == 1
		})
	}
}

// sentAgainAfter sends a failure that ingest has to refuse, and lets its sender try again once NATS is back.
func (n *incident) sentAgainAfter(ctx context.Context, start func(context.Context) error) error {
	p, err := n.fail()
	if err != nil {
		return err
	}
	send := func(ctx context.Context) error { return n.send(ctx, "workflow_run", "again", githubtest.FailedRun(p)) }
	if err := send(ctx); err == nil {
		return errors.New("ingest took a delivery that it could not keep")
	}
	n.mend = func(ctx context.Context) error {
		if err := start(ctx); err != nil {
			return err
		}
		return n.await(ctx, scenarioWithin, "ingest does not take the delivery", func(ctx context.Context) bool { return send(ctx) == nil })
	}
	return nil
}

// bringLostDisk loses the streams while a delivery is accepted and not recorded, and NATS with them.
func bringLostDisk(ctx context.Context, n *incident, _ string) error {
	if err := n.pauseStage(ctx, streams.Deliveries, streams.ThrottleConsumer); err != nil {
		return err
	}
	p, err := n.fail()
	if err != nil {
		return err
	}
	if err := n.send(ctx, "workflow_run", "lost", githubtest.FailedRun(p)); err != nil {
		return err
	}
	n.nats.Shutdown()
	if err := os.RemoveAll(n.natsDir()); err != nil {
		return fmt.Errorf("lose the disk: %w", err)
	}
	n.mend = func(ctx context.Context) error {
		if err := n.startNATS(ctx); err != nil {
			return err
		}
		return n.await(ctx, scenarioWithin, "ingest does not take the delivery", func(ctx context.Context) bool {
			return n.send(ctx, "workflow_run", "lost", githubtest.FailedRun(p)) == nil
		})
	}
	return nil
}
