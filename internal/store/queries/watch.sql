-- name: OpenRuns :many
-- The runs that have not ended, by state and reason: each part by an index that holds no others, so that ended runs cost
-- nothing. age is how many seconds ago the oldest was made, oldest how many the oldest claim has been held, overdue how
-- many leases have run out.
select w.state::text as state, w.reason::text as reason, w.count::bigint as count, w.age::float8 as age, w.oldest::float8 as oldest, w.overdue::bigint as overdue from (
    select r.state, r.reason, count(*) as count, max(extract(epoch from now() - r.created_at)) as age, 0 as oldest, 0 as overdue
    from runs r where r.state = 'waiting' group by r.state, r.reason
    union all
    select r.state, r.reason, count(*), max(extract(epoch from now() - r.created_at)), 0, 0 from runs r where r.state = 'ready' group by r.state, r.reason
    union all
    select r.state, r.reason, count(*), max(extract(epoch from now() - r.created_at)), 0, 0 from runs r where r.state = 'fixed' group by r.state, r.reason
    union all
    select r.state, r.reason, count(*), max(extract(epoch from now() - r.created_at)),
        max(extract(epoch from now() - case r.state when 'running' then r.attempt_started_at else r.updated_at end)),
        count(*) filter (where r.lease_expires_at < now())
    from runs r where r.state in ('running', 'publishing') group by r.state, r.reason) w
order by 1, 2;

-- name: NewestRun :one
select coalesce(max(id), 0)::bigint as id from runs;

-- name: AuditRuns :many
-- What must never be, among the runs of a range of ids.
select 'self_triggered_runs'::text as promise, r.id as run_id from runs r
where r.id between @first and @last and (r.failure ->> 'branch' like 'sre-agent/%'
    or (@agent_email::text <> '' and lower(r.failure ->> 'commit_author') = lower(@agent_email)))
union
select 'duplicate_pull_requests', p.run_id from publications p
where p.run_id between @first and @last and p.pr_state = 'open' group by p.run_id having count(*) > 1
union
select 'fence_violations', a.run_id from attempts a join runs r on r.id = a.run_id
where a.run_id between @first and @last and (a.fence > r.fence or exists (
    select 1 from attempts b where b.run_id = a.run_id and b.fence > a.fence and b.started_at < coalesce(a.ended_at, 'infinity')))
union
select 'fence_violations', f.run_id from fixes f join runs r on r.id = f.run_id
where f.run_id between @first and @last and f.fence > r.fence
order by 1, 2 limit @max_rows;

-- name: TryLead :one
-- One leader at a time, for as long as the session lives.
select pg_try_advisory_lock(1936876900, 2)::boolean as got;
