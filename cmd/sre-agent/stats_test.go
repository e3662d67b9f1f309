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

func TestARepositoryIsSwitchedOffAndOnWithAReason(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": records(t), "USER": "ada"}
	sreAgent(t, env, "switch", "list").want(t, exitOK, "no repository is off", "")
	sreAgent(t, env, "switch", "off", "Acme/hello").want(t, exitUsage, "", "--why is required")
	sreAgent(t, env, "switch", "off", "hello", "--why", "x").want(t, exitUsage, "", "OWNER/NAME")
	sreAgent(t, env, "switch", "off", "acme/other", "--why", "x").want(t, exitFailed, "", "there is no repository")
	sreAgent(t, env, "switch", "off", "Acme/hello", "--why", "we do it by hand").want(t, exitOK, "is off", "")
	sreAgent(t, env, "switch", "off", "acme/hello", "--why", "again").want(t, exitFailed, "", "is off already")
	sreAgent(t, env, "switch", "list").want(t, exitOK, "by ada: we do it by hand", "")
	sreAgent(t, env, "runs", "show", "1").want(t, exitOK, "repository_off", "")
	sreAgent(t, env, "switch", "on", "acme/hello", "--why", "it helps").want(t, exitOK, "is on", "")
	sreAgent(t, env, "switch", "list").want(t, exitOK, "no repository is off", "")
}
