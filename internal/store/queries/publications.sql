-- name: SaveFix :execrows
insert into fixes (run_id, generation, fence, base_commit, diff, digest, fixer, title, evidence, trouble)
select runs.id, runs.generation, @fence, @base_commit, @diff, @digest, @fixer, @title, @evidence, @trouble
from runs where runs.id = @run_id and runs.fence = @fence and runs.state = 'running';

-- name: GetFix :one
select fixes.* from fixes join runs on runs.id = fixes.run_id and runs.generation = fixes.generation where fixes.run_id = @run_id;

-- name: ClaimPublication :one
-- One publisher at a time; whoever comes next carries on from the publication's row. A paused repository's fixes wait.
update runs set state = 'publishing', fence = fence + 1, holder = @holder::text,
    lease_expires_at = now() + make_interval(secs => @ttl_seconds::float8), reason = '', last_trace = @trace_parent::text, updated_at = now()
where id = @id and fence = @fence and state = 'fixed' and not_before <= now()
  and not exists (select 1 from repository_settings s where s.repository_id = runs.repository_id and s.paused_at is not null)
returning *;

-- name: IntendPublication :one
-- The intent, written before anything is pushed. A second try adopts the first one's intent unchanged.
insert into publications (run_id, generation, fingerprint, digest, branch, base_branch, commit_id, state, repository_id, incident)
select runs.id, runs.generation, coalesce(runs.fingerprint, ''), @digest, @branch, @base_branch, @commit_id, 'intended', runs.repository_id, @incident
from runs where runs.id = @run_id and runs.fence = @fence and runs.state = 'publishing'
on conflict (run_id, generation) do update set updated_at = now()
returning *;

-- name: GetPublication :one
select publications.* from publications join runs on runs.id = publications.run_id and runs.generation = publications.generation
where publications.run_id = @run_id;

-- name: FingerprintHolder :one
-- The publication that stands for a fingerprint: a pull request that is open, or on its way.
select * from publications
where fingerprint = @fingerprint::text and fingerprint <> '' and state <> 'refused' and pr_state in ('none', 'open');

-- name: ClosedPublications :many
-- Those whose pull request was closed when last heard of, the newest first.
select * from publications where fingerprint = @fingerprint::text and fingerprint <> '' and pr_state = 'closed'
order by updated_at desc, run_id desc limit @max_rows;

-- name: CountMerged :one
select count(*)::bigint from publications where fingerprint = @fingerprint::text and fingerprint <> '' and pr_state = 'merged';

-- name: SetPRState :execrows
update publications set pr_state = @pr_state, updated_at = now()
where run_id = @run_id and generation = @generation and pr_state <> 'none';

-- name: AdvancePublication :execrows
update publications set state = @state, reason = @reason, pr_number = @pr_number, pr_url = @pr_url, pr_state = @pr_state, updated_at = now()
where publications.run_id = @run_id and publications.state in ('intended', 'pushed')
  and exists (select 1 from runs where runs.id = @run_id and runs.generation = publications.generation
                and runs.fence = @fence and runs.state = 'publishing');

-- name: GiveBackPublication :execrows
-- Hands a publication back: it is rung again when it is due.
update runs set state = 'fixed', reason = 'dependency', explanation = @explanation, rung_at = null,
    not_before = now() + make_interval(secs => @delay_seconds::float8), transient_count = transient_count + @transient::int,
    holder = null, lease_expires_at = null, updated_at = now()
where id = @id and fence = @fence and state = 'publishing';

-- name: AttemptsOfRun :many
select * from attempts where run_id = @run_id order by fence;

-- name: Refuse :exec
insert into refusals (fingerprint, run_id, pr_url) values (@fingerprint, @run_id, @pr_url)
on conflict (fingerprint) do update
    set run_id = excluded.run_id, pr_url = excluded.pr_url, refused_at = now(), lifted_at = null, lifted_by = '', lifted_why = ''
    where refusals.lifted_at is not null;

-- name: ClosePublicationsOf :exec
-- What a person closed stands for its fingerprint no longer: the refusal does, from the same moment on.
update publications set pr_state = 'closed', updated_at = now() where pr_url = @pr_url::text and pr_state = 'open';

-- name: GetRefusal :one
select * from refusals where fingerprint = @fingerprint and lifted_at is null;

-- name: LiftRefusal :execrows
update refusals set lifted_at = now(), lifted_by = @lifted_by, lifted_why = @lifted_why
where fingerprint = @fingerprint and lifted_at is null;
