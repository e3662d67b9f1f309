package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/sre-agent/sre-agent/internal/testenv"
)

func TestStatusAndBacklogSayWhatWaitsAndWhatIsDown(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	environ["DATABASE_URL"], environ["REDIS_URL"], environ["GITHUB_API_URL"] = records(t), testenv.RedisURL(t), "http://127.0.0.1:1"
	die(t, bus, "delivery-1", "malformed", "{}")
	got := sreAgent(t, environ, "status")
	for _, want := range []string{"PostgreSQL  up", "forge       down", "waiting  rate_limited  1", "oldest: run 1 of acme/hello", "blocked today: none", "1 dead letter: sre-agent dead list"} {
		got.want(t, 1, want, "a server does not answer")
	}
	wantNothingDeceiving(t, got)
	var v statusView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "status", "--json").stdout), &v); err != nil || len(v.Stages) != 4 || *v.DeadLetters != 1 ||
		len(v.Open) != 1 || v.Open[0].Count != 1 || v.Oldest.RunID != 1 || v.Dependencies[2].State != depUp || v.Dependencies[3].State != depDown {
		t.Errorf("%+v, %v", v, err)
	}
	sreAgent(t, environ, "backlog").want(t, 1, "throttle", "a server does not answer")

	// One that is down takes nothing from what the others say.
	environ["NATS_URL"] = "nats://127.0.0.1:1"
	sreAgent(t, environ, "status").want(t, 1, "waiting  rate_limited  1", "a server does not answer")

	for name, args := range map[string][]string{
		"nothing is named": {"status"}, "backlog of nothing": {"backlog"},
	} {
		t.Log(name)
		sreAgent(t, map[string]string{}, args...).want(t, 2, "", "is not set")
	}
	sreAgent(t, environ, "status", "--watch", "--json").want(t, 2, "", "don't go together")
	sreAgent(t, environ, "status", "--interval", "1ms").want(t, 2, "", "--interval must be")
}

func TestTheDoctorNamesACureForWhatItFinds(t *testing.T) {
	t.Parallel()
	url, _ := testenv.NATS(t)
	environ := map[string]string{"NATS_URL": url, "DELIVERIES_MAX_BYTES": "67108864", "DATABASE_URL": testenv.Postgres(t)} // no streams, no schema
	got := sreAgent(t, environ, "doctor")
	for _, want := range []string{
		"DELIVERIES: stream: missing -> exists\n", "-> sre-agent streams apply", "the database has version 0", "-> sre-agent migrate",
		"Redis         REDIS_URL is not set", "fsync=off", // the test's server is quick, not durable
	} {
		got.want(t, 1, want, "something is not as it must be")
	}
	var findings []finding
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "doctor", "--json").stdout), &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if (f.Level == levelFailed || f.Level == levelWarning) != (f.Cure != "") {
			t.Errorf("a finding without a cure, or a cure of nothing: %+v", f)
		}
	}
	sreAgent(t, environ, "streams", "apply").want(t, 0, "", "")
	sreAgent(t, environ, "migrate").want(t, 0, "", "")
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "doctor", "--json").stdout), &findings); err != nil || slices.ContainsFunc(findings, func(f finding) bool {
		return f.Level == levelFailed && (f.Check == "streams" || f.Check == "schema")
	}) {
		t.Errorf("%+v, %v", findings, err)
	}
	sreAgent(t, environ, "doctor", "--program", "bogus").want(t, 2, "", "unknown program")
}

func TestAgesAreShortAndVersionsAreCompared(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]bool{"2.12.0": true, "2.15.2": true, "3.0.0": true, "2.11.9": false, "1.99": false, "x": false, "": false} {
		if newEnough(v, 2, 12) != want {
			t.Errorf("%q is new enough: %v", v, !want)
		}
	}
	for seconds, want := range map[int64]string{0: "a moment", 59: "59s", 90: "1m30s", 3660: "1h1m", 200_000: "2d7h"} {
		if got := orNow(seconds); got != want {
			t.Errorf("%d s is %q, want %q", seconds, got, want)
		}
	}
}
