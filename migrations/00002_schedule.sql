-- Which repository the scheduler has to look at, and when: so that a start costs the same however many runs wait,
-- and a repository that waits for a slot of its own costs nothing.

-- +goose Up

-- A turn asks the scheduler to look at a repository at a time. What must hold whenever nobody is in the middle of it:
--
--   a repository with a waiting run has a turn that is due by then, or as many active runs as its limit allows.
--
-- So a repository that is full has no turn; the end of one of its runs makes one. Turns may be too many, never too
-- few: one too many costs a look. Nobody ever waits for a turn's lock, so there is nothing to deadlock on and no
-- row that a storm's deliveries queue at. There is no foreign key, because its check would wait for the lock that a
-- claim takes on the repository.
create table turns (
    id             bigint generated always as identity primary key,
    repository_id  bigint not null,
    due            timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
create index turns_due on turns (due, id);
create index turns_repository on turns (repository_id, due);

-- Makes sure of a turn. One that is there will do, and is then locked for sharing until we commit: the scheduler may
-- look at the repository meanwhile, but can't spend a turn that promises something which it can't see yet. One that
-- the scheduler is about to spend is locked, and is skipped: then we write our own.
-- +goose StatementBegin
create function ask_turn(repository bigint, at timestamptz) returns void language plpgsql
set enable_seqscan = off as $$
begin
    perform 1 from turns where turns.repository_id = repository and turns.due <= at
    order by turns.due limit 1 for share skip locked;
    if not found then
        insert into turns (repository_id, due) values (repository, at);
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function runs_turn() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        perform ask_turn(new.repository_id, new.not_before);
    elsif tg_op = 'DELETE' or old.state in ('ready', 'running') then
        perform ask_turn(old.repository_id, now()); -- a slot is free
    else
        perform ask_turn(new.repository_id, new.not_before);
    end if;
    return null;
end
$$;
-- +goose StatementEnd

-- The two things after which a repository may have something to start: a run waits, or a slot is free. They are
-- triggers so that no statement, of today or of a later version, can forget.
create trigger runs_wait after insert on runs for each row when (new.state = 'waiting') execute function runs_turn();
create trigger runs_wait_or_leave after update on runs for each row when (
    (new.state = 'waiting' and (old.state <> 'waiting' or new.not_before < old.not_before))
    or (old.state in ('ready', 'running') and new.state not in ('ready', 'running'))) execute function runs_turn();
create trigger runs_gone after delete on runs for each row when (old.state in ('ready', 'running')) execute function runs_turn();

-- Marks due runs as rung, at most max_rows, and never more for a repository than it has free slots: those rung and
-- not yet ended hold one. Round robin: of the repositories with a turn, whoever asked first is first, the first run
-- of each goes before the second run of any, and in each the oldest goes first. That is the order of the result.
--
-- Each statement in here has a snapshot of its own (read committed), and correctness rests on it: the turns are
-- locked first, then the runs are read, so that whoever relied on a turn that we got has committed and is seen.
-- +goose StatementBegin
create function ring_due(slot_limit integer, max_rows integer) returns setof runs language plpgsql
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
                limit greatest(0, slot_limit - (select count(*) from runs a
                    where a.repository_id = l.repository_id and a.state in ('ready', 'running')))
                for update of r skip locked) w
            order by nth, l.place limit max_rows),
        rung as (
            update runs set state = 'ready', reason = '', rung_at = now(), rings = runs.rings + 1, updated_at = now()
            from chosen where runs.id = chosen.id
            returning runs as r, chosen.nth, chosen.place)
        select (rung.r).* from rung order by rung.nth, rung.place;

    -- A repository with a free slot and something that waits keeps one turn: for when that is due, or, if it is due
    -- now, behind all others. The end of a run brings a full one back.
    with lane as (
        select turns.repository_id, min(turns.id) as keep from turns where turns.id = any (mine) group by turns.repository_id),
    next as (
        select lane.keep, (select r.not_before from runs r where r.repository_id = lane.repository_id and r.state = 'waiting'
            order by r.not_before, r.id limit 1) as due
        from lane where slot_limit > (select count(*) from runs a
            where a.repository_id = lane.repository_id and a.state in ('ready', 'running'))),
    kept as (
        update turns set due = greatest(next.due, moment) from next where turns.id = next.keep and next.due is not null
        returning turns.id)
    delete from turns where turns.id = any (mine) and turns.id not in (select kept.id from kept);
end
$$;
-- +goose StatementEnd

-- Gives a turn to every repository that has something waiting and none for it: after rows were loaded without
-- triggers (a restore), and for those that wait now.
insert into turns (repository_id, due)
select p.id, w.due from repositories p cross join lateral (
    select r.not_before as due from runs r where r.repository_id = p.id and r.state = 'waiting' order by r.not_before, r.id limit 1) w;

-- +goose Down
drop function ring_due;
drop trigger runs_wait on runs;
drop trigger runs_wait_or_leave on runs;
drop trigger runs_gone on runs;
drop function runs_turn, ask_turn;
drop table turns;
