package main

const (
	publisherPkg = "./services/publisher"
	publishFile  = "services/publisher/publish.go"
)

func publisherGuards() []Guard {
	return []Guard{
		{
			Name: "looks-before-it-creates", Promise: "I2", What: "a pull request of the branch is looked for, in every state, before anything is done",
			Edits: []Edit{{
				publishFile, "func (s *Service) publishFix(",
				"found, err := s.existing(ctx, at, r, branch)\n\tif err != nil || found != nil {", "found, err := (*ending)(nil), error(nil)\n\tif err != nil || found != nil {",
			}},
			Pkg: publisherPkg, Run: "TestAClosedPullRequestIsANo", Says: "published(), 2 pull requests", Sim: "forge.find",
		},
		{
			Name: "exists-is-adopted", Promise: "I2", What: "the forge's word that a pull request exists leads to its adoption",
			Edits: []Edit{{publishFile, "func (s *Service) open(", "if errors.Is(err, forge.ErrExists) {", "if errors.Is(err, errors.ErrUnsupported) {"}},
			Pkg:   publisherPkg, Run: "TestAPullRequestThatAppearsMeanwhileIsAdopted", Says: "the forge's word was not taken",
		},
		{
			Name: "closed-is-a-no", Promise: "I2", What: "a pull request that a person closed is not opened again",
			Edits: []Edit{{publishFile, "func (s *Service) existing(", "if len(own) > 0 {", "if len(own) > 1000 {"}},
			Pkg:   publisherPkg, Run: "TestAClosedPullRequestIsANo", Says: "blocked(branch_taken), 1 pull requests",
		},
		{
			Name: "closed-is-remembered", Promise: "I2", What: "a closed pull request refuses its fingerprint, on other runs too",
			Edits: []Edit{{"services/publisher/fingerprint.go", "func (s *Service) follow(", "e.closedPR = *holder.PrUrl\n", ""}},
			Pkg:   publisherPkg, Run: "TestAClosedPullRequestIsANoToTheSameTroubleElsewhere", Says: "the refusal is not remembered", Sim: "store.refusals",
		},
		{
			Name: "one-open-for-a-fingerprint", Promise: "I2", What: "a run follows the open pull request of the same trouble",
			Edits: []Edit{
				{schemaFile, "", "create unique index publications_fingerprint", "create index publications_fingerprint"},
			},
			Pkg: publisherPkg, Run: "TestTheSameTroubleFollowsThePullRequestThatIsOpen", Says: "published(), 2 pull requests", Sim: "store.fingerprint",
		},
		{
			Name: "foreign-pull-request", Promise: "I2", What: "a pull request without our intent is none of ours",
			Edits: []Edit{{publishFile, "func ours(", "case pub == nil:\n\t\treturn false", "case pub == nil:\n\t\treturn true"}},
			Pkg:   publisherPkg, Run: "TestAPullRequestWithoutOurIntentIsNotAdopted", Says: "somebody else's pull request was taken",
		},
		{
			Name: "own-is-adopted", Promise: "I2", What: "an open or merged pull request of ours is adopted, not taken for a no",
			Edits: []Edit{{publishFile, "func (s *Service) existing(", "if pr.State == forge.Open || pr.Merged {", "if pr.State == \"\" {"}},
			Pkg:   publisherPkg, Run: "TestAnOpenPullRequestIsAdoptedAndCounted", Says: "publication ",
		},
		{
			Name: "foreign-head", Promise: "I2", What: "a pull request of our branch's name with another head commit is a person's",
			Edits: []Edit{{publishFile, "func ours(", "strings.EqualFold(pr.HeadSHA, pub.CommitID)", "pub.CommitID != \"\""}},
			Pkg:   publisherPkg, Run: "TestAPersonsPullRequestFromOurBranchNameIsNeverOurs", Says: "a person's pull request was taken for ours",
		},
		{
			Name: "foreign-number", Promise: "I2", What: "once its number is recorded, no other pull request of the branch is ours",
			Edits: []Edit{{publishFile, "func ours(", "return *pub.PrNumber == int64(pr.Number)", "return pr.Number > 0"}},
			Pkg:   publisherPkg, Run: "TestOnlyOurOwnPullRequestIsFollowed", Says: "a person's pull request was followed",
		},
		{
			Name: "reopened-stands", Promise: "I2", What: "a closed pull request that a person opened again stands for its trouble",
			Edits: []Edit{{
				publishFile, "func (s *Service) publishFix(",
				"again, err := s.reopened(ctx, at, r)\n", "again, err := (*ending)(nil), error(nil)\n",
			}},
			Pkg: publisherPkg, Run: "TestAPullRequestThatAPersonOpenedAgainStandsForItsTrouble", Says: "published(), 2 pull requests",
		},
		{
			Name: "refusal-in-intent", Promise: "I2", What: "the intent looks for a refusal once more, in its own transaction",
			Edits: []Edit{{
				"internal/store/publications.go", "func (s *Store) Intend(", "return &FingerprintRefusedError{PRURL: r.PrUrl}", "_ = r\n\t\treturn nil",
			}},
			Pkg: storePkg, Run: "TestAnIntentForARefusedFingerprintIsRefusedToo", Says: "an intent against a refusal",
		},
		{
			Name: "no-cancel-after-push", Promise: "I2", What: "a run whose branch is on the forge is not cancelled",
			Edits: []Edit{{"internal/store/actions.go", "func (s *Store) CancelRun(", "if err == nil && p.State == PubPushed {", "if err == nil && p.State == \"\" {"}},
			Pkg:   storePkg, Run: "TestARunWhoseBranchIsPushedIsNotCancelled", Says: "cancelled with its branch on the forge",
		},
		{
			Name: "foreign-commit", Promise: "I2", What: "a branch with somebody else's commit is left alone",
			Edits: []Edit{{publishFile, "func (s *Service) push(", "(!exists || head != pub.CommitID)", "!exists"}},
			Pkg:   publisherPkg, Run: "TestABranchWithSomebodyElsesCommitIsLeftAlone", Says: "1 pull requests",
		},
		{
			Name: "moved-head", Promise: "I2", What: "a branch that has moved on from the failing commit gets no pull request",
			Edits: []Edit{{publishFile, "func (s *Service) stale(", "case !strings.EqualFold(head, f.Commit):", "case strings.EqualFold(head, \"\"):"}},
			Pkg:   publisherPkg, Run: "TestABranchThatHasMovedOnIsLeftAlone", Says: "1 pull requests",
		},
		{
			Name: "intent-before-push", Promise: "I2", What: "the intent is written before anything is pushed",
			Edits: []Edit{{
				publishFile, "func (s *Service) intend(", "\tpub, end, err := s.intended(",
				"\tif err := s.Git.PushNew(ctx, at.Place, id, branch); err != nil && !errors.Is(err, ErrBranchMoved) {\n\t\treturn db.Publication{}, nil, err\n\t}\n\tpub, end, err := s.intended(",
			}},
			Pkg: publisherPkg, Run: "TestNothingIsPushedBeforeTheIntentIsWritten", Says: "the forge was changed without an intent",
		},
		{
			Name: "caps-under-lock", Promise: "I8", What: "a repository's pull requests are counted and begun under one lock",
			Edits: []Edit{{
				"migrations/00008_restraint.sql", "", "perform pg_advisory_xact_lock(hashtextextended('intents of ' || its.repository_id, 2));", "perform pg_sleep(0.1);",
			}},
			Pkg: storePkg, Run: "TestTwoPublishersCanNotBothPassACap", Says: "passed a cap of 2", Sim: "store.caps",
		},
		{
			Name: "put-off-keeps-its-fix", Promise: "I3", What: "a run that was put off with its fix is not worked on again",
			Edits: []Edit{{"services/runner/runner.go", "func (s *Service) Handle(", "if r.AttemptEndedAt != nil {", "if r.AttemptEndedAt == nil {"}},
			Pkg:   "./services/runner", Run: "TestARunThatWasPutOffWithItsFixIsNotWorkedOnAgain", Says: "worked on 2 times", Sim: "store.resume",
		},
		{
			Name: "fork-never-pushed", Promise: "I11", What: "a fork's failure leads to a comment at most",
			Edits: []Edit{{"services/publisher/where.go", "func (s *Service) where(", "if r.Failure.FromFork() || report.Way == evidence.ByComment {", "if report.Way == evidence.ByComment {"}},
			Pkg:   publisherPkg, Run: "TestAForksFailureLeadsToACommentAtMost", Says: "blocked(fork)",
		},
		{
			Name: "fork-refused-at-the-push", Promise: "I11", What: "what is a fork's is refused at the push too",
			Edits: []Edit{
				{"services/publisher/where.go", "func (s *Service) where(", "if r.Failure.FromFork() || report.Way == evidence.ByComment {", "if report.Way == evidence.ByComment {"},
				{publishFile, "func (s *Service) push(", "if r.Failure.FromFork() {", "if r.Failure.FromFork() && false {"},
			},
			Pkg: publisherPkg, Run: "TestAForksFailureLeadsToACommentAtMost", Says: "want published(suggested)",
		},
		{
			Name: "demotion", Promise: "I8", What: "a class whose pull requests people refuse is only suggested",
			Edits: []Edit{{"services/publisher/where.go", "func unwelcome(", "10*a.Refused > a.Opened", "a.Refused > a.Opened"}},
			Pkg:   publisherPkg, Run: "TestThePairThatPeopleRefuseIsOnlySuggested", Says: "want declined(suggest_mode)",
		},
		{
			Name: "forged-doorbell", Promise: "I4", What: "a doorbell for another repository than the run's is a dead letter",
			Edits: []Edit{{"services/publisher/publisher.go", "func genuine(", "m.Subject != want {", "m.Subject == want+\"x\" {"}},
			Pkg:   publisherPkg, Run: "TestADoorbellThatIsNotOursIsRefusedAndRecorded", Says: "done, the run is",
		},
		{
			Name: "publishers-own-review", Promise: "I11", What: "the publisher checks rules and secrets by itself",
			Edits: []Edit{{publishFile, "func (s *Service) review(", "return s.Review.Review(ctx, fix.Diff)", "return nil"}},
			Pkg:   publisherPkg, Run: "TestThePublishersOwnReviewStopsADiffThatApplies", Says: "a workflow was published",
		},
		{
			Name: "digest-before-publishing", Promise: "I11", What: "what is published has the digest of what was verified",
			Edits: []Edit{{publishFile, "func (s *Service) review(", "if patch.Digest(fix.Diff) != fix.Digest {", "if patch.Digest(fix.Diff) == \"\" {"}},
			Pkg:   publisherPkg, Run: "TestADiffThatIsNotTheVerifiedOneIsNotPublished", Says: "other bytes were published",
		},
	}
}

func edgeGuards() []Guard {
	return []Guard{
		{
			Name: "branch-prefix", Promise: "I2", What: "nothing but branches below sre-agent/ is pushed",
			Edits: []Edit{{"internal/gitpush/gitpush.go", "func checkRef(", "if !strings.HasPrefix(branch, BranchPrefix) {", "if branch == \"\" {"}},
			Pkg:   "./internal/gitpush", Run: "TestNoOtherRefIsPushed", Says: "FAIL: TestNoOtherRefIsPushed",
		},
		{
			Name: "push-lease", Promise: "I2", What: "a push moves a branch only from where it is expected",
			Edits: []Edit{{"internal/gitpush/gitpush.go", "func (p *Pusher) update(", `"--force-with-lease=" + ref + ":" + expectedOld,`, `"--force",`}},
			Pkg:   "./internal/gitpush", Run: "TestTheLease", Says: "FAIL: TestTheLease", Sim: "forge.lease",
		},
		{
			Name: "token-stays-home", Promise: "I10", What: "the token is not sent on to another host by a redirect",
			Edits: []Edit{{"internal/httpapi/client.go", "func (c *Client) checkRedirect(", "\t\treq.Header.Del(\"Authorization\")\n", ""}},
			Pkg:   "./internal/httpapi", Run: "TestTheTokenDoesNotFollowARedirectToAnotherOrigin", Says: "FAIL: TestTheTokenDoesNotFollowARedirectToAnotherOrigin",
		},
		{
			Name: "secrets-redacted", Promise: "I10", What: "known secrets are taken out of every text, in each encoding",
			Edits: []Edit{{"internal/redact/redact.go", "func (r *Redactor) String(", "s = r.known.Replace(s)", "_ = r.known"}},
			Pkg:   "./internal/redact", Run: "TestAKnownSecretGoesInEveryEncoding", Says: "FAIL: TestAKnownSecretGoesInEveryEncoding",
		},
		{
			Name: "sandbox-without-network", Promise: "I10", What: "a script has no network of the host's",
			Edits: []Edit{
				{"internal/sandbox/args.go", "func (s *Sandbox) build(", `, "--unshare-net")`, ")"},
				{"internal/sandbox/args.go", "func (s *Sandbox) build(", `"--unshare-all"`, `"--unshare-all", "--share-net"`},
			},
			Pkg: "./internal/sandbox", Run: "TestARunHasNoNetworkOfTheHost", Says: "FAIL: TestARunHasNoNetworkOfTheHost",
		},
		{
			Name: "egress-addresses", Promise: "I10", What: "a listed name does not lead a sandbox to a private address",
			Edits: []Edit{{"internal/egress/dial.go", "func dial(", "t.private)", "true)"}},
			Pkg:   "./internal/egress", Run: "TestAListedNameThatLeadsToAPrivateAddressLeadsNowhere", Says: "FAIL: TestAListedNameThatLeadsToAPrivateAddressLeadsNowhere",
		},
		{
			Name: "tests-kept", Promise: "I11", What: "a patch that skips or deletes tests is refused",
			Edits: []Edit{{"internal/policy/policy.go", "func Check(", "\t\ttestsRun,\n", ""}, {"internal/policy/policy.go", "func Check(", "\t\ttestsKept,\n", ""}},
			Pkg:   "./internal/policy", Run: "TestSkippingATestIsRefusedAndMovingASkipIsNot|TestRemovingATestCaseIsRefused", Says: "FAIL: TestSkippingATestIsRefused",
		},
		{
			Name: "paths-forbidden", Promise: "I11", What: "a patch of a forbidden path is refused",
			Edits: []Edit{{"internal/policy/policy.go", "func Check(", "\t\tpathsAllowed,\n", ""}},
			Pkg:   "./internal/policy", Run: "TestForbiddenPathsAreForbiddenAtTheRootAndAtAnyDepth", Says: "FAIL: TestForbiddenPaths",
		},
	}
}
