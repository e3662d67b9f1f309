-- name: IntentRestraint :one
-- What stands against a run's first intent; the rules are in the function: 00008_restraint.sql.
select intent_restraint(@id::bigint, @incident::text, @incident_seconds::float8, @max_open::integer, @max_hour::integer, @gone::bigint[])::jsonb as found;

-- name: OpenPublications :many
-- A repository's pull requests that were open when last heard of, the oldest first.
select p.* from publications p
where p.repository_id = @repository_id and p.state <> 'refused' and p.pr_state = 'open' order by p.created_at limit @max_rows;

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
-- What became of a repository's pull requests about one class of failure.
select count(*)::bigint as opened,
    count(*) filter (where p.pr_state = 'closed' or p.reverted_at is not null)::bigint as refused
from publications p join fixes f on f.run_id = p.run_id and f.generation = p.generation
where p.repository_id = @repository_id and p.pr_number is not null and p.created_at > now() - make_interval(days => @days::int)
  and coalesce(nullif(f.evidence ->> 'class', ''), 'unknown') = @class::text;

-- name: RevertPublication :one
update publications set reverted_at = now(), updated_at = now()
where run_id = @run_id and generation = @generation and pr_state = 'merged' and reverted_at is null
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
select * from publications where run_id = @run_id and generation = @generation;
