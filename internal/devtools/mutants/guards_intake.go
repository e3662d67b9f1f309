package main

const (
	ingestFile = "services/ingest/ingest.go"
	ingestPkg  = "./services/ingest"
	e2ePkg     = "./internal/e2e"
)

func ingestGuards() []Guard {
	badInput := "TestBadInputLeavesNoMessage"
	return []Guard{
		{
			Name: "signature-verified", Promise: "I9", What: "a request's signature is compared with every secret",
			Edits: []Edit{{"internal/webhook/sign/sign.go", "func HexHeader(", "if !ok || !HMAC(digits, keys, r.Body) {", "if !ok || digits == \"\" {"}},
			Pkg:   ingestPkg, Run: badInput, Says: "want 401",
		},
		{
			Name: "body-size-cap", Promise: "I9", What: "a body is read up to the cap and no further, whatever length it says",
			Edits: []Edit{{"services/ingest/body.go", "func (h *intake) read(", "http.MaxBytesReader(w, r.Body, h.MaxBody)", "r.Body"}},
			Pkg:   ingestPkg, Run: badInput, Says: "want 413",
		},
		{
			Name: "kept-before-202", Promise: "I1", What: "202 is said only when the stream has the delivery",
			Edits: []Edit{{ingestFile, "func (h *intake) keep(", "case err != nil:", "case false:"}},
			Pkg:   ingestPkg, Run: "TestWhatTheStreamCantTakeIsSaidToTheSender", Says: "202",
		},
		{
			Name: "message-id", Promise: "I1", What: "a delivery's id is its message id, so that a redelivery is one message",
			Edits: []Edit{{ingestFile, "func (h *intake) message(", `ID: h.provider.Name + "-" + d.id, Type`, `Type`}},
			Pkg:   ingestPkg, Run: "TestALostAcknowledgementAndARedeliveryAreOneMessage", Says: "2 messages",
		},
		{
			Name: "own-branch-ignored", Promise: "I2", What: "a failure on a branch of ours makes no run",
			Edits: []Edit{{
				"internal/webhook/github/parse.go", "",
				"case strings.HasPrefix(branch, webhook.OwnBranchPrefix):", "case strings.HasPrefix(webhook.OwnBranchPrefix, \"\\x00\"):",
			}},
			Pkg: "./services/throttle", Run: "TestEveryDeliveryEndsInExactlyOneRecordWithItsReason", Says: "want ignored(own_branch)",
		},
		{
			Name: "key-of-one-repository", Promise: "I9", What: "one repository's key is not good for another",
			Edits: []Edit{{"internal/webhook/keyring.go", "func (k *Keyring) For(", "scope += \"/\" + part", "scope += \"/\" + strings.Replace(part, \"shop\", \"api\", 1)"}},
			Pkg:   e2ePkg, Run: "TestAKeyOfOneRepositoryIsGoodForThatAlone", Says: "another repository's key: 202",
		},
		{
			Name: "bound-id", Promise: "I9", What: "what one repository's key signs is kept apart from another's records, whatever id it names",
			Edits: []Edit{{"services/throttle/throttle.go", "func bind(", `if r.ID != "" {`, `if false {`}},
			Pkg:   e2ePkg, Run: "TestAKeyOfOneRepositoryIsGoodForThatAlone", Says: "with this repository's name and another's id: coalesced",
		},
		{
			Name: "signed-time", Promise: "I9", What: "a signed time that is too far from ours is refused",
			Edits: []Edit{{"internal/webhook/sign/sign.go", "func Fresh(", "d > webhook.MaxSkew || d < -webhook.MaxSkew", "d > 1<<62"}},
			Pkg:   e2ePkg, Run: "TestWhatIsNotSignedAsItIsLeavesNothing", Says: "a time an hour ago: 202",
		},
		{
			Name: "utf-8", Promise: "I9", What: "a body that is not UTF-8 is refused, not silently changed",
			Edits: []Edit{{"internal/webhook/payload/body.go", "func utf8Only(", "at >= 0", "at >= 1<<62"}},
			Pkg:   e2ePkg, Run: "TestWhatIsNotSignedAsItIsLeavesNothing", Says: "not UTF-8: 202",
		},
		{
			Name: "one-pipeline-one-run", Promise: "I1", What: "events that know a pipeline by different names make one run",
			Edits: []Edit{{"internal/store/deliveries.go", "func (s *Store) RecordFailure(", "Names: f.Known()", "Names: nil"}},
			Pkg:   "./internal/store", Run: "TestAllEventsOfAPipelineMakeOneRunWhateverTheirOrder", Says: "order",
		},
		{
			Name: "green-since", Promise: "I1", What: "a failure whose pipeline has passed since makes no work",
			Edits: []Edit{
				{"internal/store/deliveries.go", "func newRun(", "err == nil && green", "false && green"},
			},
			Pkg: "./internal/store", Run: "TestAFailureThatComesAfterItsLaterSuccessIsOverAtOnce", Says: "waiting(new)",
		},
		{
			Name: "only-what-has-not-started", Promise: "I4", What: "a success does not end a run that somebody works on",
			Edits: []Edit{{"internal/store/db/intake.sql.go", "const supersedeByGreen", "state in ('waiting', 'ready')", "state in ('waiting', 'ready', 'running')"}},
			Pkg:   "./internal/store", Run: "TestASuccessLeavesARunThatHasStarted", Says: "violates check constraint",
		},
	}
}

const streamsPkg = "./streams"

func streamGuards() []Guard {
	return []Guard{
		{
			Name: "ack-after-commit", Promise: "I1", What: "a message is acknowledged only after its handler has ended",
			Edits: []Edit{{
				"streams/consume.go", "func (c *consuming) handle(",
				"\tm, o := c.run(work, raw)\n", "\t_ = raw.DoubleAck(work)\n\tm, o := c.run(work, raw)\n",
			}},
			Pkg: streamsPkg, Run: "TestAMessageIsAcknowledgedOnlyAfterItsHandler", Says: "acknowledged while it is worked on",
		},
		{
			Name: "outage-stops-fetching", Promise: "I1", What: "after a Leave nothing is fetched until the dependencies answer, so that an outage burns no deliveries",
			Edits: []Edit{{"streams/consume.go", "func (c *consuming) loop(", "o.kind == leave {", "false && o.kind == leave {"}},
			Pkg:   streamsPkg, Run: "TestAnOutageOfADependencyBurnsNoDeliveries", Says: "not so within", // nobody asks Ready any more
		},
		{
			Name: "dead-letter-before-term", Promise: "I1", What: "a message is terminated only when DEAD has it",
			Edits: []Edit{{
				"streams/outcome.go", "func (b *Bus) settle(",
				"\t\tif err := b.publishDead(", "\t\tif err := raw.TermWithReason(o.reason); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tif err := b.publishDead(",
			}},
			Pkg: streamsPkg, Run: "TestADeadLetterThatCantBeKeptIsNotTerminated", Says: "no dead letter was kept",
		},
		{
			Name: "exhausted-moved", Promise: "I1", What: "what the server gives up delivering becomes a dead letter",
			Edits: []Edit{{
				"streams/dead.go", "func (b *Bus) moveOne(",
				"b.publishDead(ctx, m, a.Consumer, ReasonMaxDeliveries, text); err != nil", "error(nil); err != nil && text != \"\"",
			}},
			Pkg: streamsPkg, Run: "TestWhatTheServerGivesUpIsMovedToDEAD", Says: "not so within", Sim: "stream.mover",
		},
		{
			Name: "deliveries-bounded", Promise: "I1", What: "every consumer has a bound on deliveries",
			Edits: []Edit{{"streams/topology.go", "func consumer(", "MaxDeliver: maxDeliver, BackOff: backoff,", "MaxDeliver: -1 + 0*maxDeliver, BackOff: backoff,"}},
			Pkg:   streamsPkg, Run: "TestEveryConsumerOfTheTableIsBounded", Says: "MaxDeliver",
		},
		{
			Name: "ring-once", Promise: "I3", What: "a ring that is repeated because its reply was lost is one doorbell",
			Edits: []Edit{{"streams/bus.go", "func (b *Bus) Ring(", `ID: fmt.Sprintf("%s-%d-%d-%d", kind, runID, fence, rings), Type`, `ID: fmt.Sprint(time.Now().UnixNano(), rings), Type`}},
			Pkg:   streamsPkg, Run: "TestRingingTwiceIsOneDoorbell", Says: "3 doorbells",
		},
		{
			Name: "ring-again", Promise: "I1", What: "a second ring is a doorbell of its own, not a duplicate that the stream drops",
			Edits: []Edit{{"streams/bus.go", "func (b *Bus) Ring(", `kind, runID, fence, rings)`, `kind, runID, fence, 0*rings)`}},
			Pkg:   streamsPkg, Run: "TestASecondRingIsASecondDoorbell", Says: "1 doorbells",
		},
	}
}

const (
	throttleFile = "services/throttle/throttle.go"
	throttlePkg  = "./services/throttle"
)

func throttleGuards() []Guard {
	records := "TestEveryDeliveryEndsInExactlyOneRecordWithItsReason"
	return []Guard{
		{
			Name: "fork-ignored", Promise: "I11", What: "a fork's failure makes no run",
			Edits: []Edit{{throttleFile, "func (t *Intake) record(", "case event.Kind == webhook.Failure && !fork:", "case event.Kind == webhook.Failure:"}},
			Pkg:   throttlePkg, Run: records, Says: "want ignored(fork)",
		},
		{
			Name: "rate-delays", Promise: "I12", What: "above the rate limit each run gets its own later due time",
			Edits: []Edit{{throttleFile, "func (t *Intake) start(", "if delay > 0 {", "if false {"}},
			Pkg:   throttlePkg, Run: "TestAStormIsDelayedNotRefused", Says: "of 90 delayed",
		},
		{
			Name: "same-body-found", Promise: "I1", What: "a captured body under a fresh delivery id is recorded as a duplicate",
			Edits: []Edit{{"internal/store/deliveries.go", "func sameBody(", "if errors.Is(one(err), ErrNotFound) {", "if err == nil || errors.Is(one(err), ErrNotFound) {"}},
			Pkg:   storePkg, Run: "TestADeliveryHasExactlyOneRecord", Says: "a captured body under a fresh id",
		},
		{
			Name: "loops-counted", Promise: "I7", What: "each ignored failure of our own branch is counted once",
			Edits: []Edit{{throttleFile, "func (t *Intake) tell(", "t.Counters.LoopBlocked(ctx, telemetry.LoopOwnBranch)", "_ = telemetry.LoopOwnBranch"}},
			Pkg:   throttlePkg, Run: records, Says: "loops counted",
		},
		{
			Name: "lost-doorbell-rung-again", Promise: "I1", What: "a doorbell that nobody answers is rung again",
			Edits: []Edit{{"services/throttle/scheduler.go", "func (s *Scheduler) sweep(", "streams.RunSubject, again)", "streams.RunSubject, again[:0])"}},
			Pkg:   throttlePkg, Run: "TestADoorbellThatWasLostIsRungAgain", Says: "not so within", Sim: "store.ring_again",
		},
		{
			Name: "lost-fix-rung-again", Promise: "I1", What: "a verified fix that no publisher takes is rung again",
			Edits: []Edit{{"services/throttle/scheduler.go", "func (s *Scheduler) runOnce(", "streams.FixSubject, fixed)", "streams.FixSubject, fixed[:0])"}},
			Pkg:   throttlePkg, Run: "TestAFixThatNoPublisherTookIsRungAgain", Says: "not so within", Sim: "store.ring_fixed",
		},
		{
			Name: "crashed-run-taken-back", Promise: "I1", What: "a run whose holder is gone is taken back",
			Edits: []Edit{{"services/throttle/scheduler.go", "func (s *Scheduler) sweep(", "s.Store.TakeBack(ctx, s.Limits, batch)", "s.Store.TakeBack(ctx, s.Limits, 0*batch)"}},
			Pkg:   throttlePkg, Run: "TestARunWhoseHolderIsGoneIsTakenBack", Says: "not so within", Sim: "store.take_back",
		},
	}
}
