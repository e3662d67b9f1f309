-- name: RingDue :many
-- Marks due runs as rung, fairly across repositories, and returns them in the order to ring them in. The rules are in
-- the function, next to the table that it keeps.
select * from ring_due(@slot_limit::integer, @max_rows::integer);

-- name: MendTurns :execrows
-- Gives a turn to every repository that should have one: rows that came in without triggers, as a restore does it.
insert into turns (repository_id, due)
select p.id, w.due from repositories p cross join lateral (
    select r.not_before as due from runs r where r.repository_id = p.id and r.state = 'waiting' order by r.not_before, r.id limit 1) w
where not exists (select 1 from turns t where t.repository_id = p.id and t.due <= greatest(w.due, now()))
  and repository_slots(p.id, @slot_limit::integer) > (select count(*) from runs a where a.repository_id = p.id and a.state in ('ready', 'running'));

-- name: RingUnclaimed :many
-- Rings again for runs whose doorbell nobody answered.
update runs set rung_at = now(), rings = rings + 1, updated_at = now()
where id in (
    select r.id from runs r where r.state = 'ready' and r.rung_at < now() - make_interval(secs => @older_seconds::float8)
    order by r.rung_at limit @max_rows for update skip locked)
returning *;

-- name: RingFixed :many
-- Rings for verified fixes that are due and that no publisher has taken, but not in repositories that are paused.
update runs set rung_at = now(), rings = rings + 1, updated_at = now()
where id in (
    select r.id from runs r where r.state = 'fixed' and r.not_before <= now()
      and (r.rung_at is null or r.rung_at < now() - make_interval(secs => @older_seconds::float8))
      and not exists (select 1 from repository_settings s where s.repository_id = r.repository_id and s.paused_at is not null)
    order by r.not_before limit @max_rows for update skip locked)
returning *;

-- name: NextDue :one
-- Seconds until the next turn or fix is due, an hour when there is none. A turn that is due already (another scheduler
-- or a transaction in flight holds it) is due at once.
select coalesce(extract(epoch from least(
    (select min(t.due) from turns t),
    (select min(r.not_before) from runs r where r.state = 'fixed' and r.not_before > now())) - clock_timestamp()), 3600)::float8 as seconds;

-- name: OldestDue :one
-- Seconds that the run which has been due for longest has waited for a slot; 0 when none is due. One look per
-- repository, not per run.
select coalesce(max(extract(epoch from now() - w.not_before)), 0)::float8 as seconds
from repositories p cross join lateral (
    select r.not_before from runs r where r.repository_id = p.id and r.state = 'waiting' and r.not_before <= now()
    order by r.not_before, r.id limit 1) w;
