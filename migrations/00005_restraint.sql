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

-- +goose Down
drop table suggestions;
drop index runs_following, publications_incident, publications_of_repository;
alter table runs drop column follows;
alter table publications drop constraint publications_reverted, drop column reverted_at, drop column incident, drop column repository_id;
alter table fixes drop column trouble;
