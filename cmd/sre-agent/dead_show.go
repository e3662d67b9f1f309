package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/streams"
)

const (
	// shownLetters is how many letters a dry run shows.
	shownLetters = 10
	// shownBody bounds how much of a body is shown, in bytes and in lines.
	shownBody      = 64 << 10
	shownBodyLines = 100
)

// letterView is what --json prints.
type letterView struct {
	ID         uint64    `json:"id"`
	Time       time.Time `json:"time"`
	Reason     string    `json:"reason"`
	Error      string    `json:"error,omitempty"`
	Stream     string    `json:"stream"`
	Sequence   uint64    `json:"sequence"`
	Consumer   string    `json:"consumer"`
	Subject    string    `json:"subject"`
	MessageID  string    `json:"message_id,omitempty"`
	Provider   string    `json:"provider,omitempty"`
	DeliveryID string    `json:"delivery_id,omitempty"`
	RunID      int64     `json:"run_id,omitempty"`
	Bytes      int       `json:"bytes"`
}

type openLetterView struct {
	letterView
	Header        map[string][]string `json:"header"`
	Body          string              `json:"body"`
	BodyBytes     int                 `json:"body_bytes"`
	BodyTruncated bool                `json:"body_truncated,omitempty"`
	BodyError     string              `json:"body_error,omitempty"`
}

func viewOfLetter(l streams.Letter) letterView {
	return letterView{
		l.Sequence, l.Time, l.Reason, l.Error, l.Stream, l.OriginSequence, l.Consumer, l.Subject, l.MessageID, l.Provider, l.DeliveryID,
		l.RunID, l.Bytes,
	}
}

func (a *app) listLetters(ctx context.Context, bus *streams.Bus, reason string, limit int, asJSON bool) error {
	var newest []streams.Letter
	total := 0
	err := bus.Letters(ctx, func(l streams.Letter) (bool, error) {
		if reason != "" && l.Reason != reason {
			return true, nil
		}
		total++
		if newest = append(newest, l); len(newest) >= 2*limit {
			newest = append(newest[:0], newest[len(newest)-limit:]...)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	newest = newest[max(0, len(newest)-limit):]
	slices.Reverse(newest)
	if asJSON {
		views := make([]letterView, 0, len(newest))
		for _, l := range newest {
			views = append(views, viewOfLetter(l))
		}
		return printJSON(a.stdout, views)
	}
	if total == 0 {
		a.terminal().printf("no dead letters\n")
		return nil
	}
	a.letterTable(newest, total)
	return nil
}

func (a *app) letterTable(letters []streams.Letter, total int) {
	rows := [][]string{{"ID", "WHEN", "REASON", "STREAM", "SUBJECT", "ABOUT", "ERROR"}}
	for _, l := range letters {
		rows = append(rows, []string{
			fmt.Sprint(l.Sequence), stamp(l.Time), l.Reason, l.Stream, l.Subject, about(l), clip(l.Error, shownWidth),
		})
	}
	a.terminal().table(rows)
	if more := total - len(letters); more > 0 {
		a.terminal().printf("… and %d more\n", more)
	}
}

func about(l streams.Letter) string {
	switch {
	case l.DeliveryID != "":
		return "delivery " + l.DeliveryID
	case l.RunID != 0:
		return fmt.Sprintf("run %d", l.RunID)
	default:
		return l.MessageID
	}
}

func (a *app) showLetter(ctx context.Context, bus *streams.Bus, seq uint64, asJSON bool) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	l, err := bus.Letter(ctx, seq)
	if err != nil {
		return letterError(seq, err)
	}
	secrets := redact.New(cfg.KnownSecrets())
	body := secrets.String(string(l.Body[:min(len(l.Body), shownBody)]))
	for name, values := range l.Header {
		clean := make([]string, 0, len(values))
		for _, v := range values {
			clean = append(clean, secrets.String(v))
		}
		l.Header[name] = clean
	}
	l.Error = secrets.String(l.Error)
	if asJSON {
		v := openLetterView{
			letterView: viewOfLetter(l.Letter), Header: l.Header, Body: strings.ToValidUTF8(body, string(utf8.RuneError)),
			BodyBytes: len(l.Body), BodyTruncated: len(l.Body) > shownBody,
		}
		if l.BodyErr != nil {
			v.BodyError = l.BodyErr.Error()
		}
		return printJSON(a.stdout, v)
	}
	a.terminal().letter(l, body)
	return nil
}

func (t terminal) letter(l streams.OpenLetter, body string) {
	t.printf("%s  %s\n", t.bold(fmt.Sprintf("dead letter %d", l.Sequence)), t.red(visible(l.Reason)))
	t.field("when", stamp(l.Time))
	t.field("error", l.Error)
	t.field("about", about(l.Letter))
	t.field("stream", fmt.Sprintf("%s, message %d, consumer %s", l.Stream, l.OriginSequence, l.Consumer))
	t.field("subject", l.Subject)
	t.printf("\n%s\n", t.bold("headers"))
	for _, name := range slices.Sorted(maps.Keys(l.Header)) {
		for _, v := range l.Header[name] {
			t.printf("  %s: %s\n", visible(clip(name, shownWidth)), clip(visible(v), 2*shownWidth))
		}
	}
	t.printf("\n%s  (%d bytes)\n", t.bold("body"), len(l.Body))
	if l.BodyErr != nil {
		t.printf("  %s\n", visible(l.BodyErr.Error()))
		return
	}
	t.body(body, len(l.Body) > shownBody)
}

// body prints the beginning of a body: indented where it is JSON, which webhooks are.
func (t terminal) body(text string, cut bool) {
	var pretty bytes.Buffer
	if !cut && json.Indent(&pretty, []byte(text), "", "  ") == nil {
		text = pretty.String()
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for _, line := range lines[:min(len(lines), shownBodyLines)] {
		t.printf("  %s\n", clip(visible(line), shownWidth))
	}
	if more := len(lines) - shownBodyLines; more > 0 {
		t.printf("  … %d more lines\n", more)
	}
	if cut {
		t.printf("  … only the first %d bytes are shown\n", shownBody)
	}
}
