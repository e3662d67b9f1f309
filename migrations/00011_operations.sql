-- What operators set for one repository, and what they did that is not about one run.

-- +goose Up

-- A row says only what differs from the knobs, and can only ask for less than they allow.
create table repository_settings (
    repository_id      bigint primary key references repositories,
    -- Failures are recorded and wait, and nothing is published.
    paused_at          timestamptz,
    concurrency_limit  integer check (concurrency_limit between 1 and 1000),
    rate_per_minute    integer check (rate_per_minute between 1 and 100000),
    mode               text check (mode in ('shadow', 'suggest', 'pr')),
    updated_at         timestamptz not null default now()
);

-- What people did to repositories and to what is kept, and why. A repository that is named is known.
create table operations (
    id             bigint generated always as identity primary key,
    at             timestamptz not null default now(),
    operation      text not null check (operation in ('repository.pause', 'repository.resume', 'repository.limits', 'repository.mode',
        'repository.off', 'repository.on', 'prune')),
    repository_id  bigint references repositories,
    who            text not null check (who <> ''),
    why            text not null check (why <> ''),
    before         jsonb not null default '{}',
    after          jsonb not null default '{}'
);
create index operations_repository on operations (repository_id, id) where repository_id is not null;

-- How many runs of a repository may be active at once: none while it is paused.
create or replace function repository_slots(repository bigint, slot_limit integer) returns integer language sql stable as $$
    select coalesce((select case when s.paused_at is not null then 0 else least(slot_limit, s.concurrency_limit) end
        from repository_settings s where s.repository_id = repository), slot_limit)
$$;

-- A repository that may do more than before may have something to start, like one with a free slot.
-- +goose StatementBegin
create function repository_settings_turn() returns trigger language plpgsql as $$
begin
    perform ask_turn(new.repository_id, now());
    return null;
end
$$;
-- +goose StatementEnd
create trigger repository_settings_changed after insert or update on repository_settings
    for each row execute function repository_settings_turn();

-- As in 00002, with the repository's own limit.
-- +goose StatementBegin
create or replace function ring_due(slot_limit integer, max_rows integer) returns setof runs language plpgsql
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    moment timestamptz;
    lanes  bigint[]; -- the repositories to look at, in order
    mine   bigint[]; -- the turns that are ours to spend
begin
    -- One scheduler at a time: two would count the same free slot. It is one short statement, so waiting is fine.
    perform pg_advisory_xact_lock(1936876900, 1);
    moment := clock_timestamp();

    select array_agg(t.repository_id order by t.place) into lanes from (
        select d.repository_id, min(d.place) as place from (
            select turns.repository_id, row_number() over (order by turns.due, turns.id) as place from turns
            where turns.due <= moment order by turns.due, turns.id limit max_rows) d
        group by d.repository_id) t;
    if lanes is null then
        return;
    end if;
    select array_agg(t.id) into mine from (
        select turns.id from turns where turns.repository_id = any (lanes) and turns.due <= moment for update skip locked) t;

    return query
        with chosen as materialized (
            select w.id, l.place, row_number() over (partition by l.repository_id order by w.not_before, w.id) as nth
            from unnest(lanes) with ordinality l (repository_id, place)
            cross join lateral (
                -- A row that somebody is changing just now is passed over; its turn is kept below.
                select r.id, r.not_before from runs r
                where r.repository_id = l.repository_id and r.state = 'waiting' and r.not_before <= moment
                order by r.not_before, r.id
                limit greatest(0, repository_slots(l.repository_id, slot_limit) - (select count(*) from runs a
                    where a.repository_id = l.repository_id and a.state in ('ready', 'running')))
                for update of r skip locked) w
            order by nth, l.place limit max_rows),
        rung as (
            update runs set state = 'ready', reason = '', rung_at = now(), rings = runs.rings + 1, updated_at = now()
            from chosen where runs.id = chosen.id
            returning runs as r, chosen.nth, chosen.place)
        select (rung.r).* from rung order by rung.nth, rung.place;

    -- A repository with a free slot and something that waits keeps one turn: for when that is due, or, if it is due
    -- now, behind all others. The end of a run, or a change of its settings, brings a full one back.
    with lane as (
        select turns.repository_id, min(turns.id) as keep from turns where turns.id = any (mine) group by turns.repository_id),
    next as (
        select lane.keep, (select r.not_before from runs r where r.repository_id = lane.repository_id and r.state = 'waiting'
            order by r.not_before, r.id limit 1) as due
        from lane where repository_slots(lane.repository_id, slot_limit) > (select count(*) from runs a
            where a.repository_id = lane.repository_id and a.state in ('ready', 'running'))),
    kept as (
        update turns set due = greatest(next.due, moment) from next where turns.id = next.keep and next.due is not null
        returning turns.id)
    delete from turns where turns.id = any (mine) and turns.id not in (select kept.id from kept);
end
$$;
-- +goose StatementEnd

-- As in 00006, with the repository's own limit. Who changes that takes the repository's lock too.
-- +goose StatementBegin
create or replace function claim_run(
    its_id bigint, its_fence bigint, its_holder text, ttl float8, slot_limit integer,
    max_attempts integer, cooldown float8, base_backoff float8, max_backoff float8) returns setof runs language plpgsql as $$
declare
    repo bigint;
    full_up runs;
begin
    select p.id into repo from repositories p
    where p.id = (select r.repository_id from runs r where r.id = its_id) for no key update;
    if repo is null then
        return;
    end if;
    if (select count(*) from runs r where r.repository_id = repo and r.state = 'running') >= repository_slots(repo, slot_limit) then
        select r.* into full_up from runs r where r.id = its_id;
        full_up.holder := null;
        return next full_up;
        return;
    end if;
    return query
        with claimed as (
            update runs r set state = 'running', fence = r.fence + 1, attempt_count = r.attempt_count + 1, holder = its_holder,
                lease_expires_at = now() + make_interval(secs => ttl),
                attempt_started_at = now(), attempt_ended_at = null, reason = '', not_before = null, updated_at = now()
            where r.id = its_id and r.fence = its_fence and r.state = 'ready' and r.attempt_count - r.attempts_forgiven < max_attempts
              and (r.attempt_started_at is null or (
                    now() >= r.attempt_started_at + make_interval(secs => cooldown)
                and now() >= r.attempt_ended_at + make_interval(secs =>
                        least(max_backoff, base_backoff * power(2, greatest(0, r.attempt_count - r.attempts_forgiven - 1))))))
            returning r.*),
        attempt as (
            insert into attempts (run_id, fence, number, holder)
            select claimed.id, claimed.fence, claimed.attempt_count, its_holder from claimed)
        select * from claimed;
end
$$;
-- +goose StatementEnd

-- Down leaves ring_due and claim_run calling a repository_slots that lets everything through.
-- +goose Down
create or replace function repository_slots (repository bigint, slot_limit integer) returns integer language sql stable as $$
    select slot_limit
$$;
drop trigger repository_settings_changed on repository_settings;
drop function repository_settings_turn;
drop table operations, repository_settings;
