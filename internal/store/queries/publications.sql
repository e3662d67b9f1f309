-- name: SaveFix :exec
insert into fixes (run_id, fence, base_commit, diff, digest, fixer, title, evidence)
values (@run_id, @fence, @base_commit, @diff, @digest, @fixer, @title, @evidence);

-- name: GetFix :one
select * from fixes where run_id = @run_id;

-- name: ClaimPublication :one
-- One publisher at a time; whoever comes next carries on from the publication's row.
update runs set state = 'publishing', fence = fence + 1, holder = @holder::text,
    lease_expires_at = now() + make_interval(secs => @ttl_seconds::float8), reason = '', updated_at = now()
where id = @id and fence = @fence and state = 'fixed' and not_before <= now()
returning *;

-- name: IntendPublication :one
-- The intent, written before anything is pushed. A second try adopts the first one's intent unchanged.
insert into publications (run_id, digest, branch, base_branch, commit_id, state)
select @run_id::bigint, @digest, @branch, @base_branch, @commit_id, 'intended'
from runs where runs.id = @run_id and runs.fence = @fence and runs.state = 'publishing'
on conflict (run_id) do update set updated_at = now()
returning *;

-- name: GetPublication :one
select * from publications where run_id = @run_id;

-- name: AdvancePublication :execrows
update publications set state = @state, reason = @reason, pr_number = @pr_number, pr_url = @pr_url, updated_at = now()
where publications.run_id = @run_id and publications.state in ('intended', 'pushed')
  and exists (select 1 from runs where runs.id = @run_id and runs.fence = @fence and runs.state = 'publishing');

-- name: GiveBackPublication :execrows
-- Hands a publication back: it is rung again when it is due.
update runs set state = 'fixed', reason = 'dependency', explanation = @explanation, rung_at = null,
    not_before = now() + make_interval(secs => @delay_seconds::float8), transient_count = transient_count + @transient::int,
    holder = null, lease_expires_at = null, updated_at = now()
where id = @id and fence = @fence and state = 'publishing';

-- name: AttemptsOfRun :many
select * from attempts where run_id = @run_id order by fence;
