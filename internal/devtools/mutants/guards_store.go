package main

import "strings"

const (
	storePkg     = "./internal/store"
	runsSQL      = "internal/store/db/runs.sql.go"
	pubsSQL      = "internal/store/db/publications.sql.go"
	scheduleFile = "migrations/00002_schedule.sql"
	schemaTest   = "TestTheSchemaItselfRefusesAWrongState"
	actionsSQL   = "internal/store/db/actions.sql.go"
	schemaFile   = "migrations/00001_core.sql"
	claimsTest   = "TestTheClaimItselfRefusesWhatIsTooMuchOrTooEarly"
	crashesTest  = "TestACrashRestsAndThenBlocks"
	claimFile    = ringFile
	ringFile     = "migrations/00011_operations.sql"
	claimRun     = "create or replace function claim_run("
	ringDue      = "create or replace function ring_due("
)

func claimGuards() []Guard {
	return []Guard{
		{
			Name: "deadline-of-calls", Promise: "I1", What: "a call to a database that has vanished ends, and its worker goes on",
			Edits: []Edit{{"internal/store/deadline.go", "func (b bounded) bound(", "return context.WithDeadline(ctx, b.limit())", "return context.WithCancel(ctx)"}},
			Pkg:   storePkg, Run: "TestADatabaseThatVanishesWithoutAWordHoldsNobody", Says: "the call hangs",
		},
		{
			Name: "attempt-cap", Promise: "I3", What: "the claim refuses a run that has no attempt left",
			Edits: []Edit{{claimFile, claimRun, "r.attempt_count - r.attempts_forgiven < max_attempts", "max_attempts is not null"}},
			Pkg:   storePkg, Run: claimsTest, Says: `no attempt left: refused as ""`, Sim: "store.attempts",
		},
		{
			Name: "cooldown-in-claim", Promise: "I5", What: "the claim refuses a start within the cooldown",
			Edits: []Edit{{claimFile, claimRun, "now() >= r.attempt_started_at + make_interval(secs => cooldown)", "cooldown is not null"}},
			Pkg:   storePkg, Run: claimsTest, Says: `within the cooldown: refused as ""`, Sim: "store.rest",
		},
		{
			Name: "backoff-in-claim", Promise: "I5", What: "the claim refuses a start within the backoff",
			Edits: []Edit{{claimFile, claimRun, "now() >= r.attempt_ended_at + make_interval(", "now() + interval '1 day' >= r.attempt_ended_at + make_interval("}},
			Pkg:   storePkg, Run: claimsTest, Says: `within the backoff: refused as ""`, Sim: "store.rest",
		},
		{
			Name: "limit-in-claim", Promise: "I6", What: "the claim refuses a start above the repository's limit, Redis or not",
			Edits: []Edit{{claimFile, claimRun, "r.state = 'running') >= repository_slots(repo, slot_limit) then", "r.state = 'running') < 0 then"}},
			Pkg:   storePkg, Run: "TestARepositoryNeverHasMoreActiveRunsThanItsLimit", Says: "runs 5 at once", Sim: "store.limit",
		},
		{
			Name: "repository-row-locked", Promise: "I6", What: "claims of one repository take turns, so that two can't both see the last free slot",
			Edits: []Edit{{claimFile, claimRun, ") for no key update", ")"}},
			Pkg:   storePkg, Run: "TestAClaimWaitsForTheRepositorysRow", Says: "claimed while another claim",
		},
		{
			Name: "claimed-when-ready", Promise: "I4", What: "the claim takes only a run that was rung",
			Edits: []Edit{{claimFile, claimRun, "and r.state = 'ready'", "and r.state in ('ready', 'waiting')"}},
			Pkg:   storePkg, Run: "TestARunThatWasNotRungIsNotClaimed", Says: "a run that was not rung was claimed",
		},
		{
			Name: "crash-rests", Promise: "I5", What: "after a crash a run waits for backoff and cooldown",
			Edits: []Edit{{runsSQL, "const waitForRetry = ", "not_before = greatest(", "not_before = least(now(), "}},
			Pkg:   storePkg, Run: crashesTest, Says: "rung before its rest was over", Sim: "store.rest",
		},
		{
			Name: "crash-counts", Promise: "I3", What: "a run whose holder is gone has used an attempt, and is blocked after the last",
			Edits: []Edit{{"internal/store/runs.go", "func takeBack(", "if made >= limits.MaxAttempts {", "if made < 0 {"}},
			Pkg:   storePkg, Run: crashesTest, Says: "after the last crash",
		},
		{
			Name: "given-back-is-free", Promise: "I3", What: "handing a run back consumes no attempt",
			Edits: []Edit{{runsSQL, "const giveBackRun = ", "attempt_count = attempt_count - 1,", "attempt_count = attempt_count,"}},
			Pkg:   storePkg, Run: "TestGivingBackBurnsNoAttempt", Says: "given back: waiting, 1 attempts",
		},
		{
			Name: "retry-forgives", Promise: "I3", What: "attempts made before a person's retry no longer count",
			Edits: []Edit{{actionsSQL, "const tryAgain = ", "attempts_forgiven = attempt_count, ", ""}},
			Pkg:   storePkg, Run: "TestARetryByAPersonForgivesTheAttemptsMade", Says: `after the retry: refused as "stale"`,
		},
		{
			Name: "intent-adopted", Promise: "I2", What: "whoever tries again gets the first try's intent, unchanged",
			Edits: []Edit{{pubsSQL, "const intendPublication = ", "do update set updated_at = now()", "do update set updated_at = now(), commit_id = excluded.commit_id"}},
			Pkg:   storePkg, Run: "TestAPublicationIsIntendedOnceAndAdopted", Says: "did not adopt the intent", Sim: "store.intent",
		},
		{
			Name: "lease-holder", Promise: "I4", What: "only the holder renews a lease",
			Edits: []Edit{{runsSQL, "const renewLease = ", "holder = $5::text", "$5::text is not null"}},
			Pkg:   storePkg, Run: "TestALeaseIsRenewedByItsHolderAloneAndWhileItLasts", Says: "another holder renewed it",
		},
		{
			Name: "lease-expiry", Promise: "I4", What: "a lease that has run out can't be renewed",
			Edits: []Edit{{runsSQL, "const renewLease = ", "lease_expires_at > now()", "lease_expires_at is not null"}},
			Pkg:   storePkg, Run: "TestALeaseIsRenewedByItsHolderAloneAndWhileItLasts", Says: "a lease that had run out was renewed",
		},
	}
}

// fenceGuards are the fence's compare in each write.
func fenceGuards() []Guard {
	var out []Guard
	for _, f := range []struct{ name, file, query, compare string }{
		{"end the run with its attempt", runsSQL, "endAttemptedRun", "r.fence = $6"},
		{"defer", runsSQL, "deferRun", "fence = $4"},
		{"renew", runsSQL, "renewLease", "fence = $4"},
		{"end the attempt", runsSQL, "endAttempt", "fence = $5"},
		{"end the run", runsSQL, "endRun", "fence = $6"},
		{"mark as fixed", runsSQL, "markFixed", "fence = $4"},
		{"give back the run", runsSQL, "giveBackRun", "runs.fence = $6"},
		{"give back the attempt", runsSQL, "giveBackAttempt", "fence = $4"},
		{"wait for a retry", runsSQL, "waitForRetry", "fence = $4"},
		{"claim the publication", pubsSQL, "claimPublication", "fence = $5"},
		{"intend", pubsSQL, "intendPublication", "runs.fence = $7"},
		{"advance the publication", pubsSQL, "advancePublication", "runs.fence = $7"},
		{"give back the publication", pubsSQL, "giveBackPublication", "fence = $5"},
	} {
		_, param, _ := strings.Cut(f.compare, "= ")
		out = append(out, Guard{
			Name: "fence-" + strings.ReplaceAll(f.name, " ", "-"), Promise: "I4", What: "an older fence is refused: " + f.name,
			Edits: []Edit{{f.file, "const " + f.query + " = ", f.compare, param + "::bigint is not null"}},
			Pkg:   storePkg, Run: "TestEachFencedWriteRefusesAnOlderFenceByItself", Says: f.name + ": an older fence was taken", Sim: "store.fence",
		})
	}
	return append(out, Guard{
		Name: "fence-claim", Promise: "I4", What: "an older fence is refused: claim",
		Edits: []Edit{{claimFile, claimRun, "r.fence = its_fence", "its_fence is not null"}},
		Pkg:   storePkg, Run: "TestEachFencedWriteRefusesAnOlderFenceByItself", Says: "claim: an older fence was taken", Sim: "store.fence",
	})
}

// schemaGuards are the constraints that make a wrong state impossible.
func schemaGuards() []Guard {
	var out []Guard
	for _, s := range []struct{ name, promise, what, old, new, says, sim string }{
		{"unique-body", "I1", "one record that takes a signed body for new", "create unique index deliveries_body", "create index deliveries_body", "two records that take one signed body", ""},
		{"one-open-attempt", "I4", "one open attempt a run", "create unique index attempts_one_open", "create index attempts_one_open", "two open attempts of one run", ""},
		{
			"unique-fingerprint", "I2", "one publication that stands for a fingerprint",
			"create unique index publications_fingerprint", "create index publications_fingerprint", "two pull requests on their way", "store.fingerprint",
		},
		{"digest-of-the-diff", "I11", "a stored diff has its own digest", "check (digest = 'sha256:' || encode(sha256(diff), 'hex'))", "", "a digest of other bytes", "store.digest"},
		{"ends-have-reasons", "I1", "no run ends without a reason", "constraint runs_reason check (state not in", "constraint runs_reason check (true or state not in", "an end without a reason", ""},
		{"work-has-a-lease", "I4", "no run is worked on without a lease", "constraint runs_lease check ((state in", "constraint runs_lease check (true or (state in", "work without a lease", ""},
		{"branch-is-ours", "I2", "a publication's branch is below sre-agent/", "check (branch ~ '^sre-agent/[A-Za-z0-9._-]+$')", "", "a branch that is not ours", ""},
	} {
		out = append(out, Guard{
			Name: s.name, Promise: s.promise, What: "by the schema, " + s.what, Edits: []Edit{{schemaFile, "", s.old, s.new}},
			Pkg: storePkg, Run: schemaTest, Says: "the schema allows " + s.says, Sim: s.sim,
		})
	}
	// What the queries say of a conflict needs the constraint, so it goes too.
	return append(
		out,
		Guard{
			Name: "unique-run-key", Promise: "I2", What: "by the schema, one run a run key",
			Edits: []Edit{
				{schemaFile, "create table runs (", "run_key           text not null unique check", "run_key           text not null check"},
				{runsSQL, "const createRun = ", "on conflict (run_key) do nothing", "on conflict do nothing"},
			},
			Pkg: storePkg, Run: "TestTheSchemaItselfRefusesAWrongState", Says: "the schema allows two runs of one key", Sim: "store.run_key",
		},
		Guard{
			Name: "unique-delivery", Promise: "I1", What: "by the schema, one record a delivery",
			Edits: []Edit{
				{schemaFile, "create table deliveries (", "    unique (provider, delivery_id),\n", ""},
				{
					"internal/store/db/deliveries.sql.go", "const recordDelivery = ", `on conflict (provider, delivery_id) do update
    set event = excluded.event, body_sha256 = excluded.body_sha256, received_at = excluded.received_at,
        outcome = excluded.outcome, reason = excluded.reason, run_id = excluded.run_id, recorded_at = now()
    where deliveries.outcome = 'dead'`, "on conflict do nothing",
				},
			},
			Pkg: storePkg, Run: schemaTest, Says: "the schema allows two records of one delivery", Sim: "store.delivery_id",
		},
		Guard{
			Name: "limit-when-ringing", Promise: "I6", What: "the scheduler rings no more of a repository than it has free slots",
			Edits: []Edit{{ringFile, ringDue, "limit greatest(0, repository_slots(l.repository_id, slot_limit) - (select count(*)", "limit greatest(0, 1000 + slot_limit - (select count(*)"}},
			Pkg:   storePkg, Run: "TestARepositoryNeverHasMoreActiveRunsThanItsLimit", Says: "rung per repository", Sim: "store.limit",
		},
		Guard{
			Name: "round-robin", Promise: "I12", What: "the first run of each repository is rung before the second of any",
			Edits: []Edit{{ringFile, ringDue, "from rung order by rung.nth, rung.place", "from rung order by rung.place, rung.nth"}},
			Pkg:   storePkg, Run: "TestRunsAreRungRoundRobin", Says: "FAIL: TestRunsAreRungRoundRobin",
		},
		Guard{
			Name: "paused-starts-nothing", Promise: "I8", What: "a repository that operators paused starts nothing",
			Edits: []Edit{{ringFile, "create or replace function repository_slots(", "case when s.paused_at is not null then 0 else", "case when false then 0 else"}},
			Pkg:   storePkg, Run: "TestAPausedRepositoryStartsAndPublishesNothing", Says: "a rung run of a paused repository is claimed", Sim: "store.paused",
		},
		Guard{
			Name: "paused-publishes-nothing", Promise: "I8", What: "a repository that operators paused has nothing published",
			Edits: []Edit{{pubsSQL, "const claimPublication = ", "s.paused_at is not null", "false"}},
			Pkg:   storePkg, Run: "TestAPausedRepositoryStartsAndPublishesNothing", Says: "a fix is published while paused", Sim: "store.paused",
		},
		Guard{
			Name: "free-slot-asks", Promise: "I12", What: "a slot that comes free has the scheduler look at its repository",
			Edits: []Edit{{scheduleFile, "create trigger runs_wait_or_leave ", "(old.state in ('ready', 'running') and new.state not in ('ready', 'running'))", "false"}},
			Pkg:   storePkg, Run: "TestTheScheduleRingsWhatANaiveRecomputationWould", Says: "FAIL: TestTheScheduleRings",
		},
	)
}
