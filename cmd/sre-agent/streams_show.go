package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/streams"
)

func (a *app) streamsShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show each stream: what it keeps, for how long, how full it is, and what its consumer has to do", Args: cobra.NoArgs,
		Long: "Show the streams of the server at NATS_URL as they are there: their subjects, for how long they keep what, how full they\n" +
			"are, on how many servers, and what their consumers have to do.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBus(cmd.Context(), func(ctx context.Context, bus *streams.Bus, _ streams.Settings) error {
				return a.showStreams(ctx, bus, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// streamView is what --json prints of a stream.
type streamView struct {
	Stream        string   `json:"stream"`
	Subjects      []string `json:"subjects"`
	Messages      int64    `json:"messages"`
	Bytes         int64    `json:"bytes"`
	MaxBytes      int64    `json:"max_bytes"`
	MaxAgeSeconds int64    `json:"max_age_seconds"`
	Copies        int      `json:"copies"`
	Consumer      string   `json:"consumer,omitempty"`
	Pending       int64    `json:"pending"`
	AckPending    int64    `json:"ack_pending"`
	Redelivered   int64    `json:"redelivered"`
}

func (a *app) showStreams(ctx context.Context, bus *streams.Bus, asJSON bool) error {
	lags, err := bus.Lags(ctx)
	if err != nil {
		return err
	}
	views := make([]streamView, 0, len(lags))
	for _, l := range lags {
		views = append(views, streamView{
			l.Stream, l.Subjects, l.Messages, l.Bytes, l.MaxBytes, int64(l.MaxAge.Seconds()), l.Copies, l.Consumer, l.Pending, l.AckPending, l.Redelivered,
		})
	}
	if asJSON {
		return printJSON(a.stdout, views)
	}
	rows := [][]string{{"STREAM", "MESSAGES", "SIZE", "FULL AT", "KEPT", "COPIES", "CONSUMER", "PENDING", "IN HAND", "AGAIN", "SUBJECTS"}}
	for _, v := range views {
		row := []string{
			v.Stream, strconv.FormatInt(v.Messages, 10), size(v.Bytes), size(max(0, v.MaxBytes)), age(time.Duration(v.MaxAgeSeconds) * time.Second), strconv.Itoa(v.Copies),
			v.Consumer, "", "", "", strings.Join(v.Subjects, " "),
		}
		if v.Consumer != "" {
			row[7], row[8], row[9] = strconv.FormatInt(v.Pending, 10), strconv.FormatInt(v.AckPending, 10), strconv.FormatInt(v.Redelivered, 10)
		}
		rows = append(rows, row)
	}
	a.terminal().table(rows)
	return nil
}

// size is a number of bytes in the unit that suits it; nothing is "".
func size(bytes int64) string {
	const step = 1 << 10
	switch {
	case bytes <= 0:
		return ""
	case bytes < step:
		return fmt.Sprintf("%d B", bytes)
	case bytes < step*step:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/step)
	case bytes < step*step*step:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(step*step))
	default:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(step*step*step))
	}
}
