package main

import (
	"strings"
	"testing"
	"time"
)

func TestStatsCountWhatBecameOfPullRequests(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": records(t)}
	sreAgent(t, env, "stats").want(t, exitOK, "acme/hello", "")
	got := sreAgent(t, env, "stats", "--json", "--since", "1h")
	got.want(t, exitOK, `"repository": "acme/hello"`, "")
	for _, want := range []string{`"class": "format"`, `"opened": 1`, `"open": 1`, `"merged": 0`, `"median_time_to_green_seconds": 0`} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("lacks %s:\n%s", want, got.stdout)
		}
	}
	sreAgent(t, env, "stats", "--since", time.Now().Add(time.Hour).Format(time.RFC3339)).want(t, exitOK, "no pull request was opened", "")
	sreAgent(t, env, "stats", "--json", "--since", "2999-01-01").want(t, exitOK, "[]\n", "")
	for _, bad := range []string{"yesterday", "-1h", "0s"} {
		sreAgent(t, env, "stats", "--since="+bad).want(t, exitUsage, "", "--since")
	}
}
