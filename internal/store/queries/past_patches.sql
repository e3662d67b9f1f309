-- name: PastPatches :many
-- The patches of ended attempts, in the order of their runs: those of fixes, and those that were kept as evidence.
select a.run_id, a.fence, a.started_at, a.outcome::text as outcome, a.reason, p.owner, p.name, coalesce(f.fixer, a.evidence->>'fixer', '')::text as fixer,
    coalesce(f.diff, convert_to(a.evidence->>'diff', 'UTF8'))::bytea as diff
from attempts a
join runs r on r.id = a.run_id
join repositories p on p.id = r.repository_id
left join fixes f on f.run_id = a.run_id and f.fence = a.fence
where a.outcome is not null and a.started_at >= @since and (a.run_id, a.fence) > (@after_run::bigint, @after_fence::bigint)
  and (f.diff is not null or a.evidence->>'diff' <> '')
order by a.run_id, a.fence limit @max_rows;
