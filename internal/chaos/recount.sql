-- What the records say that the six counters must have counted: one row for each time, with the moment of its record.
-- $1 is COOLDOWN_SECONDS, $2 BASE_BACKOFF_SECONDS, $3 MAX_BACKOFF_SECONDS.
--
-- A moment that is null is one that the records don't hold. Reasons that leave no row at all (stale, locked, no_slot,
-- pr_cap, stream_window, delivery_id; rate_limited once the run has started) are counted from logs by the caller.
with endings as (
    -- A person's retry overwrites the run's row; the action remembers how it had ended.
    select r.id, r.state, r.reason, coalesce(r.fingerprint, '') as fingerprint, r.ended_at as at from runs r where r.ended_at is not null
    union all
    select r.id, a.before_state, a.before_reason, coalesce(r.fingerprint, ''), a.at from actions a join runs r on r.id = a.run_id
    where a.action in ('retry', 'unblock') and a.before_state in ('published', 'declined', 'blocked', 'superseded', 'cancelled')),
crashes as (
    select a.*, r.attempts_forgiven, exists (
        select 1 from endings e where e.id = a.run_id and e.state = 'blocked' and e.reason = 'max_attempts' and e.at >= a.ended_at
        and not exists (select 1 from attempts b where b.run_id = a.run_id and b.started_at > a.ended_at and b.started_at <= e.at)) as last
    from attempts a join runs r on r.id = a.run_id where a.outcome = 'crashed'),
tries as (
    -- Each claim of a run, each claim of its publication, each retry or cancel, and the switch that cancels it moves the
    -- fence on by one; a retry of what waits with its fix only hurries it. What was put off is among these: see Recount.
    select r.id, r.fence - (select count(*) from attempts a where a.run_id = r.id)
        - (select count(*) from actions x where x.run_id = r.id and x.action in ('retry', 'unblock', 'cancel')
            and not (x.action <> 'cancel' and x.before_state = 'waiting' and x.before_reason = 'pr_cap'))
        - (select count(*) from endings e where e.id = r.id and e.state = 'cancelled' and e.reason = 'repository_off')
        - (select count(*) from fixes f where f.run_id = r.id and (r.generation > f.generation
            or r.state in ('published', 'declined', 'blocked', 'publishing')
            or r.state = 'superseded' and (r.reason <> 'green' or r.explanation like 'everything passes on %'))) as n
    from runs r)
select 'sre_agent_webhook_deduped_total' as counter, 'body' as reason, recorded_at as at from deliveries where outcome = 'duplicate'
union all select 'sre_agent_webhook_deduped_total', 'coalesced', recorded_at from deliveries where outcome = 'coalesced'
union all select 'sre_agent_pipeline_runs_skipped_total', 'ignored', recorded_at from deliveries
    where outcome = 'ignored' and reason not in ('own_branch', 'own_author')
union all select 'sre_agent_pipeline_loop_blocked_total', reason, recorded_at from deliveries
    where outcome = 'ignored' and reason in ('own_branch', 'own_author')
union all select 'sre_agent_pipeline_runs_skipped_total', 'declined', ended_at from attempts where outcome = 'declined'
union all select 'sre_agent_pipeline_retry_total', 'transient', ended_at from attempts where outcome = 'given_back'
union all select 'sre_agent_pipeline_throttled_total', 'dependency', ended_at from attempts where outcome = 'given_back'
union all select 'sre_agent_pipeline_retry_total', 'crash', ended_at from crashes where not last
union all select 'sre_agent_pipeline_throttled_total',
    case when started_at + make_interval(secs => $1) > ended_at + make_interval(secs => least($3, $2 * power(2, number - attempts_forgiven - 1)))
        then 'cooldown' else 'backoff' end, ended_at from crashes where not last
union all select 'sre_agent_pipeline_loop_blocked_total', 'max_attempts', ended_at from crashes where last
union all select 'sre_agent_pipeline_retry_total', 'publish', null from tries cross join lateral generate_series(1, greatest(tries.n, 0))
union all select 'sre_agent_pipeline_throttled_total', 'rate_limited', updated_at from runs where state = 'waiting' and reason = 'rate_limited'
-- A refusal is written by the run that finds the closed pull request; those after it are stopped by the refusal.
union all select 'sre_agent_pipeline_loop_blocked_total', 'fingerprint', e.at from endings e where e.state = 'blocked'
    and (e.reason = 'fingerprint_returns' or e.reason = 'pull_request_closed' and e.fingerprint <> ''
        and not exists (select 1 from refusals x where x.run_id = e.id))
union all select 'sre_agent_pr_create_skipped_total', case when p.pr_state = 'merged' then 'exists_merged' else 'exists_open' end, r.ended_at
    from publications p join runs r on r.id = p.run_id where p.state = 'adopted'
union all select 'sre_agent_pr_create_skipped_total', s.counted, e.at from endings e join (values
    ('blocked', 'pull_request_closed', 'exists_closed'), ('superseded', 'pull_request_open', 'fingerprint'),
    ('blocked', 'branch_taken', 'branch_taken'), ('superseded', 'stale', 'stale'), ('superseded', 'branch_deleted', 'stale'),
    ('blocked', 'digest_mismatch', 'digest'), ('superseded', 'incident', 'incident'), ('superseded', 'person_fixing', 'person_fixing'),
    ('published', 'suggested', 'suggested'), ('superseded', 'suggested_before', 'suggested'), ('declined', 'suggest_mode', 'suggested')) s (state, reason, counted) on s.state = e.state and s.reason = e.reason
-- By the publisher, who says it so; what the throttle ends as green had no publication under way.
union all select 'sre_agent_pr_create_skipped_total', 'green', r.ended_at from runs r
    where r.state = 'superseded' and r.reason = 'green' and r.explanation like 'everything passes on %'
