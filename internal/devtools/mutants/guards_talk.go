package main

const (
	watchLook = "services/publisher/watch_look.go"
	watchAct  = "services/publisher/watch_act.go"
)

// talkGuards are those of what people say to a pull request.
func talkGuards() []Guard {
	return []Guard{
		{
			Name: "permission-asked-live", Promise: "I1", What: "a command is obeyed only from who may write, as the forge says just then",
			Edits: []Edit{{watchLook, "func (l *looker) listen(", "may >= forge.WritePermission", "may >= forge.NoPermission"}},
			Pkg:   publisherPkg, Run: "TestOnlyWhoMayWriteIsObeyed", Says: "is obeyed",
		},
		{
			Name: "one-comment", Promise: "I8", What: "the one comment that is ours is found by its mark after a crash, and edited",
			Edits: []Edit{{watchAct, "func (l *looker) own(", "mark == talkMark(w)", "mark == talkMark(w)+c.ID"}},
			Pkg:   publisherPkg, Run: "TestACrashAnywhereLeavesOneCommentAndIsMadeGood", Says: "comments, and may have one",
		},
		{
			Name: "command-acted-on-once", Promise: "I1", What: "a comment that was read is not read again",
			Edits: []Edit{
				{"internal/watch/decide.go", "func Commands(", "if slices.Contains(s.Seen, c.ID) {", "if c.ID == \"\" {"},
				{"internal/store/looks.go", "func (s *Store) answer(", "if err != nil || known {", "if err != nil && known {"},
			},
			Pkg: publisherPkg, Run: "TestAClosedPullRequestIsANoThatRetryLifts", Says: "one comment is obeyed twice",
		},
		{
			Name: "look-fenced", Promise: "I4", What: "who has lost the lease of a watched pull request records nothing",
			Edits: []Edit{{"internal/store/db/watches.sql.go", "const lockWatch = ", "and fence = $3", "and fence >= $3"}},
			Pkg:   publisherPkg, Run: "TestWhoHasLostTheLeaseChangesNothing", Says: "changed by who holds nothing",
		},
		{
			Name: "rest-not-cut-short", Promise: "I8", What: "a webhook does not have a forge asked that has said when to come again",
			Edits: []Edit{{"internal/store/db/watches.sql.go", "const ringWatches = ", "when tries > 0 and due is not null then due", "when false then due"}},
			Pkg:   publisherPkg, Run: "TestAForgeThatSaysWhenToComeAgainIsNotAskedBefore", Says: "due in",
		},
		{
			Name: "refused-comment-not-in-the-way", Promise: "I1", What: "a comment that the forge refuses does not keep a pull request open that a person stopped",
			Edits: []Edit{{watchAct, "func (l *looker) act(", "l.passOver(ctx, \"our comment\", l.say(ctx, w))", "l.say(ctx, w)"}},
			Pkg:   publisherPkg, Run: "TestARefusedCommentOrLabelIsNotInTheWay", Says: "a refused comment keeps it open",
		},
		{
			Name: "off-before-publishing", Promise: "I2", What: "a repository that was switched off meanwhile gets no pull request",
			Edits: []Edit{{"services/publisher/held.go", "func (s *Service) held(", "if by != nil {", "if by != nil && by.OffBy == \"\" {"}},
			Pkg:   publisherPkg, Run: "TestOffClosesAndTakesNoFailureAnyMore", Says: "a fix on its way is",
		},
		{
			Name: "mode-off-before-publishing", Promise: "I2", What: "settings that say mode: off meanwhile are honoured before a pull request is opened",
			Edits: []Edit{{"services/publisher/held.go", "func (s *Service) held(", "if off {", "if off && by != nil {"}},
			Pkg:   publisherPkg, Run: "TestModeOffInTheRepositoryIsHonouredAtOnce", Says: "a fix on its way is",
		},
		{
			Name: "off-takes-no-failure", Promise: "I1", What: "a failure of a repository that is off makes no run, and says why",
			Edits: []Edit{
				{"migrations/00010_watches.sql", "", "create trigger runs_off before insert", "create trigger runs_off after insert"},
				{"internal/store/deliveries.go", "func (s *Store) RecordFailure(", "if err != nil || off {", "if err != nil && off {"},
			},
			Pkg: publisherPkg, Run: "TestOffClosesAndTakesNoFailureAnyMore", Says: "a failure of a repository that is off is taken",
		},
		{
			Name: "own-closing-is-no-refusal", Promise: "I2", What: "a pull request that we closed ourselves is not taken for a person's no",
			Edits: []Edit{{"internal/watch/decide.go", "func (p *planner) observe(", "case now == Closed && p.was.Closing == \"\":", "case now == Closed:"}},
			Pkg:   publisherPkg, Run: "TestWhatIsMendedOtherwiseIsClosed", Says: "our own closing is taken for a no",
		},
	}
}
