-- name: LockRepositoryIntents :exec
-- Intents of one repository are counted and written one at a time, so that two can't both pass a cap.
select pg_advisory_xact_lock(hashtextextended('intents of ' || @repository_id::bigint, 2));

-- name: LockIncident :exec
select pg_advisory_xact_lock(hashtextextended(@incident::text, 3));

-- name: CountPullRequests :one
-- A repository's pull requests that are open or on their way, and those that were begun in the last hour, whatever became
-- of them.
select count(*) filter (where p.pr_state in ('none', 'open'))::bigint as standing,
    count(*) filter (where p.created_at > now() - interval '1 hour')::bigint as recent
from publications p where p.repository_id = @repository_id and p.state <> 'refused';

-- name: NextOfHour :one
-- Seconds until the nth newest of a repository's pull requests is an hour old; n counts from 0.
select extract(epoch from p.created_at + interval '1 hour' - now())::float8 as seconds
from publications p where p.repository_id = @repository_id and p.state <> 'refused'
order by p.created_at desc limit 1 offset @nth::int;

-- name: OpenPublications :many
-- A repository's pull requests that were open when last heard of, the oldest first.
select p.* from publications p
where p.repository_id = @repository_id and p.state <> 'refused' and p.pr_state = 'open' order by p.created_at limit @max_rows;

-- name: FindIncident :one
-- The publication of another run that stands for an incident: open or on its way, and not too old.
select p.* from publications p
where p.incident = @incident::text and p.incident <> '' and p.run_id <> @run_id and p.state <> 'refused' and p.pr_state in ('none', 'open')
  and p.created_at > now() - make_interval(secs => @window_seconds::float8)
order by p.created_at limit 1;

-- name: FollowRun :execrows
update runs set follows = sqlc.arg(leader)::bigint where id = @id and fence = @fence and state = 'publishing' and id <> sqlc.arg(leader);

-- name: Followers :many
select id from runs where follows = @id::bigint order by id;

-- name: WaitForCap :execrows
-- Puts a verified fix off because of a cap. Until something of it is on its way it waits like any other run, and a later
-- success may end it; after that it stays with the publisher.
update runs set
    state = case when exists (select 1 from publications p where p.run_id = @id and p.generation = runs.generation and p.state in ('intended', 'pushed'))
        or exists (select 1 from suggestions s where s.run_id = @id and s.generation = runs.generation and s.state = 'intended')
        then 'fixed' else 'waiting' end,
    reason = 'pr_cap', explanation = @explanation, rung_at = null, not_before = now() + make_interval(secs => @delay_seconds::float8),
    holder = null, lease_expires_at = null, updated_at = now()
where runs.id = @id and runs.fence = @fence and runs.state = 'publishing';

-- name: ResumeFix :one
-- A run that was put off with its fix is the publisher's again: it is rung for it, and no attempt is made.
update runs set state = 'fixed', reason = '', not_before = now(), rung_at = now(), rings = rings + 1, updated_at = now()
where runs.id = @id and runs.fence = @fence and runs.state = 'ready'
  and exists (select 1 from fixes f where f.run_id = @id and f.generation = runs.generation)
returning *;

-- name: HurryRun :exec
update runs set not_before = now(), updated_at = now() where id = @id and state = 'waiting';

-- name: Acceptance :one
-- What became of a repository's pull requests by one fixer.
select count(*)::bigint as opened,
    count(*) filter (where p.pr_state = 'closed' or p.reverted_at is not null)::bigint as refused
from publications p join fixes f on f.run_id = p.run_id and f.generation = p.generation
where p.repository_id = @repository_id and f.fixer = @fixer and p.pr_number is not null
  and p.created_at > now() - make_interval(days => @days::int);

-- name: RevertPublication :one
update publications set reverted_at = coalesce(reverted_at, now()), updated_at = now()
where run_id = @run_id and generation = @generation and pr_state = 'merged'
returning *;

-- name: IntendSuggestion :one
-- As with pull requests: a second try adopts the first one's intent unchanged.
insert into suggestions (run_id, generation, fingerprint, digest, pr_number, pr_url, mark, state)
select runs.id, runs.generation, coalesce(runs.fingerprint, ''), @digest, @pr_number, @pr_url, @mark, 'intended'
from runs where runs.id = @run_id and runs.fence = @fence and runs.state = 'publishing'
on conflict (run_id, generation) do update set updated_at = now()
returning *;

-- name: SuggestionHolder :one
select * from suggestions where pr_url = @pr_url and fingerprint = @fingerprint::text and fingerprint <> '' and state <> 'refused';

-- name: GetSuggestion :one
select suggestions.* from suggestions join runs on runs.id = suggestions.run_id and runs.generation = suggestions.generation
where suggestions.run_id = @run_id;

-- name: AdvanceSuggestion :execrows
update suggestions set state = @state, reason = @reason, comment_id = @comment_id, updated_at = now()
where suggestions.run_id = @run_id and suggestions.state = 'intended'
  and exists (select 1 from runs where runs.id = @run_id and runs.generation = suggestions.generation
                and runs.fence = @fence and runs.state = 'publishing');

-- name: CancelSuggestion :exec
update suggestions set state = 'refused', reason = 'cancelled', updated_at = now() where run_id = @run_id and state = 'intended';

-- name: GetPublicationOf :one
select * from publications where run_id = @run_id and generation = @generation for update;
