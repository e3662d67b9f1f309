package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/streams"
)

func (a *app) deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "Look at webhook deliveries, and replay them", RunE: group}
	cmd.AddCommand(a.deliveriesListCommand(), a.deliveriesShowCommand(), a.deliveriesReplayCommand())
	return cmd
}

func (a *app) deliveriesListCommand() *cobra.Command {
	var outcome string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the newest recorded deliveries", Args: cobra.NoArgs,
		Long: "List the newest deliveries that the database at DATABASE_URL has a record of, and what became of them.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if outcomes := store.Outcomes(); outcome != "" && !slices.Contains(outcomes, outcome) {
				return &usageError{fmt.Sprintf("unknown outcome %q: want one of %s", outcome, strings.Join(outcomes, ", "))}
			}
			if limit < 1 || limit > 10_000 {
				return &usageError{"--limit must be from 1 to 10000"}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.listDeliveries(ctx, st, outcome, int32(limit), asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&outcome, "outcome", "", "only deliveries that ended so: "+strings.Join(store.Outcomes(), ", "))
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// deliveryRowView is what --json prints.
type deliveryRowView struct {
	Provider string `json:"provider"`
	deliveryView
	RecordedAt time.Time `json:"recorded_at"`
	BodySHA256 string    `json:"body_sha256"`
	RunID      *int64    `json:"run_id,omitempty"`
	RunState   string    `json:"run_state,omitempty"`
	Repository string    `json:"repository,omitempty"`
}

func viewOfDeliveryRow(d store.DeliveryRow) deliveryRowView {
	return deliveryRowView{
		d.Provider,
		deliveryView{d.DeliveryID, d.Event, d.Outcome, d.Reason, d.ReceivedAt},
		d.RecordedAt, d.BodySha256, d.RunID, d.RunState,
		fullName(d.Owner, d.Name),
	}
}

func fullName(owner, name string) string {
	if owner == "" && name == "" {
		return ""
	}
	return owner + "/" + name
}

func (a *app) listDeliveries(ctx context.Context, st *store.Store, outcome string, limit int32, asJSON bool) error {
	found, err := st.Deliveries(ctx, outcome, limit)
	if err != nil {
		return err
	}
	if asJSON {
		views := make([]deliveryRowView, 0, len(found))
		for _, d := range found {
			views = append(views, viewOfDeliveryRow(d))
		}
		return printJSON(a.stdout, views)
	}
	if len(found) == 0 {
		a.terminal().printf("no deliveries\n")
		return nil
	}
	rows := [][]string{{"RECEIVED", "PROVIDER", "DELIVERY", "EVENT", "OUTCOME", "REASON", "RUN", "STATE", "REPOSITORY"}}
	for _, d := range found {
		rows = append(rows, []string{
			stamp(d.ReceivedAt), d.Provider, d.DeliveryID, d.Event, d.Outcome, d.Reason, runNumber(d.RunID), d.RunState, fullName(d.Owner, d.Name),
		})
	}
	a.terminal().table(rows)
	return nil
}

func runNumber(id *int64) string {
	if id == nil {
		return ""
	}
	return strconv.FormatInt(*id, 10)
}

func (a *app) deliveriesShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show PROVIDER ID", Short: "Show what became of a delivery", Args: cobra.ExactArgs(2),
		Long: "Show a delivery's record and run from the database at DATABASE_URL and, when NATS_URL is set, its message in the stream and\n" +
			"its dead letters. For example: sre-agent deliveries show github 5b0f0de2-1a7c-11f0-9d63-5b0b4a9f1c55\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showDelivery(cmd.Context(), args[0], args[1], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// whereabouts is all that is known of one delivery.
type whereabouts struct {
	Record *db.Delivery
	Run    *store.Run
	// Looked is false when no stream was named.
	Looked  bool
	Kept    *streams.Kept
	Letters []streams.Letter
}

// whereaboutsView is what --json prints.
type whereaboutsView struct {
	Record  *deliveryRowView `json:"record,omitempty"`
	Run     *runView         `json:"run,omitempty"`
	Message *keptView        `json:"message,omitempty"`
	Letters []letterView     `json:"dead_letters"`
}

type keptView struct {
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"subject"`
	Bytes    int       `json:"bytes"`
}

func (a *app) showDelivery(ctx context.Context, provider, id string, asJSON bool) error {
	w, err := a.lookFor(ctx, provider, id)
	if err != nil {
		return err
	}
	if w.Record == nil && w.Kept == nil && len(w.Letters) == 0 {
		return fmt.Errorf("there is no delivery %s of %s", id, provider)
	}
	if asJSON {
		return printJSON(a.stdout, w.view())
	}
	a.terminal().whereabouts(provider, id, w)
	return nil
}

func (a *app) lookFor(ctx context.Context, provider, id string) (w whereabouts, err error) {
	err = a.withStore(ctx, func(ctx context.Context, st *store.Store) error {
		record, err := st.DeliveryRecord(ctx, provider, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		w.Record = &record
		if record.RunID == nil {
			return nil
		}
		r, err := st.Run(ctx, *record.RunID)
		w.Run = &r
		return err
	})
	if err != nil {
		return w, err
	}
	if cfg, err := a.operator(); err != nil || cfg.NATSURL == "" {
		return w, err
	}
	w.Looked = true
	return w, a.withStreams(ctx, func(ctx context.Context, bus *streams.Bus) error { return w.look(ctx, bus, provider, id) })
}

// clocks is how far the clock of whoever took a delivery in may be from the stream's.
const clocks = 2 * time.Hour

func (w *whereabouts) look(ctx context.Context, bus *streams.Bus, provider, id string) error {
	sel := streams.Selection{Provider: provider, IDs: []string{id}}
	if w.Record != nil {
		sel.Since = w.Record.ReceivedAt.Add(-clocks)
	}
	err := bus.SelectDeliveries(ctx, sel, func(k streams.Kept) (bool, error) {
		w.Kept = &k
		return false, nil
	})
	if err != nil {
		return err
	}
	return bus.Letters(ctx, func(l streams.Letter) (bool, error) {
		if l.Provider == provider && l.DeliveryID == id {
			w.Letters = append(w.Letters, l)
		}
		return true, nil
	})
}

func (w *whereabouts) view() whereaboutsView {
	v := whereaboutsView{Letters: []letterView{}}
	if d := w.Record; d != nil {
		v.Record = &deliveryRowView{
			Provider: d.Provider, deliveryView: deliveryView{d.DeliveryID, d.Event, d.Outcome, d.Reason, d.ReceivedAt},
			RecordedAt: d.RecordedAt, BodySHA256: d.BodySha256, RunID: d.RunID,
		}
	}
	if w.Run != nil {
		r := viewOfRun(*w.Run)
		v.Run, v.Record.RunState, v.Record.Repository = &r, r.State, r.Failure.Repository.FullName()
	}
	if k := w.Kept; k != nil {
		v.Message = &keptView{k.Stream, k.Sequence, k.Time, k.Subject, k.Bytes}
	}
	for _, l := range w.Letters {
		v.Letters = append(v.Letters, viewOfLetter(l))
	}
	return v
}

func (t terminal) whereabouts(provider, id string, w whereabouts) {
	t.printf("%s\n", t.bold(visible("delivery "+id+" of "+provider)))
	if d := w.Record; d != nil {
		t.field("event", d.Event)
		t.field("received", stamp(d.ReceivedAt))
		t.field("recorded", stamp(d.RecordedAt)+" as "+withReason(d.Outcome, d.Reason))
	} else {
		t.field("recorded", "no: the throttle has not worked on it yet, or could not")
	}
	if r := w.Run; r != nil {
		t.field("run", fmt.Sprintf("%d  %s  %s", r.ID, withReason(r.State, r.Reason), r.Failure.Repository.FullName()))
	}
	switch {
	case w.Kept != nil:
		t.field("message", fmt.Sprintf("%s/%d of %s, %d bytes, %s", w.Kept.Stream, w.Kept.Sequence, stamp(w.Kept.Time), w.Kept.Bytes, w.Kept.Subject))
	case w.Looked:
		t.field("message", "no longer in the stream")
	default:
		t.field("message", "not looked for: NATS_URL is not set")
	}
	for _, l := range w.Letters {
		t.field("dead letter", fmt.Sprintf("%d of %s: %s", l.Sequence, stamp(l.Time), withReason(l.Reason, clip(l.Error, shownWidth))))
	}
}
