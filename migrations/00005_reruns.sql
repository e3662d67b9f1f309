-- The wish to have a provider run a failure once more: one for each run, for ever.

-- +goose Up

-- It is written with the end of the run that no change of the code could mend.
--
--   wanted -> intended -> asked
--      `---------`------> refused
create table reruns (
    run_id            bigint primary key references runs,
    why               text not null check (why in ('infrastructure', 'flaky')),
    state             text not null default 'wanted' check (state in ('wanted', 'intended', 'asked', 'refused')),
    -- Why it was refused, or why it waits.
    reason            text not null default '',
    fence             bigint not null default 0 check (fence >= 0),
    -- How often it was looked at, and how often the provider may have been asked.
    looks             integer not null default 0 check (looks >= 0),
    asks              integer not null default 0 check (asks between 0 and 3),
    -- The provider's own attempt of the run when it was to be asked: a higher one says that it was.
    attempt           integer check (attempt > 0),
    not_before        timestamptz not null default now(),
    lease_expires_at  timestamptz,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    constraint reruns_intent check ((attempt is not null) = (asks > 0)),
    constraint reruns_intended check (state not in ('intended', 'asked') or attempt is not null),
    constraint reruns_refused check (state <> 'refused' or reason <> ''),
    constraint reruns_over check (state in ('wanted', 'intended') or lease_expires_at is null)
);
create index reruns_due on reruns (not_before, run_id) where state in ('wanted', 'intended');

-- +goose Down
drop table reruns;
