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
-- The usual case in one call; see migrations/00003_names.sql.
select coalesce(record_new_run(
    @pipeline::text, @run_key::text, @known::text[], @claims::text[], @failure::jsonb, @finished::timestamptz, @reason::text,
    @delay_seconds::float8, @trace_parent::text, @provider::text, @external_id::text, @owner::text, @name::text,
    @delivery_id::text, @event::text, @body_sha256::text, @received_at::timestamptz), 0)::bigint as run_id;

-- name: LockPipeline :exec
-- Serialises what is recorded of one pipeline on one commit for the length of the transaction.
select pg_advisory_xact_lock(hashtextextended(@pipeline::text, 1));

-- name: FindRunByNames :one
-- The run that is known by the key or by any of the names: the oldest, if there are several. Which they are is asked apart,
-- by the two unique indexes: with an "or" between them every run would be looked at.
with known as materialized (
    select k.id from runs k where k.run_key = @run_key
    union all
    select n.run_id from run_names n where n.name = any (@names::text[]))
select r.* from runs r where r.id = (select min(known.id) from known);

-- name: NameRun :exec
-- Gives a run further names; one that another run has stays that one's.
insert into run_names (name, run_id) select unnest(@names::text[]), @run_id on conflict (name) do nothing;

-- name: GreenSince :one
-- Whether the pipeline passed, by any of its names, at or after a time.
select exists (select 1 from greens where name = any (@names::text[]) and finished_at >= @finished::timestamptz);

-- name: RecordGreen :exec
insert into greens (name, finished_at) select unnest(@names::text[]), @finished::timestamptz
on conflict (name) do update set finished_at = greatest(greens.finished_at, excluded.finished_at), recorded_at = now();

-- name: SupersedeByGreen :many
-- Ends the runs of a pipeline that passed since, if they have not been started. Which they are is asked apart, as above.
with known as materialized (
    select k.id from runs k where k.run_key = @run_key
    union all
    select n.run_id from run_names n where n.name = any (@names::text[]))
update runs set state = 'superseded', reason = 'green', explanation = @explanation, not_before = null, ended_at = now(), updated_at = now()
where id = any (array(select known.id from known))
  and state in ('waiting', 'ready')
  and coalesce((failure ->> 'finished_at')::timestamptz,
      (select d.received_at from deliveries d where d.run_id = runs.id and d.outcome = 'run')) <= @finished::timestamptz
returning id;

-- name: SupersedeRun :exec
-- Ends a run at once that has just been made.
update runs set state = 'superseded', reason = 'green', explanation = @explanation, not_before = null, ended_at = now(), updated_at = now()
where id = @id and state = 'waiting';

-- name: PruneGreens :execrows
delete from greens where recorded_at < now() - make_interval(secs => @seconds::float8);
