package main

const (
	auditFile = "services/throttle/audit.go"
	lostTest  = "TestTheAuditFindsADeliveryWithoutARecordOnceTwoRoundsHaveLooked"
	brokeTest = "TestTheAuditFindsRunsThatBreakAPromise"
)

// watchGuards are those of the audit and of what is told.
func watchGuards() []Guard {
	return []Guard{
		{
			Name: "audit-lost", Promise: "I1", What: "the audit tells of a delivery that no record knows",
			Edits: []Edit{{auditFile, "func (a *Audit) withoutRecord(", "if !known[s.id] {", "if !known[s.id] && false {"}},
			Pkg:   "./services/throttle", Run: lostTest, Says: "two rounds: lost_deliveries stands 0 times",
		},
		{
			Name: "audit-begins-where-it-is-not-clear", Promise: "I1", What: "a new auditor begins at the oldest delivery that is not cleared up",
			Edits: []Edit{{auditFile, "func (a *Audit) lookAtDeliveries(", "position = min(position, s.sequence-1)", "_ = s"}},
			Pkg:   "./services/throttle", Run: lostTest, Says: "its second round: lost_deliveries stands 0 times",
		},
		{
			Name: "audit-fences", Promise: "I4", What: "the audit tells of two attempts of one run at once",
			Edits: []Edit{{"internal/store/db/watch.sql.go", "const auditRuns = ", "b.started_at < coalesce(a.ended_at, 'infinity')", "false"}},
			Pkg:   "./services/throttle", Run: brokeTest, Says: "two at once: fence_violations stands 0 times",
		},
		{
			Name: "audit-pull-requests", Promise: "I2", What: "the audit tells of two open pull requests of one run",
			Edits: []Edit{{"internal/store/db/watch.sql.go", "const auditRuns = ", "having count(*) > 1", "having count(*) > 1000"}},
			Pkg:   "./services/throttle", Run: brokeTest, Says: "two open pull requests of one run: duplicate_pull_requests stands 0 times",
		},
		{
			Name: "context-redacted", Promise: "I10", What: "what a context is about passes the redactor before it is logged",
			Edits: []Edit{{"internal/telemetry/log.go", "func newLogger(", "	if opts.Redact != nil {\n		handler = opts.Redact(handler)\n	}\n	handler = told{Handler: handler}\n", "	handler = told{Handler: handler}\n	if opts.Redact != nil {\n		handler = opts.Redact(handler)\n	}\n"}},
			Pkg:   "./internal/telemetry", Run: "TestLogLinesSayWhatTheirContextIsAbout", Says: "canary",
		},
	}
}
