package publisher

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/notify"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/streams"
)

// staleNews is the age from which on nobody is told any more: after an outage, what happened meanwhile is in the console.
const staleNews = time.Hour

// Follower tells what happens.
type Follower interface {
	Follow(ctx context.Context, name string, kinds []string, dead bool, tell func(context.Context, streams.Event))
}

// News tells people what happens. It only looks on: a slow receiver holds up the next message to people, and no run. What
// is in hand when the process dies may be told twice.
type News struct {
	Notifier *notify.Notifier
	Log      *slog.Logger
	// Redact removes secrets from what people are told.
	Redact func(string) string
}

// NewNews returns nil when nobody is to be told anything.
func NewNews(c *config.Config, log *slog.Logger, redact func(string) string) (*News, error) {
	receivers := map[notify.Severity][]string{}
	for severity, list := range map[notify.Severity]config.SecretList{notify.Info: c.NotifyInfo, notify.Warning: c.NotifyWarning, notify.Error: c.NotifyError} {
		for _, address := range list.Bytes() {
			receivers[severity] = append(receivers[severity], string(address))
		}
	}
	if len(receivers) == 0 {
		return nil, nil //nolint:nilnil // nobody to be told is a choice
	}
	n, err := notify.New(notify.Options{Receivers: receivers, PerMinute: c.NotifyPerMinute})
	if err != nil {
		return nil, fmt.Errorf("notifications: %w", err)
	}
	return &News{Notifier: n, Log: log, Redact: redact}, nil
}

// Loop tells until ctx ends. Each severity has a place of its own, so that none waits for another's receiver.
func (n *News) Loop(ctx context.Context, bus Follower) {
	var all sync.WaitGroup
	defer all.Wait()
	for severity, kinds := range map[notify.Severity][]string{
		notify.Info: {"run." + string(run.Published)}, notify.Warning: {"run." + string(run.Blocked)}, notify.Error: nil,
	} {
		if !n.Notifier.Tells(severity) {
			continue
		}
		all.Go(func() {
			bus.Follow(ctx, "notify-"+string(severity), kinds, severity == notify.Error, func(ctx context.Context, e streams.Event) { n.tell(ctx, severity, e) })
		})
	}
}

func (n *News) tell(ctx context.Context, severity notify.Severity, e streams.Event) {
	if time.Since(e.Time) > staleNews {
		return
	}
	if err := n.Notifier.Notify(ctx, severity, n.Redact(Sentence(e))); err != nil {
		n.Log.WarnContext(ctx, "people were not told", "kind", e.Kind, "run_id", e.RunID, "error", err)
	}
}

// Sentence is what people are told of an event.
func Sentence(e streams.Event) string {
	where := e.Owner + "/" + e.Name
	switch e.Kind {
	case "run." + string(run.Published):
		return fmt.Sprintf("sre-agent: %s: a pull request is open: %s (run %d)", where, e.Detail, e.RunID)
	case "run." + string(run.Blocked):
		return fmt.Sprintf("sre-agent: %s: run %d is blocked (%s): %s", where, e.RunID, e.Reason, e.Detail)
	}
	return fmt.Sprintf("sre-agent: a message was given up (%s): %s\nsre-agent dead list shows it.", e.Reason, e.Detail)
}
