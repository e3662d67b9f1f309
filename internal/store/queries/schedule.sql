-- name: RingDue :many
-- Marks due runs as rung, the oldest first, never more for a repository than it has free slots. Those already rung
-- hold a slot: the doorbell is out.
update runs set state = 'ready', reason = '', rung_at = now(), rings = rings + 1, updated_at = now()
where runs.state = 'waiting' and runs.id in (
    select r.id from (
        select p.id from repositories p
        where exists (select 1 from runs w where w.repository_id = p.id and w.state = 'waiting' and w.not_before <= now())
        for update skip locked) free
    cross join lateral (
        select w.id from runs w
        where w.repository_id = free.id and w.state = 'waiting' and w.not_before <= now()
        order by w.not_before, w.id
        limit greatest(0, sqlc.arg(slot_limit)::bigint - (
            select count(*) from runs a where a.repository_id = free.id and a.state in ('ready', 'running')))) r
    limit @max_rows)
returning *;

-- name: RingUnclaimed :many
-- Rings again for runs whose doorbell nobody answered.
update runs set rung_at = now(), rings = rings + 1, updated_at = now()
where id in (
    select r.id from runs r where r.state = 'ready' and r.rung_at < now() - make_interval(secs => @older_seconds::float8)
    order by r.rung_at limit @max_rows for update skip locked)
returning *;

-- name: RingFixed :many
-- Rings for verified fixes that are due and that no publisher has taken.
update runs set rung_at = now(), rings = rings + 1, updated_at = now()
where id in (
    select r.id from runs r where r.state = 'fixed' and r.not_before <= now()
      and (r.rung_at is null or r.rung_at < now() - make_interval(secs => @older_seconds::float8))
    order by r.not_before limit @max_rows for update skip locked)
returning *;

-- name: NextDue :one
-- Seconds until the next waiting run or fix that is not due yet; an hour when there is none.
select coalesce(extract(epoch from min(not_before) - now()), 3600)::float8 as seconds
from runs where state in ('waiting', 'fixed') and not_before > now();

-- name: OldestDue :one
-- Seconds that the run which has been due for longest has waited for a slot; 0 when none is due.
select coalesce(extract(epoch from now() - min(not_before)), 0)::float8 as seconds
from runs where state = 'waiting' and not_before <= now();
