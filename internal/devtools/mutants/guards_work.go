package main

const (
	leasePkg    = "./internal/lease"
	runnerPkg   = "./services/runner"
	runnerFile  = "services/runner/runner.go"
	verified    = "TestAPatchIsVerifiedRedThenGreen"
	patchFile   = "services/runner/stage_patch.go"
	verifyFile  = "services/runner/stage_verify.go"
	refusesTest = "TestASecretOrAForbiddenPathEndsTheRun"
)

func leaseGuards() []Guard {
	return []Guard{
		{
			Name: "lock-held", Promise: "I4", What: "a lock that another token holds is not given away",
			Edits: []Edit{{"internal/lease/lock.go", "", "if holder and holder ~= ARGV[1] then return 0 end\n", ""}},
			Pkg:   leasePkg, Run: "TestLock", Says: "held by a: acquire by b: got true", Sim: "lock.holder",
		},
		{
			Name: "lock-renewed-by-token", Promise: "I4", What: "a lock is renewed by its token alone",
			Edits: []Edit{{"internal/lease/lock.go", "var renewScript = ", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nredis.call('PEXPIRE'", "redis.call('PEXPIRE'"}},
			Pkg:   leasePkg, Run: "TestLock", Says: "renewal of another's lock: <nil>",
		},
		{
			Name: "lock-released-by-token", Promise: "I4", What: "a lock is released by its token alone",
			Edits: []Edit{{"internal/lease/lock.go", "var releaseScript = ", "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\nreturn redis.call('DEL'", "return redis.call('DEL'"}},
			Pkg:   leasePkg, Run: "TestLock", Says: "a release by another token does nothing: acquire by b: got true", Sim: "lock.token",
		},
		{
			Name: "slot-limit", Promise: "I6", What: "no slot is given above the limit",
			Edits: []Edit{{"internal/lease/slots.go", "", ">= tonumber(ARGV[3]) then return 0 end", ">= tonumber(ARGV[3]) + 1000 then return 0 end"}},
			Pkg:   leasePkg, Run: "TestSlots", Says: "take by none: got true", Sim: "slots.limit",
		},
		{
			Name: "slot-expiry", Promise: "I6", What: "a crashed holder's slot is free when its time is over",
			Edits: []Edit{{"internal/lease/slots.go", "", "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))\n", ""}},
			Pkg:   leasePkg, Run: "TestSlots", Says: "renewal of an expired slot: <nil>",
		},
		{
			Name: "rate-reserves", Promise: "I12", What: "each call of the rate limiter moves the next one's place on",
			Edits: []Edit{{"internal/lease/rate.go", "", "tat = tat + interval\n", "tat = tat + 1\n"}},
			Pkg:   leasePkg, Run: "TestRate", Says: "of the storm waits",
		},
		{
			Name: "late-renewal-cancels", Promise: "I4", What: "work is cancelled before its lease is over when no renewal is confirmed",
			Edits: []Edit{{"internal/lease/keep.go", "func Keep(", "time.AfterFunc(ttl*2/3-time.Since(asked),", "time.AfterFunc(ttl*1000,"}},
			Pkg:   leasePkg, Run: "TestKeepCancelsTheWorkInTime", Says: "never cancelled", Sim: "heartbeat.lost",
		},
	}
}

func runnerGuards() []Guard {
	return []Guard{
		{
			Name: "old-doorbell", Promise: "I4", What: "a doorbell of another fence is not answered",
			Edits: []Edit{{runnerFile, "func (s *Service) Handle(", "|| r.Fence != m.Fence {", "|| m == nil {"}},
			Pkg:   runnerPkg, Run: "TestForgedAndForeignDoorbellsAreRefused", Says: "executed",
		},
		{
			Name: "answered-before-work", Promise: "I2", What: "a trouble that a person refused, or that a pull request stands for, is not worked on",
			Edits: []Edit{{"services/runner/stage_context.go", "func (p *FixPipeline) classify(", "return p.standing(ctx, w)", "return nil"}},
			Pkg:   runnerPkg, Run: "TestATroubleThatHasItsAnswerIsNotWorkedOn", Says: "worked on",
		},
		{
			Name: "stopped-runners-sandbox", Promise: "I4", What: "the sandbox of a runner that is stopped ends before its lease does",
			Edits: []Edit{{"internal/sandbox/run.go", "func (j *job) supervise(", "limits.Silence > 0", "limits.Silence < 0"}},
			Pkg:   "./internal/sandbox", Run: "TestASandboxEndsThoughItsProgramIsStopped", Says: "goes on beside a stopped program",
		},
		{
			Name: "lock-before-work", Promise: "I4", What: "a run whose lock somebody holds is left alone",
			Edits: []Edit{{runnerFile, "func (s *Service) take(", "if !got {\n\t\t// Whoever", "if false {\n\t\t// Whoever"}},
			Pkg:   runnerPkg, Run: "TestARunWhoseLockSomebodyHoldsIsLeftAlone", Says: "whose lock another runner holds",
		},
		{
			Name: "slot-before-work", Promise: "I6", What: "a run without a slot waits",
			Edits: []Edit{{runnerFile, "func (s *Service) take(", "if !got {\n\t\treturn s.postpone(", "if false {\n\t\treturn s.postpone("}},
			Pkg:   runnerPkg, Run: "TestARunWithoutASlotWaits", Says: "worked on a run without a slot",
		},
		{
			Name: "lost-lease-cancels", Promise: "I4", What: "a lost lease cancels the work",
			Edits: []Edit{{runnerFile, "func (s *Service) work(", "s.Pipeline.Execute(held, r)", "s.Pipeline.Execute(ctx, r)"}},
			Pkg:   runnerPkg, Run: "TestALostLeaseCancelsTheWorkAndWritesNothing", Says: "the work goes on", Sim: "heartbeat.lost",
		},
		{
			Name: "shutdown-is-free", Promise: "I3", What: "a shutdown consumes neither an attempt nor one of the tries for outages",
			Edits: []Edit{{runnerFile, "func (s *Service) work(", "if ctx.Err() != nil {", "if false {"}},
			Pkg:   runnerPkg, Run: "TestStoppingHandsTheRunBackWithoutAnAttempt", Says: "1 transient",
		},
		{
			Name: "outage-outlived", Promise: "I3", What: "a result waits for the database however long that is away",
			Edits: []Edit{{runnerFile, "func (s *Service) persist(", "store.Unreachable(rerr) && working.Err() == nil", "false && working.Err() == nil && rerr == nil"}},
			Pkg:   runnerPkg, Run: "TestAResultOutlivesAnOutageOfTheDatabase", Says: "FAIL: TestAResultOutlivesAnOutageOfTheDatabase",
		},
		{
			Name: "outages-bounded", Promise: "I1", What: "a dependency that keeps failing ends the run with a reason",
			Edits: []Edit{{runnerFile, "func (s *Service) giveBack(", "r.TransientCount >= run.MaxTransient", "r.TransientCount > run.MaxTransient"}},
			Pkg:   runnerPkg, Run: "TestSomethingOutsideThatFailsBurnsNoAttemptAndIsBounded", Says: "waiting(dependency)",
		},
		{
			Name: "red-before", Promise: "I11", What: "a check that is green without the patch proves nothing",
			Edits: []Edit{{verifyFile, "func (p *FixPipeline) red(", "case before.ExitCode == 0:", "case before.ExitCode == -1000:"}},
			Pkg:   runnerPkg, Run: verified, Says: `green before: the pipeline says ""`,
		},
		{
			Name: "green-after", Promise: "I11", What: "a patch that leaves the check red is not published",
			Edits: []Edit{{verifyFile, "func (p *FixPipeline) verify(", "if after.ExitCode != 0 {", "if after.ExitCode == -1000 {"}},
			Pkg:   runnerPkg, Run: verified, Says: `red after: the pipeline says ""`,
		},
		{
			Name: "touches-only-its-files", Promise: "I11", What: "a fixer changes only the files that the failure names",
			Edits: []Edit{{patchFile, "func (p *FixPipeline) patch(", "if !w.fixPlan.MayTouch(path) {", "if path == \"\" {"}},
			Pkg:   runnerPkg, Run: verified, Says: `a file that nobody asked for: the pipeline says ""`,
		},
		{
			Name: "scan-blocks", Promise: "I10", What: "a patch that adds a secret ends the run",
			Edits: []Edit{{patchFile, "func (p *FixPipeline) scan(", "if len(findings) > 0 {", "if len(findings) > 1000 {"}},
			Pkg:   runnerPkg, Run: refusesTest, Says: `a secret: the scan says ""`,
		},
		{
			Name: "policy-blocks", Promise: "I11", What: "a patch that the rules forbid ends the run",
			Edits: []Edit{{patchFile, "func (p *FixPipeline) patchPolicy(", "return verdict(v)", "return nil"}},
			Pkg:   runnerPkg, Run: refusesTest, Says: `a workflow: the policy says ""`,
		},
		{
			Name: "every-stage-runs", Promise: "I11", What: "verification is a stage of the pipeline",
			Edits: []Edit{{"services/runner/pipeline.go", "func (p *FixPipeline) stages(", "{telemetry.StageVerify, run.Declined, p.verify},", ""}},
			Pkg:   runnerPkg, Run: "TestNoStageIsLeftOut", Says: "the stages are",
		},
		{
			Name: "settings-of-the-base", Promise: "I11", What: "the settings come from the base branch, never from the failing commit",
			Edits: []Edit{{"services/runner/stage_context.go", "func (p *FixPipeline) readSettings(", "w.mirror.ReadFile(ctx, base,", "w.mirror.ReadFile(ctx, w.run.Failure.Commit,"}},
			Pkg:   runnerPkg, Run: "TestTheSettingsAreTheBaseBranchs", Says: "the failing commit's settings were read",
		},
		{
			Name: "off-starts-nothing", Promise: "I8", What: "a run whose repository was switched off meanwhile is not worked on again",
			Edits: []Edit{{"services/runner/stage_context.go", "func (p *FixPipeline) readContext(", "p.switchedOn(ctx, w)", "error(nil)"}},
			Pkg:   runnerPkg, Run: "TestARunWhoseRepositoryWasSwitchedOffIsNotWorkedOnAgain", Says: `the context says "no_log"`, Sim: "store.switch",
		},
	}
}
