package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/testenv"
)

func TestStreamsAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	die(t, bus, "delivery-1", "malformed", "{}")
	sreAgent(t, environ, "streams", "show").want(t, 0, "dead.>", "")
	var views []streamView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "streams", "show", "--json").stdout), &views); err != nil || len(views) != 6 {
		t.Fatalf("%+v, %v", views, err)
	}
	for _, v := range views {
		if v.Copies != 1 || v.MaxBytes == 0 || len(v.Subjects) == 0 || (v.Stream == "DEAD") != (v.Messages == 1) || (v.Stream == "RUNS") != (v.Consumer == "runner") {
			t.Errorf("%+v", v)
		}
	}
	var none []changeView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "streams", "diff", "--json").stdout), &none); err != nil || none == nil || len(none) > 0 {
		t.Errorf("no differences as JSON: %+v, %v", none, err)
	}
	url, _ := testenv.NATS(t)
	got := sreAgent(t, map[string]string{"NATS_URL": url}, "streams", "diff", "--json")
	got.want(t, 1, `"object": "DELIVERIES"`, "differ")
	sreAgent(t, map[string]string{"NATS_URL": url}, "streams", "show").want(t, 1, "", "stream DELIVERIES")
}

func TestAShortTableLeavesOutWhatHasNoValue(t *testing.T) {
	t.Parallel()
	rows := [][]string{
		{"REPOSITORY", "PROVIDER", "OFF", "PAUSED", "WAITING"}, {"acme/a-rather-long-name", "github", "", "", "12"}, {"x/y\x1b[31m", "github", "", "", "1"},
	}
	for width, want := range map[int]string{0: "PAUSED", 80: "PAUSED", 50: "acme/a-rather-long-name  github    12", 30: "acme/a-rat…"} {
		var b strings.Builder
		terminal{Writer: &b, width: width}.table(rows)
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "\x1b") || (width == 50 || width == 30) == strings.Contains(b.String(), "PAUSED") {
			t.Errorf("in %d columns:\n%s", width, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
				t.Errorf("%d runes in %d columns: %s", n, width, line)
			}
		}
	}
	for bytes, want := range map[int64]string{-1: "", 0: "", 1023: "1023 B", 1536: "1.5 KiB", 10 << 20: "10.0 MiB", 10 << 30: "10.0 GiB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d bytes are %q, want %q", bytes, got, want)
		}
	}
}
