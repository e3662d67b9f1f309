package telemetry

import "slices"

// Other stands in metrics for a value outside of its closed set, so that no input can make series without bound.
const Other = "other"

// The reasons of each counter are closed sets. A service converts its own reason to the type; one that is not in
// the set is counted as Other.
type (
	// DedupReason says how a delivery was known to be a repetition.
	DedupReason string
	// SkipReason says why a run's pipeline did not run.
	SkipReason string
	// RetryReason says why a further attempt was due.
	RetryReason string
	// ThrottleReason says what a run waits for.
	ThrottleReason string
	// LoopReason says which guard stopped what could have gone on for ever.
	LoopReason string
	// PRSkipReason says why no pull request was created for a fix.
	PRSkipReason string
	// RejectReason says why a webhook request was refused.
	RejectReason string
	// ModelOutcome says how a call of a language model ended.
	ModelOutcome string
	// Ending is the state that a run ended in.
	Ending string
	// PRFate is what became of a pull request.
	PRFate string
	// CommandOutcome says what became of a command that a person gave in a comment.
	CommandOutcome string
	// Stage is a step of the fix pipeline.
	Stage string
	// Result is how a stage ended.
	Result string
)

// The reasons.
const (
	DedupStreamWindow DedupReason = "stream_window" // the stream still remembers the delivery's id
	DedupDeliveryID   DedupReason = "delivery_id"   // the database has the delivery's id
	DedupBody         DedupReason = "body"          // the same signed body came under another id
	DedupCoalesced    DedupReason = "coalesced"     // another delivery about a run that exists

	SkipIgnored SkipReason = "ignored"  // the delivery is nothing to act on
	SkipStale   SkipReason = "stale"    // a doorbell of a run that has moved on
	SkipLocked  SkipReason = "locked"   // another worker has the run's lock
	SkipDecline SkipReason = "declined" // the pipeline found nothing that it may or can mend

	RetryTransient RetryReason = "transient" // something outside failed
	RetryCrash     RetryReason = "crash"     // the worker vanished and its lease ran out
	RetryPublish   RetryReason = "publish"   // pushing or creating failed

	ThrottleRateLimited ThrottleReason = "rate_limited"
	ThrottleNoSlot      ThrottleReason = "no_slot"
	ThrottleBackoff     ThrottleReason = "backoff"
	ThrottleCooldown    ThrottleReason = "cooldown"
	ThrottleDependency  ThrottleReason = "dependency"
	ThrottlePRCap       ThrottleReason = "pr_cap" // one more pull request or comment would be too many just now

	LoopMaxAttempts LoopReason = "max_attempts" // every attempt has been used
	LoopOwnBranch   LoopReason = "own_branch"   // a failure of the agent's own branch
	LoopOwnAuthor   LoopReason = "own_author"   // a failure of a commit that the agent wrote
	LoopFingerprint LoopReason = "fingerprint"  // a person refused the same trouble, or it keeps coming back

	PRExistsOpen   PRSkipReason = "exists_open"   // an open pull request of this run was adopted
	PRExistsClosed PRSkipReason = "exists_closed" // a person closed it: a refusal
	PRExistsMerged PRSkipReason = "exists_merged" // it is merged already
	PRFingerprint  PRSkipReason = "fingerprint"   // another pull request stands for the same trouble
	PRBranchTaken  PRSkipReason = "branch_taken"  // our branch's name holds somebody else's commits: left alone
	PRStale        PRSkipReason = "stale"         // the branch moved, or a newer claim of the run exists
	PRDigest       PRSkipReason = "digest"        // the diff is not the one that was checked
	PRIncident     PRSkipReason = "incident"      // a pull request elsewhere stands for the same error and change
	PRGreen        PRSkipReason = "green"         // the failing commit is green meanwhile
	PRPersonFixing PRSkipReason = "person_fixing" // a person's pull request changes the same lines
	PRSuggested    PRSkipReason = "suggested"     // the patch was written into a comment, or held back from it

	RejectUnsigned     RejectReason = "unsigned"
	RejectBadSignature RejectReason = "bad_signature"
	RejectStale        RejectReason = "stale" // signed, at a time too far from ours
	RejectBadHeader    RejectReason = "bad_header"
	RejectMalformed    RejectReason = "malformed"
	RejectTooLarge     RejectReason = "too_large"
	RejectTimeout      RejectReason = "timeout"
	RejectAddress      RejectReason = "address"     // from outside of WEBHOOK_ALLOWED_ADDRESSES
	RejectBusy         RejectReason = "busy"        // no memory for one more body: the sender was told to try again
	RejectUnavailable  RejectReason = "unavailable" // the stream could not take it: the sender was told to try again

	ModelAnswered  ModelOutcome = "answered"
	ModelReplayed  ModelOutcome = "replayed"  // the recorded answer was used, and nothing was asked
	ModelRefused   ModelOutcome = "refused"   // the model would not answer
	ModelTruncated ModelOutcome = "truncated" // the answer was longer than allowed
	ModelBudget    ModelOutcome = "budget"    // not asked: too little is left
	ModelSecret    ModelOutcome = "secret"    // not asked: the question held a known secret
	ModelRejected  ModelOutcome = "rejected"  // the API refuses the call for good
	ModelTransient ModelOutcome = "transient" // no answer this time

	EndingPublished  Ending = "published"
	EndingDeclined   Ending = "declined"
	EndingBlocked    Ending = "blocked"
	EndingSuperseded Ending = "superseded"
	EndingCancelled  Ending = "cancelled"

	FateMerged   PRFate = "merged"
	FateClosed   PRFate = "closed"   // by a person
	FateStopped  PRFate = "stopped"  // by us, because a person said so
	FateOutdated PRFate = "outdated" // by us, because there is nothing left to mend, or not so
	FateReopened PRFate = "reopened"
	FateReverted PRFate = "reverted"
	FateRed      PRFate = "red" // its own checks

	CommandDone       CommandOutcome = "done"
	CommandRefused    CommandOutcome = "refused"     // there was nothing to do
	CommandNotAllowed CommandOutcome = "not_allowed" // by somebody who may not write to the repository

	StageContext     Stage = "context"
	StageClassify    Stage = "classify"
	StagePlan        Stage = "plan"
	StagePlanPolicy  Stage = "plan_policy"
	StagePatch       Stage = "patch"
	StagePatchPolicy Stage = "patch_policy"
	StageScan        Stage = "scan"
	StageVerify      Stage = "verify"
	StagePublish     Stage = "publish"

	ResultOK     Result = "ok"
	ResultEnd    Result = "end"    // the run ended here, with a reason
	ResultFailed Result = "failed" // the attempt failed here
)

// Metric describes one metric: what /metrics shows and what docs/metrics.md says.
type Metric struct {
	Name, Kind, Unit, Help string
	Labels                 []Label
}

// Label is one label of a metric and the closed set of its values; Other is allowed besides. Values is empty where
// something else bounds it: a gauge's, whose values its observer gives, and that of repositories, which has a cap.
type Label struct {
	Name   string
	Values []string
}

// The kinds of metric, in Prometheus' words.
const (
	counter   = "counter"
	histogram = "histogram"
	gauge     = "gauge"
)

// The metrics' names. The first six are the interface to everybody's dashboards: they never change.
const (
	WebhookDeduped       = "sre_agent_webhook_deduped_total"
	RunsSkipped          = "sre_agent_pipeline_runs_skipped_total"
	Retry                = "sre_agent_pipeline_retry_total"
	Throttled            = "sre_agent_pipeline_throttled_total"
	LoopBlocked          = "sre_agent_pipeline_loop_blocked_total"
	PRCreateSkipped      = "sre_agent_pr_create_skipped_total"
	WebhookRejected      = "sre_agent_webhook_rejected_total"
	RunsEnded            = "sre_agent_runs_ended_total"
	StageDuration        = "sre_agent_stage_duration_seconds"
	WebhookToPullRequest = "sre_agent_webhook_to_pull_request_seconds"
	PullRequestFates     = "sre_agent_pull_request_fates_total"
	Commands             = "sre_agent_commands_total"
	ModelCalls           = "sre_agent_model_calls_total"
	ModelTokens          = "sre_agent_model_tokens_total" //nolint:gosec // a metric of tokens that are words
	ModelCost            = "sre_agent_model_cost_millionths_total"
)

// Metrics lists every metric of ours.
func Metrics() []Metric {
	reason := func(values ...string) []Label { return []Label{{Name: "reason", Values: values}} }
	return append([]Metric{
		{WebhookDeduped, counter, "", "Deliveries that repeat one that is known.", reason(words(DedupStreamWindow, DedupDeliveryID, DedupBody, DedupCoalesced)...)},
		{RunsSkipped, counter, "", "Times that a run's pipeline did not run.", reason(words(SkipIgnored, SkipStale, SkipLocked, SkipDecline)...)},
		{Retry, counter, "", "Attempts that were followed by another one.", reason(words(RetryTransient, RetryCrash, RetryPublish)...)},
		{Throttled, counter, "", "Times that a run was made to wait.", reason(words(ThrottleRateLimited, ThrottleNoSlot, ThrottleBackoff, ThrottleCooldown, ThrottleDependency, ThrottlePRCap)...)},
		{LoopBlocked, counter, "", "Times that a guard against loops stopped something.", reason(words(LoopMaxAttempts, LoopOwnBranch, LoopOwnAuthor, LoopFingerprint)...)},
		{PRCreateSkipped, counter, "", "Fixes for which no pull request was created.", reason(words(PRExistsOpen, PRExistsClosed, PRExistsMerged, PRFingerprint, PRBranchTaken, PRStale, PRDigest, PRIncident, PRGreen, PRPersonFixing, PRSuggested)...)},
		{WebhookRejected, counter, "", "Webhook requests that were refused.", reason(words(RejectUnsigned, RejectBadSignature, RejectStale, RejectBadHeader, RejectMalformed, RejectTooLarge, RejectTimeout, RejectAddress, RejectBusy, RejectUnavailable)...)},
		{RunsEnded, counter, "", "Runs that ended, by the state that they ended in.", []Label{{"ending", words(EndingPublished, EndingDeclined, EndingBlocked, EndingSuperseded, EndingCancelled)}}},
		{StageDuration, histogram, "s", "Time that a stage of the fix pipeline took.", []Label{
			{"stage", words(StageContext, StageClassify, StagePlan, StagePlanPolicy, StagePatch, StagePatchPolicy, StageScan, StageVerify, StagePublish)},
			{"result", words(ResultOK, ResultEnd, ResultFailed)},
		}},
		{WebhookToPullRequest, histogram, "s", "Time from a webhook's arrival to its pull request.", nil},
		{PullRequestFates, counter, "", "Pull requests of ours, by what became of them.", []Label{{"fate", words(FateMerged, FateClosed, FateStopped, FateOutdated, FateReopened, FateReverted, FateRed)}}},
		{Commands, counter, "", "Commands that people gave in comments, by what became of them.", []Label{{"outcome", words(CommandDone, CommandRefused, CommandNotAllowed)}}},
		{ModelCalls, counter, "", "Questions to a language model, by what became of them.", []Label{{"outcome", words(ModelAnswered, ModelReplayed, ModelRefused, ModelTruncated, ModelBudget, ModelSecret, ModelRejected, ModelTransient)}}},
		{ModelTokens, counter, "", "Tokens that language models took. Where one does not say how many, the most that it can have been.", []Label{{"kind", modelKinds}}},
		{ModelCost, counter, "", "Cost of language models, in millionths of the currency of MODEL_PRICES.", []Label{{"kind", modelKinds}}},
	}, slices.Concat(workMetrics(), gauges())...)
}

// modelKinds say whether a provider told the amount, or the most was assumed.
var modelKinds = []string{"reported", "assumed"}

func words[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// known returns the value if it is in the set, else Other.
func known(set []string, value string) string {
	if slices.Contains(set, value) {
		return value
	}
	return Other
}
