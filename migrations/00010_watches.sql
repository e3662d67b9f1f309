-- What happens after a pull request is open: it is watched, people answer it, and a repository may be switched off.

-- +goose Up

-- A published pull request is looked at until it is merged, closed or stale. Whoever looks holds the row by a fence and
-- a lease, as a run's holder does. A webhook only makes it due.
create table watches (
    run_id            bigint not null,
    generation        integer not null,
    repository_id     bigint not null references repositories,
    pr_number         bigint not null check (pr_number > 0),
    base_branch       text not null,
    -- The pull request, its checks and its base as they were seen last.
    pr_state          text not null default 'open' check (pr_state in ('open', 'closed', 'merged')),
    head              text not null default '',
    base_head         text not null default '',
    checks            text not null default 'none' check (checks in ('none', 'pending', 'green', 'red')),
    conflicts         boolean not null default false,
    off_label         boolean not null default false,
    -- The head that was marked for review, because its checks were red.
    marked            text not null default '',
    merge_commit      text not null default '',
    -- Why we are closing it, or have closed it, ourselves: written before it is done, so that it is never taken for a
    -- person's no.
    closing           text not null default '' check (closing in ('', 'stop', 'off', 'label', 'mended', 'outdated')),
    -- A person opened again what we had closed: we do not close it by ourselves any more.
    kept              boolean not null default false,
    -- The ids of the comments that were read. An edited one is not read again.
    seen              text[] not null default '{}',
    -- The one comment that we own, and the digest of what it says.
    comment_id        text not null default '',
    comment_digest    text not null default '',
    -- What became of the base after the merge.
    outcome           text not null default '' check (outcome in ('', 'green', 'red', 'reverted')),
    merged_at         timestamptz,
    green_at          timestamptz,
    reverted_by       text not null default '',
    -- When it is looked at next; null: no more, unless a webhook asks for it.
    due               timestamptz default now(),
    looked_at         timestamptz,
    -- Looks that failed since the last one that did not, and why.
    tries             integer not null default 0 check (tries >= 0),
    problem           text not null default '',
    fence             bigint not null default 0 check (fence >= 0),
    holder            text,
    lease_expires_at  timestamptz,
    created_at        timestamptz not null default now(),
    -- When something of it changed last: from then on it is looked at less and less often.
    changed_at        timestamptz not null default now(),
    primary key (run_id, generation),
    foreign key (run_id, generation) references publications (run_id, generation),
    constraint watches_lease check ((holder is null) = (lease_expires_at is null)),
    constraint watches_merged check ((pr_state = 'merged') = (merged_at is not null)),
    constraint watches_outcome check (outcome = '' or pr_state = 'merged'),
    constraint watches_reverted check ((outcome = 'reverted') = (reverted_by <> ''))
);
create index watches_due on watches (due) where due is not null;
create index watches_pull_request on watches (repository_id, pr_number);
-- Webhooks about pull requests and branches name a repository; most of them are about nothing of ours.
create index repositories_name on repositories (lower(owner), lower(name));

-- What people asked for in comments, each comment once, and what became of it.
create table commands (
    run_id      bigint not null,
    generation  integer not null,
    comment_id  text not null check (length(comment_id) between 1 and 255),
    author      text not null,
    command     text not null check (command in ('retry', 'stop', 'why', 'off')),
    outcome     text not null check (outcome in ('done', 'refused', 'not_allowed')),
    answer      text not null default '',
    at          timestamptz not null default now(),
    primary key (run_id, generation, comment_id),
    foreign key (run_id, generation) references watches (run_id, generation)
);

-- Repositories that people have switched off, and who did it; one that was switched on again keeps its history.
create table switches (
    id             bigint generated always as identity primary key,
    repository_id  bigint not null references repositories,
    off_at         timestamptz not null default now(),
    off_by         text not null check (off_by <> ''),
    off_why        text not null check (off_why <> ''),
    on_at          timestamptz,
    on_by          text not null default '',
    on_why         text not null default '',
    constraint switches_on check (on_at is null or (on_by <> '' and on_why <> ''))
);
create unique index switches_off on switches (repository_id) where on_at is null;

alter table actions drop constraint actions_action_check;
alter table actions add constraint actions_action_check check (action in ('retry', 'cancel', 'unblock', 'stop', 'off'));

-- A pull request is watched from the moment on that it is recorded, however that came about.
-- +goose StatementBegin
create function publications_watch() returns trigger language plpgsql as $$
begin
    insert into watches (run_id, generation, repository_id, pr_number, base_branch)
    select new.run_id, new.generation, runs.repository_id, new.pr_number, new.base_branch from runs where runs.id = new.run_id
    on conflict (run_id, generation) do nothing;
    return null;
end
$$;
-- +goose StatementEnd
create trigger publications_watched after insert or update on publications for each row
    when (new.pr_number is not null) execute function publications_watch();

insert into watches (run_id, generation, repository_id, pr_number, base_branch)
select p.run_id, p.generation, r.repository_id, p.pr_number, p.base_branch
from publications p join runs r on r.id = p.run_id where p.pr_number is not null and p.pr_state = 'open';

-- No run is made for a repository that is switched off, whoever tries. Whoever inserts one gets no row, and finds out why.
-- +goose StatementBegin
create function runs_switched_off() returns trigger language plpgsql as $$
begin
    if exists (select 1 from switches s where s.repository_id = new.repository_id and s.on_at is null) then
        return null;
    end if;
    return new;
end
$$;
-- +goose StatementEnd
create trigger runs_off before insert on runs for each row execute function runs_switched_off();

-- +goose Down
drop trigger runs_off on runs;
drop function runs_switched_off();
drop trigger publications_watched on publications;
drop function publications_watch();
alter table actions drop constraint actions_action_check;
delete from actions where action in ('stop', 'off');
alter table actions add constraint actions_action_check check (action in ('retry', 'cancel', 'unblock'));
drop table switches, commands, watches;
drop index repositories_name;
