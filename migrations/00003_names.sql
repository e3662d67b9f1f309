-- What lets the events of one pipeline make one run whatever each of them knows, and a later success end it.

-- +goose Up

-- Why a blocked run is blocked, by the name that everybody looks for.
alter table runs add column blocked_reason text generated always as (case when state = 'blocked' then reason end) stored;

-- Further names of a run. An event that knows a run by any of them is about that run.
create table run_names (
    name    text primary key check (length(name) between 1 and 1500),
    run_id  bigint not null references runs
);

-- Pipelines that passed, by the names that a failure of them would have. A failure that ended before is over.
create table greens (
    name         text primary key check (length(name) between 1 and 1500),
    finished_at  timestamptz not null,
    recorded_at  timestamptz not null default now()
);
create index greens_recorded on greens (recorded_at);

-- Records the usual case in one call: a new delivery that makes a new run of a repository that is known. It returns
-- null, and has written nothing, when the repository or its name is new, the run exists, or the pipeline passed since.
-- A unique key is hurt when the delivery or its body is known, or a name is taken. In each case the longer way finds
-- out which.
--
-- Each statement in here has a snapshot of its own (read committed), and it rests on that: what is known of the
-- pipeline is read after its lock is had.
-- +goose StatementBegin
create function record_new_run(
    pipeline text, key text, known text[], claims text[], facts jsonb, finished timestamptz, why text, delay_seconds float8, trace text,
    from_provider text, repository text, repository_owner text, repository_name text,
    delivery text, event_name text, body text, received timestamptz) returns bigint language plpgsql as $$
declare
    repo bigint;
    created bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended(pipeline, 1));
    select p.id into repo from repositories p
    where p.provider = from_provider and p.external_id = repository and p.owner = repository_owner and p.name = repository_name;
    if repo is null
        or exists (select 1 from run_names n where n.name = any (known))
        or exists (select 1 from greens g where g.name = any (known) and g.finished_at >= finished) then
        return null;
    end if;
    insert into runs (run_key, repository_id, failure, state, reason, not_before, trace_parent)
    values (key, repo, facts, 'waiting', why, now() + make_interval(secs => delay_seconds), trace)
    on conflict (run_key) do nothing
    returning id into created;
    if created is null then
        return null;
    end if;
    insert into run_names (name, run_id) select unnest(claims), created;
    insert into deliveries (provider, delivery_id, event, body_sha256, received_at, outcome, run_id)
    values (from_provider, delivery, event_name, body, received, 'run', created);
    return created;
end
$$;
-- +goose StatementEnd

-- +goose Down
drop function record_new_run(text, text, text[], text[], jsonb, timestamptz, text, float8, text, text, text, text, text, text, text, text, timestamptz);
drop table greens, run_names;
alter table runs drop column blocked_reason;
