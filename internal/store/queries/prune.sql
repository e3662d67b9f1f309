-- name: CountPrunableDeliveries :one
select count(*)::bigint from deliveries
where outcome in ('ignored', 'duplicate', 'dead') and recorded_at < now() - make_interval(days => @days::int);

-- name: PruneDeliveries :many
-- Those that made no run, a piece at a time, in the order of their numbers.
delete from deliveries where id in (
    select d.id from deliveries d
    where d.id > @after_id and d.outcome in ('ignored', 'duplicate', 'dead') and d.recorded_at < now() - make_interval(days => @days::int)
    order by d.id limit @max_rows)
returning id;

-- name: CountPrunableEvidence :one
select count(*)::bigint from attempts a join runs r on r.id = a.run_id
where r.ended_at < now() - make_interval(days => @days::int) and a.ended_at is not null and a.evidence <> '{}';

-- name: PruneEvidence :many
-- Empties what ended attempts of ended runs found out, a piece at a time, in the order of their runs.
update attempts set evidence = '{}' where (run_id, fence) in (
    select a.run_id, a.fence from attempts a join runs r on r.id = a.run_id
    where a.run_id > @after_run and r.ended_at < now() - make_interval(days => @days::int) and a.ended_at is not null and a.evidence <> '{}'
    order by a.run_id, a.fence limit @max_rows)
returning run_id;
