-- name: ListDeliveries :many
-- The newest first; only those that belong to a run have a repository.
select d.*, coalesce(p.owner, '')::text as owner, coalesce(p.name, '')::text as name, coalesce(r.state, '')::text as run_state
from deliveries d left join runs r on r.id = d.run_id left join repositories p on p.id = r.repository_id
where (sqlc.arg(of_outcome)::text = '' or d.outcome = sqlc.arg(of_outcome))
order by d.id desc limit @max_rows;
