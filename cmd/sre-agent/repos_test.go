package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/streams"
)

func TestARepositoryIsHeldBackAndTheRecordSaysWhoAndWhy(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	environ["DATABASE_URL"] = records(t)
	for _, tc := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"pause", "acme/hello", "--yes"}, 2, "", "--why is required"},
		{[]string{"pause", "acme/hello", "--why", "x"}, 2, "", "add --yes"},
		{[]string{"pause", "acme", "--why", "x", "--yes"}, 2, "", "is not owner/name"},
		{[]string{"pause", "acme/none", "--why", "x", "--yes"}, 1, "", "no failure of acme/none was ever recorded"},
		{[]string{"limits", "acme/hello", "--why", "x", "--yes"}, 2, "", "say which limit"},
		{[]string{"limits", "acme/hello", "--rate", "-1", "--why", "x", "--yes"}, 2, "", "--rate must be"},
		{[]string{"mode", "acme/hello", "loud", "--why", "x", "--yes"}, 2, "", "unknown mode"},
		{[]string{"pause", "acme/hello", "--dry-run"}, 0, "would be done: pause of acme/hello: paused\n", ""},
		{[]string{"list", "--set"}, 0, "no repositories\n", ""},
		{[]string{"pause", "acme/hello", "--why", "a storm", "--yes"}, 0, "acme/hello: paused, was nothing set\n", ""},
		{[]string{"limits", "ACME/Hello", "--rate", "5", "--concurrency", "1", "--why", "x", "--yes"}, 0, "paused, slots 1, rate 5/min, was paused\n", ""},
		{[]string{"mode", "acme/hello", "shadow", "--why", "x", "--yes"}, 0, "mode shadow, was", ""},
		{[]string{"resume", "acme/hello", "--why", "over", "--yes"}, 0, "acme/hello: slots 1, rate 5/min, mode shadow, was paused", ""},
		{[]string{"mode", "acme/hello", "default", "--why", "x", "--yes"}, 0, "acme/hello: slots 1, rate 5/min, was", ""},
		{[]string{"mode", "acme/hello", "off", "--why", "x", "--yes"}, 2, "", "unknown mode"},
		{[]string{"off", "acme/hello", "--dry-run"}, 0, "would be done: off of acme/hello: off\n", ""},
		{[]string{"on", "acme/hello", "--why", "x", "--yes"}, 1, "", "it is on already"},
		{[]string{"off", "acme/hello", "--why", "they asked us to", "--yes"}, 0, "acme/hello: off, was on\n", ""},
		{[]string{"list", "--set", "--json"}, 0, `"off_by": "`, ""},
		{[]string{"off", "acme/hello", "--why", "x", "--yes"}, 1, "", "it is off already"},
		{[]string{"list", "--set"}, 0, "since ", ""},
		{[]string{"list", "--json"}, 0, `"off_why": "they asked us to"`, ""},
		{[]string{"on", "acme/hello", "--why", "x", "--yes"}, 0, "acme/hello: on, was off\n", ""},
		{[]string{"list"}, 0, "acme/hello", ""},
		{[]string{"history"}, 0, "they asked us to", ""},
		{[]string{"history", "--json", "--limit", "1"}, 0, `"operation": "repository.on"`, ""},
	} {
		got := sreAgent(t, environ, append([]string{"repos"}, tc.args...)...)
		got.want(t, tc.code, tc.stdout, tc.stderr)
		wantNothingDeceiving(t, got)
	}
	var views []repositoryView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "repos", "list", "--set", "--json").stdout), &views); err != nil || len(views) != 1 ||
		views[0].ConcurrencyLimit != 1 || views[0].RatePerMinute != 5 || views[0].PausedAt != nil || views[0].Mode != "" || views[0].Waiting != 0 {
		t.Errorf("%+v, %v", views, err)
	}
	sreAgent(t, environ, "runs", "show", "1").want(t, 0, "repository_off", "") // what waited was ended
	s, err := bus.JetStream().Stream(t.Context(), streams.Events)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), 1)
	if err != nil || m.Subject != "events.repository.pause.github.acme.hello" || !strings.Contains(string(m.Data), `"why":"a storm"`) {
		t.Errorf("recorded as %+v, %v", m, err)
	}
	wantMessages(t, bus, streams.Events, 7)
}
