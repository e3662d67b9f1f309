-- What keeps the agent from doing more than people welcome: caps, suggestions instead of pull requests, incidents.

-- +goose Up

-- The normalised error alone, wherever it comes up; empty when it says too little to tell one trouble from another.
alter table fixes add column trouble text not null default '';

-- Whose pull request it is, so that a cap costs one look at an index; which incident it stands for, if any; and when a
-- person took its merge back.
alter table publications
    add column repository_id bigint references repositories,
    add column incident text not null default '',
    add column reverted_at timestamptz,
    add constraint publications_reverted check (reverted_at is null or pr_state = 'merged');
update publications set repository_id = runs.repository_id from runs where runs.id = publications.run_id;
alter table publications alter column repository_id set not null;
create index publications_of_repository on publications (repository_id, created_at);
create index publications_incident on publications (incident, created_at) where incident <> '';

-- The run whose pull request stands for this one's trouble too.
alter table runs add column follows bigint references runs check (follows <> id);
create index runs_following on runs (follows) where follows is not null;

-- The intent to write one comment with a patch, recorded before it is written, and its receipt. The mark is what it is
-- found again by.
create table suggestions (
    run_id       bigint not null,
    generation   integer not null,
    fingerprint  text not null,
    digest       text not null,
    pr_number    bigint not null,
    pr_url       text not null,
    mark         text not null check (mark ~ '^[0-9a-f]{32}$'),
    state        text not null check (state in ('intended', 'posted', 'adopted', 'refused')),
    reason       text not null default '',
    comment_id   text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    primary key (run_id, generation),
    foreign key (run_id, generation) references fixes (run_id, generation),
    constraint suggestions_receipt check ((state in ('posted', 'adopted')) = (comment_id is not null)),
    constraint suggestions_reason check (state <> 'refused' or reason <> '')
);
-- A trouble is told once on a pull request, however often it comes up there.
create unique index suggestions_told on suggestions (pr_url, fingerprint) where fingerprint <> '' and state <> 'refused';

-- Says in one call what stands against a run's first intent: {} is nothing; {"leader", "leader_generation"} is another
-- run's publication of the same incident; {"standing", "recent", "after"} is a cap, with the seconds until the hour lets
-- the next one through. One that was let through once is let through for ever.
--
-- Each statement in here has a snapshot of its own (read committed), and it rests on that: what is counted is counted
-- after the locks are had, and they are held until the intent is committed, so that two can't both pass.
-- +goose StatementBegin
create function intent_restraint(
    its_id bigint, its_incident text, incident_seconds float8, max_open integer, max_hour integer, gone bigint[]) returns jsonb
language plpgsql as $$
declare
    its runs;
    leader publications;
    standing bigint;
    recent bigint;
    after float8 := 0;
begin
    select r.* into its from runs r where r.id = its_id;
    if its.id is null or exists (select 1 from publications p where p.run_id = its_id and p.generation = its.generation) then
        return '{}';
    end if;
    if its_incident <> '' then
        perform pg_advisory_xact_lock(hashtextextended(its_incident, 3));
        -- The same trouble at the same place is the fingerprint's business.
        select p.* into leader from publications p
        where p.incident = its_incident and p.run_id <> its_id and p.state <> 'refused' and p.pr_state in ('none', 'open')
          and p.created_at > now() - make_interval(secs => incident_seconds)
          and (p.fingerprint = '' or p.fingerprint <> coalesce(its.fingerprint, '')) and p.run_id <> all (gone)
        order by p.created_at, p.run_id limit 1;
        if leader.run_id is not null then
            return jsonb_build_object('leader', leader.run_id, 'leader_generation', leader.generation);
        end if;
    end if;
    if max_open = 0 and max_hour = 0 then
        return '{}';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('intents of ' || its.repository_id, 2));
    select count(*) filter (where p.pr_state in ('none', 'open') and p.run_id <> all (gone)),
        count(*) filter (where p.created_at > now() - interval '1 hour') into standing, recent
    from publications p
    where p.repository_id = its.repository_id and p.state <> 'refused'
      and (p.pr_state in ('none', 'open') or p.created_at > now() - interval '1 hour');
    if max_hour > 0 and recent >= max_hour then
        select extract(epoch from p.created_at + interval '1 hour' - now()) into after from publications p
        where p.repository_id = its.repository_id and p.state <> 'refused' order by p.created_at desc limit 1 offset max_hour - 1;
    elsif max_open = 0 or standing < max_open then
        return '{}';
    end if;
    return jsonb_build_object('standing', standing, 'recent', recent, 'after', greatest(after, 0));
end
$$;
-- +goose StatementEnd

-- +goose Down
drop function intent_restraint;
drop table suggestions;
drop index runs_following, publications_incident, publications_of_repository;
alter table runs drop column follows;
alter table publications drop constraint publications_reverted, drop column reverted_at, drop column incident, drop column repository_id;
alter table fixes drop column trouble;
