-- name: CreateRun :one
-- No row: a run of this key exists already.
insert into runs (run_key, repository_id, failure, state, reason, not_before, trace_parent)
values (@run_key, @repository_id, @failure, 'waiting', @reason, now() + make_interval(secs => @delay_seconds::float8), @trace_parent)
on conflict (run_key) do nothing
returning *;

-- name: GetRun :one
select * from runs where id = @id;

-- name: ListRuns :many
select sqlc.embed(runs), sqlc.embed(repositories)
from runs join repositories on repositories.id = runs.repository_id
where (sqlc.arg(state)::text = '' or runs.state = sqlc.arg(state))
order by runs.id desc limit @max_rows;

-- name: CountRuns :many
select state, reason, count(*)::bigint as count from runs group by state, reason order by state, reason;

-- name: DeferRun :execrows
-- Puts a rung run back to waiting: it could not start now.
update runs set state = 'waiting', reason = @reason, not_before = now() + make_interval(secs => @delay_seconds::float8), updated_at = now()
where id = @id and fence = @fence and state = 'ready';

-- name: ClaimRun :one
-- The rules are in the function: 00011_operations.sql.
select * from claim_run(@id, @fence, @holder::text, @ttl_seconds::float8, @slot_limit::integer,
    @max_attempts::integer, @cooldown_seconds::float8, @base_backoff_seconds::float8, @max_backoff_seconds::float8);

-- name: RenewLease :execrows
update runs set lease_expires_at = now() + make_interval(secs => @ttl_seconds::float8), last_trace = @trace_parent::text
where id = @id and fence = @fence and state in ('running', 'publishing') and holder = @holder::text
  and lease_expires_at > now();

-- name: EndAttempt :execrows
update attempts set ended_at = now(), outcome = @outcome::text, reason = @reason, evidence = @evidence
where run_id = @run_id and fence = @fence and ended_at is null;

-- name: EndRun :execrows
-- Ends a run from the hands of its holder. The fence says that it is still the holder's.
update runs set state = @state, reason = @reason, explanation = @explanation, fingerprint = coalesce(sqlc.narg(fingerprint), fingerprint),
    holder = null, lease_expires_at = null, not_before = null, attempt_ended_at = coalesce(attempt_ended_at, now()),
    ended_at = now(), updated_at = now()
where id = @id and fence = @fence and state in ('running', 'publishing');

-- name: EndAttemptedRun :execrows
-- Ends a run and its attempt from the hands of the runner. The fence says that they are still its own.
with held as (
    select r.id, r.fence from runs r where r.id = @id and r.fence = @fence and r.state = 'running' for no key update),
attempt as (
    update attempts set ended_at = now(), outcome = @state, reason = @reason, evidence = @evidence
    from held where attempts.run_id = held.id and attempts.fence = held.fence and attempts.ended_at is null
    returning attempts.run_id)
update runs set state = @state, reason = @reason, explanation = @explanation, fingerprint = coalesce(sqlc.narg(fingerprint), fingerprint),
    holder = null, lease_expires_at = null, attempt_ended_at = now(), ended_at = now(), updated_at = now()
from attempt where runs.id = attempt.run_id;

-- name: MarkFixed :execrows
update runs set state = 'fixed', reason = '', explanation = @explanation, fingerprint = @fingerprint::text,
    holder = null, lease_expires_at = null, attempt_ended_at = now(), not_before = now(), rung_at = now(), updated_at = now()
where id = @id and fence = @fence and state = 'running';

-- name: GiveBackRun :execrows
-- Hands a run back without counting an attempt: something outside failed, or the process is stopping.
update runs set state = 'waiting', reason = 'dependency', explanation = @explanation, last_trace = @trace_parent::text,
    not_before = now() + make_interval(secs => @delay_seconds::float8),
    attempt_count = attempt_count - 1, transient_count = transient_count + @transient::int,
    attempt_started_at = (select a.started_at from attempts a where a.run_id = @id and a.number = runs.attempt_count - 1 and a.number > runs.attempts_forgiven),
    attempt_ended_at = (select a.ended_at from attempts a where a.run_id = @id and a.number = runs.attempt_count - 1 and a.number > runs.attempts_forgiven),
    holder = null, lease_expires_at = null, updated_at = now()
where runs.id = @id and runs.fence = @fence and runs.state = 'running';

-- name: GiveBackAttempt :execrows
update attempts set ended_at = now(), outcome = 'given_back', number = null, reason = @reason, evidence = @evidence
where run_id = @run_id and fence = @fence and ended_at is null;

-- name: TakeExpired :many
-- Locks runs whose holder has not renewed in time, one sweeper at a time. After a restart of the database itself
-- every holder gets the length of a lease to show that it is alive: the outage was not theirs.
select * from runs where state in ('running', 'publishing') and lease_expires_at < now()
  and pg_postmaster_start_time() + make_interval(secs => @grace_seconds::float8) < now()
order by lease_expires_at limit @max_rows for update skip locked;

-- name: WaitForRetry :execrows
-- After a crash: the next attempt rests for the backoff from the end and the cooldown from the start, whichever is later.
update runs set state = 'waiting',
    reason = case when attempt_started_at + make_interval(secs => @cooldown_seconds::float8)
                > now() + make_interval(secs => @backoff_seconds::float8) then 'cooldown' else 'backoff' end,
    not_before = greatest(attempt_started_at + make_interval(secs => @cooldown_seconds::float8),
                          now() + make_interval(secs => @backoff_seconds::float8)),
    attempt_ended_at = now(), holder = null, lease_expires_at = null, updated_at = now()
where id = @id and fence = @fence and state = 'running';
