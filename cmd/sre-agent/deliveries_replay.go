package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/streams"
)

// deliveryChoice is which deliveries are to be replayed, as it was written.
type deliveryChoice struct {
	provider, repository, since, until string
	dryRun                             bool
	signature                          signature
}

func (a *app) deliveriesReplayCommand() *cobra.Command {
	var c deliveryChoice
	cmd := &cobra.Command{
		Use: "replay [DELIVERY-ID...]", Short: "Publish deliveries that the stream keeps once more",
		Long: "Publish deliveries that the stream DELIVERIES of the server at NATS_URL keeps once more: those with an id, those of a\n" +
			"repository, those of a time, or those to which all of it applies. What has been worked on already is recognised by its\n" +
			"delivery id and its run key, so a replay makes no second run and no second pull request; a delivery that is recorded as\n" +
			"dead is worked on again.\n\n" +
			"A time is a duration before now (90m, 36h, 7d) or RFC 3339 (2026-01-31T09:00:00Z): when the stream took the delivery.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error { return a.replayDeliveries(cmd.Context(), args, c) },
	}
	cmd.Flags().StringVar(&c.repository, "repository", "", "only deliveries of this repository: owner/name, in the forge's own spelling")
	cmd.Flags().StringVar(&c.provider, "provider", "github", "only deliveries of this provider")
	cmd.Flags().StringVar(&c.since, "since", "", "only deliveries from this time on")
	cmd.Flags().StringVar(&c.until, "until", "", "only deliveries up to this time")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show which deliveries are meant, and do nothing")
	c.signature.flags(cmd, false)
	return cmd
}

// selection reads what was written.
func (c deliveryChoice) selection(ids []string, now time.Time) (sel streams.Selection, err error) {
	if len(ids) == 0 && c.repository == "" && c.since == "" && c.until == "" {
		return sel, &usageError{"say which deliveries: by id, --repository, --since or --until"}
	}
	sel = streams.Selection{Provider: c.provider, IDs: ids}
	if c.repository != "" {
		owner, name, ok := strings.Cut(c.repository, "/")
		if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
			return sel, &usageError{fmt.Sprintf("--repository %q is not owner/name", c.repository)}
		}
		sel.Owner, sel.Name = owner, name
	}
	if sel.Since, err = moment("--since", c.since, now); err != nil {
		return sel, err
	}
	if sel.Until, err = moment("--until", c.until, now); err != nil {
		return sel, err
	}
	if !sel.Until.IsZero() && sel.Until.Before(sel.Since) {
		return sel, &usageError{"--until is before --since"}
	}
	return sel, nil
}

// moment reads a duration before now, or a time.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 {
		return time.Time{}, &usageError{fmt.Sprintf("%s %q is neither a duration such as 90m, 36h or 7d nor a time such as 2026-01-31T09:00:00Z", flag, text)}
	}
	return now.Add(-d), nil
}

func (a *app) replayDeliveries(ctx context.Context, ids []string, c deliveryChoice) error {
	sel, err := c.selection(ids, time.Now())
	if err != nil {
		return err
	}
	by, err := a.sign(c.signature, false)
	if err != nil {
		return err
	}
	return a.withStreams(ctx, func(ctx context.Context, bus *streams.Bus) error {
		p, err := planReplay(ctx, bus, sel)
		if err != nil {
			return err
		}
		if missing := p.missing(ids); missing != "" {
			return fmt.Errorf("not in the stream: %s; nothing was replayed", missing)
		}
		if c.dryRun || len(p.sequences) == 0 {
			a.showPlan(p)
			return nil
		}
		nonce := newNonce()
		n, err := a.each(ctx, "replayed", p.sequences, func(ctx context.Context, seq uint64) error { return bus.ReplayDelivery(ctx, seq, nonce) })
		if n > 0 {
			event := streams.Event{Kind: "deliveries.replayed", Provider: sel.Provider, Owner: sel.Owner, Name: sel.Name, Detail: deliveries(n)}
			if rerr := bus.Record(context.WithoutCancel(ctx), event, by); rerr != nil {
				fmt.Fprintf(a.stderr, "the replay itself is not recorded: %s\n", visible(rerr.Error()))
			}
		}
		a.terminal().printf("replayed %s as replay-*-%s\n", deliveries(n), nonce)
		return err
	})
}

// replayPlan is what a replay would publish: the deliveries' places in the stream, and the first few to look at.
type replayPlan struct {
	sequences []uint64
	first     []streams.Kept
	found     map[string]bool
}

const shownDeliveries = 5

// planReplay reads the whole selection before anything is published, because a replay lands in the stream that it reads.
func planReplay(ctx context.Context, bus *streams.Bus, sel streams.Selection) (replayPlan, error) {
	p := replayPlan{found: map[string]bool{}}
	err := bus.SelectDeliveries(ctx, sel, func(k streams.Kept) (bool, error) {
		p.sequences = append(p.sequences, k.Sequence)
		if len(p.first) < shownDeliveries {
			p.first = append(p.first, k)
		}
		if len(sel.IDs) > 0 {
			p.found[k.Header.Get(streams.HdrDeliveryID)] = true
		}
		return true, nil
	})
	return p, err
}

func (p replayPlan) missing(ids []string) string {
	var none []string
	for _, id := range ids {
		if !p.found[id] {
			none = append(none, id)
		}
	}
	return strings.Join(none, ", ")
}

func (a *app) showPlan(p replayPlan) {
	t := a.terminal()
	if len(p.sequences) == 0 {
		t.printf("no delivery in the stream matches\n")
		return
	}
	t.printf("would be replayed: %s\n", deliveries(len(p.sequences)))
	rows := [][]string{{"MESSAGE", "WHEN", "DELIVERY", "EVENT", "SUBJECT"}}
	for _, k := range p.first {
		rows = append(rows, []string{
			strconv.FormatUint(k.Sequence, 10), stamp(k.Time), k.Header.Get(streams.HdrDeliveryID), k.Header.Get(streams.HdrEvent), k.Subject,
		})
	}
	t.table(rows)
	if more := len(p.sequences) - len(p.first); more > 0 {
		t.printf("… and %d more\n", more)
	}
}

func deliveries(n int) string { return count(n, "delivery", "deliveries") }

// newNonce tells this replay from any other one.
func newNonce() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
