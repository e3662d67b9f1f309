package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/streams"
)

func (a *app) deliveriesShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show PROVIDER ID", Short: "Show what became of a delivery", Args: cobra.RangeArgs(1, 2),
		Long: "Show a delivery's record and run from the database at DATABASE_URL, and its message in the stream and its dead letters from\n" +
			"the server at NATS_URL; from one of them alone when the other is not set. For example:\n" +
			"sre-agent deliveries show github 5b0f0de2-1a7c-11f0-9d63-5b0b4a9f1c55\n\n" +
			"The id is the one in ingest's answer. PROVIDER/ID and the message's id, PROVIDER-ID, will do as well.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			provider, id, err := whichDelivery(args)
			if err != nil {
				return err
			}
			return a.showDelivery(cmd.Context(), provider, id, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// whichDelivery reads PROVIDER ID, PROVIDER/ID, or a message's id, which is PROVIDER-ID. A provider's name may be the
// beginning of another one's, so the longest counts.
func whichDelivery(args []string) (provider, id string, err error) {
	if len(args) == 2 {
		provider, id = strings.ToLower(args[0]), args[1]
	}
	var names []string
	for _, p := range providers.Table() {
		names = append(names, p.Name)
		if len(args) == 1 && len(p.Name) > len(provider) && len(args[0]) > len(p.Name)+1 && strings.EqualFold(args[0][:len(p.Name)], p.Name) &&
			strings.ContainsRune("/-", rune(args[0][len(p.Name)])) {
			provider, id = p.Name, args[0][len(p.Name)+1:]
		}
	}
	if !slices.Contains(names, provider) || id == "" {
		return "", "", &usageError{"say which delivery: PROVIDER ID, with one of the providers " + strings.Join(names, ", ")}
	}
	return provider, id, nil
}

// whereabouts is all that is known of one delivery.
type whereabouts struct {
	Record  *db.Delivery
	Run     *store.Run
	Kept    *streams.Kept
	Letters []streams.Letter
	// NoStore and NoStream say why the records or the stream were not looked at; empty when they were.
	NoStore, NoStream string
}

// whereaboutsView is what --json prints.
type whereaboutsView struct {
	Record  *deliveryRowView `json:"record,omitempty"`
	Run     *runView         `json:"run,omitempty"`
	Message *keptView        `json:"message,omitempty"`
	Letters []letterView     `json:"dead_letters"`
	// Of what was not looked at, why.
	NoStore  string `json:"record_not_looked_for,omitempty"`
	NoStream string `json:"message_not_looked_for,omitempty"`
}

type keptView struct {
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"subject"`
	Bytes    int       `json:"bytes"`
}

// showDelivery shows what is known, and fails when a server that was named did not answer.
func (a *app) showDelivery(ctx context.Context, provider, id string, asJSON bool) error {
	w, failed := a.lookFor(ctx, provider, id)
	if w.Record == nil && w.Kept == nil && len(w.Letters) == 0 {
		if failed != nil {
			return failed
		}
		return fmt.Errorf("there is no delivery %s of %s: it was refused, it never came, or it is forgotten", id, provider)
	}
	if asJSON {
		return errors.Join(failed, printJSON(a.stdout, w.view()))
	}
	a.terminal().whereabouts(provider, id, w)
	return failed
}

// lookFor looks at both servers, or at the one that is configured and answers. The message is more than nothing when the
// database is away, and the record when NATS is.
func (a *app) lookFor(ctx context.Context, provider, id string) (w whereabouts, failed error) {
	cfg, err := a.operator()
	if err != nil {
		return w, err
	}
	w.NoStore, w.NoStream = "DATABASE_URL is not set", "NATS_URL is not set"
	if cfg.DatabaseURL.IsSet() || cfg.NATSURL == "" {
		w.NoStore = ""
		if err := a.withStore(ctx, func(ctx context.Context, st *store.Store) error { return w.ask(ctx, st, provider, id) }); err != nil {
			w.NoStore, failed = "the database does not answer", err
		}
	}
	if cfg.NATSURL != "" {
		w.NoStream = ""
		if err := a.withStreams(ctx, func(ctx context.Context, bus *streams.Bus) error { return w.look(ctx, bus, provider, id) }); err != nil {
			w.NoStream, failed = "NATS does not answer", errors.Join(failed, err)
		}
	}
	return w, failed
}

// ask reads the record and its run.
func (w *whereabouts) ask(ctx context.Context, st *store.Store, provider, id string) error {
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
	if err != nil {
		return err
	}
	w.Run = &r
	return nil
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
	v := whereaboutsView{Letters: []letterView{}, NoStore: w.NoStore, NoStream: w.NoStream}
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
	} else if w.NoStore != "" {
		t.field("recorded", "not looked for: "+w.NoStore)
	} else {
		t.field("recorded", "no: the throttle has not worked on it yet, or could not")
	}
	if r := w.Run; r != nil {
		t.field("run", fmt.Sprintf("%d  %s  %s", r.ID, withReason(r.State, r.Reason), r.Failure.Repository.FullName()))
	}
	switch {
	case w.Kept != nil:
		t.field("message", fmt.Sprintf("%s/%d of %s, %d bytes, %s", w.Kept.Stream, w.Kept.Sequence, stamp(w.Kept.Time), w.Kept.Bytes, w.Kept.Subject))
	case w.NoStream != "":
		t.field("message", "not looked for: "+w.NoStream)
	default:
		t.field("message", "no longer in the stream")
	}
	for _, l := range w.Letters {
		t.field("dead letter", fmt.Sprintf("%d of %s: %s", l.Sequence, stamp(l.Time), withReason(l.Reason, clip(l.Error, shownWidth))))
	}
}
