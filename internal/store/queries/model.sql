-- name: LockModelBudget :exec
-- Reservations are made one at a time, so that two can't both take what is left.
select pg_advisory_xact_lock(7236020001);

-- name: ModelSpent :one
-- What counts against each budget: what was settled, and of what was not yet settled the most, for a day.
select
    coalesce(sum(coalesce(tokens, max_tokens)) filter (where run_id = @run_id), 0)::bigint as run_tokens,
    coalesce(sum(coalesce(cost, max_cost)) filter (where run_id = @run_id), 0)::bigint as run_cost,
    coalesce(sum(coalesce(tokens, max_tokens)) filter (where recent and repository_id = @repository_id), 0)::bigint as repository_tokens,
    coalesce(sum(coalesce(cost, max_cost)) filter (where recent and repository_id = @repository_id), 0)::bigint as repository_cost,
    coalesce(sum(coalesce(tokens, max_tokens)) filter (where recent), 0)::bigint as all_tokens,
    coalesce(sum(coalesce(cost, max_cost)) filter (where recent), 0)::bigint as all_cost
from (
    select c.*, c.reserved_at > now() - interval '1 day' as recent from model_calls c
    where (c.reserved_at > now() - interval '1 day') or (c.run_id = @run_id and c.settled_at is not null)
) counted;

-- name: ReserveModelCall :one
insert into model_calls (run_id, repository_id, model, request, max_tokens, max_cost)
values (@run_id, @repository_id, @model, @request, @max_tokens, @max_cost)
returning id;

-- name: SettleModelCall :execrows
update model_calls set settled_at = now(), outcome = @outcome::text, tokens = @tokens::bigint, cost = @cost::bigint
where id = @id and settled_at is null;

-- name: SettleModelCallUnknown :execrows
update model_calls set settled_at = now(), outcome = 'unknown', tokens = max_tokens, cost = max_cost
where id = @id and settled_at is null;

-- name: RecordModelExchange :exec
-- The first answer to a request stays: what was acted on is what is played again.
insert into model_exchanges (digest, request, answer) values (@digest, @request, @answer)
on conflict (digest) do nothing;

-- name: GetModelExchange :one
select * from model_exchanges where digest = @digest;

-- name: PruneModelExchanges :exec
-- A little at a time, with each call that is settled.
delete from model_exchanges where digest in (
    select e.digest from model_exchanges e where e.recorded_at < now() - make_interval(days => @days::int) order by e.recorded_at limit 50
);

-- name: PruneModelCalls :exec
delete from model_calls where id in (
    select c.id from model_calls c where c.reserved_at < now() - make_interval(days => @days::int) order by c.reserved_at limit 50
);
