-- name: EnsureRepository :one
-- A repository that is known as it is gets no write: a storm's deliveries would queue at its row, each for a commit.
with known as (
    select p.id from repositories p
    where p.provider = @provider and p.external_id = @external_id and p.owner = @owner and p.name = @name),
written as (
    insert into repositories as p (provider, external_id, owner, name)
    select @provider, @external_id, @owner, @name where not exists (select 1 from known)
    on conflict (provider, external_id) do update set owner = excluded.owner, name = excluded.name
    returning p.id)
select known.id::bigint as id from known union all select written.id from written;

-- name: RecordNewRun :one
-- The usual case in one statement: a new delivery makes a new run of a repository that is known. No row: the
-- repository or its name is new, or the run exists. A unique key is hurt: the delivery or its body is known. In each
-- case nothing is written, and the longer way finds out which.
with created as (
    insert into runs (run_key, repository_id, failure, state, reason, not_before, trace_parent)
    select @run_key, p.id, @failure, 'waiting', @reason, now() + make_interval(secs => @delay_seconds::float8), @trace_parent
    from repositories p
    where p.provider = @provider and p.external_id = @external_id and p.owner = @owner and p.name = @name
    on conflict (run_key) do nothing
    returning id)
insert into deliveries (provider, delivery_id, event, body_sha256, received_at, outcome, run_id)
select @provider, @delivery_id, @event, @body_sha256, @received_at, 'run', created.id from created
returning run_id;
