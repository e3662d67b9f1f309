-- The records that everything else is judged by. A wrong state is made impossible here, not only in code.

-- +goose Up
create table repositories (
    id             bigint generated always as identity primary key,
    provider       text not null check (provider ~ '^[a-z0-9_-]{1,32}$'),
    external_id    text not null check (length(external_id) between 1 and 255),
    owner          text not null,
    name           text not null,
    created_at     timestamptz not null default now(),
    unique (provider, external_id)
);

-- A run is the work for one failure. Its row is the state machine:
--
--   waiting(reason, not_before) -> ready -> running -> fixed <-> publishing -> published
--                 ^                 |         |                      `---> superseded | blocked
--                 `-----------------+---------+--> declined | blocked | superseded | cancelled
create table runs (
    id                bigint generated always as identity primary key,
    run_key           text not null unique check (length(run_key) between 1 and 1000),
    repository_id     bigint not null references repositories,
    failure           jsonb not null,
    state             text not null,
    -- Why it waits, or why it ended. Never empty for either.
    reason            text not null default '',
    explanation       text not null default '',
    not_before        timestamptz,
    -- When the last doorbell was rung for it, and how many were.
    rung_at           timestamptz,
    rings             integer not null default 0 check (rings >= 0),
    fence             bigint not null default 0 check (fence >= 0),
    attempt_count     integer not null default 0 check (attempt_count >= 0),
    -- Executions given back because something outside failed; they are not attempts.
    transient_count   integer not null default 0 check (transient_count >= 0),
    holder            text,
    lease_expires_at  timestamptz,
    attempt_started_at timestamptz,
    attempt_ended_at  timestamptz,
    -- Tells the same trouble on a new commit.
    fingerprint       text,
    -- Grows when a person has the run tried again; each generation may have a fix and a publication of its own.
    generation        integer not null default 1 check (generation >= 1),
    -- Attempts made before a person had the run tried again: they no longer count against the cap.
    attempts_forgiven integer not null default 0 check (attempts_forgiven between 0 and attempt_count),
    trace_parent      text not null default '',
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    ended_at          timestamptz,
    constraint runs_state check (state in
        ('waiting', 'ready', 'running', 'fixed', 'publishing', 'published', 'declined', 'blocked', 'superseded', 'cancelled')),
    constraint runs_waiting check (state not in ('waiting', 'fixed') or not_before is not null),
    constraint runs_waiting_reason check (state <> 'waiting' or reason in
        ('new', 'rate_limited', 'no_slot', 'backoff', 'cooldown', 'dependency', 'pr_cap')),
    constraint runs_rung check (state <> 'ready' or rung_at is not null),
    constraint runs_lease check ((state in ('running', 'publishing')) = (holder is not null and lease_expires_at is not null)),
    constraint runs_ended check ((state in ('published', 'declined', 'blocked', 'superseded', 'cancelled'))
        = (ended_at is not null)),
    constraint runs_reason check (state not in ('declined', 'blocked', 'superseded', 'cancelled') or reason <> '')
);
create index runs_waiting_due on runs (repository_id, not_before, id) where state = 'waiting';
create index runs_active on runs (repository_id) where state in ('ready', 'running');
create index runs_ready_rung on runs (rung_at) where state = 'ready';
create index runs_fixed_due on runs (not_before) where state = 'fixed';
create index runs_lease_due on runs (lease_expires_at) where state in ('running', 'publishing');

-- A delivery is one webhook request. Exactly one record says what became of it.
create table deliveries (
    id            bigint generated always as identity primary key,
    provider      text not null,
    delivery_id   text not null check (length(delivery_id) between 1 and 255),
    event         text not null,
    body_sha256   text not null check (body_sha256 ~ '^[0-9a-f]{64}$'),
    received_at   timestamptz not null,
    recorded_at   timestamptz not null default now(),
    outcome       text not null check (outcome in ('run', 'coalesced', 'duplicate', 'ignored', 'dead')),
    reason        text not null default '',
    run_id        bigint references runs,
    unique (provider, delivery_id),
    constraint deliveries_reason check (outcome in ('run', 'coalesced') or reason <> ''),
    constraint deliveries_run check (outcome not in ('run', 'coalesced') or run_id is not null)
);
-- The same signed body under a fresh id is a duplicate too.
create unique index deliveries_body on deliveries (provider, body_sha256) where outcome not in ('duplicate', 'dead');
create unique index deliveries_first on deliveries (run_id) where outcome = 'run';

-- One execution of a run's pipeline.
create table attempts (
    run_id      bigint not null references runs,
    fence       bigint not null check (fence > 0),
    -- The attempt's number, or null when it was given back and does not count.
    number      integer check (number > 0),
    holder      text not null,
    started_at  timestamptz not null default now(),
    ended_at    timestamptz,
    outcome     text check (outcome in ('fixed', 'declined', 'blocked', 'superseded', 'crashed', 'given_back', 'cancelled')),
    reason      text not null default '',
    evidence    jsonb not null default '{}',
    primary key (run_id, fence),
    constraint attempts_ended check ((ended_at is null) = (outcome is null)),
    constraint attempts_given_back check (number is not null or outcome = 'given_back')
);
create unique index attempts_number on attempts (run_id, number);
create unique index attempts_one_open on attempts (run_id) where ended_at is null;

-- A verified patch. What is published is byte for byte this diff.
create table fixes (
    run_id       bigint not null references runs,
    generation   integer not null,
    fence        bigint not null,
    base_commit  text not null check (base_commit ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
    diff         bytea not null check (length(diff) between 1 and 1000000),
    digest       text not null check (digest = 'sha256:' || encode(sha256(diff), 'hex')),
    fixer        text not null,
    title        text not null,
    evidence     jsonb not null,
    created_at   timestamptz not null default now(),
    primary key (run_id, generation),
    foreign key (run_id, fence) references attempts (run_id, fence)
);

-- The intent to open one pull request for a run, written before anything is pushed, and its receipt.
create table publications (
    run_id            bigint not null,
    generation        integer not null,
    fingerprint       text not null,
    digest            text not null,
    branch            text not null check (branch ~ '^sre-agent/[A-Za-z0-9._-]+$'),
    base_branch       text not null,
    commit_id         text not null check (commit_id ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
    state             text not null check (state in ('intended', 'pushed', 'opened', 'adopted', 'refused')),
    reason            text not null default '',
    pr_number         bigint,
    pr_url            text,
    -- What is known of the pull request since.
    pr_state          text not null default 'none' check (pr_state in ('none', 'open', 'closed', 'merged')),
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    primary key (run_id, generation),
    foreign key (run_id, generation) references fixes (run_id, generation),
    constraint publications_receipt check ((state in ('opened', 'adopted')) = (pr_number is not null and pr_url is not null)),
    constraint publications_pr check ((pr_state = 'none') = (pr_number is null)),
    constraint publications_reason check (state <> 'refused' or reason <> '')
);
-- At most one open pull request, or one on its way, for the same trouble.
create unique index publications_fingerprint on publications (fingerprint)
    where fingerprint <> '' and state <> 'refused' and pr_state in ('none', 'open');
create index publications_by_fingerprint on publications (fingerprint);

-- A closed pull request is a person's no to a fingerprint, until a person lifts it.
create table refusals (
    fingerprint  text primary key check (fingerprint <> ''),
    run_id       bigint not null references runs,
    pr_url       text not null,
    refused_at   timestamptz not null default now(),
    lifted_at    timestamptz,
    lifted_by    text not null default '',
    lifted_why   text not null default '',
    constraint refusals_lifted check (lifted_at is null or (lifted_by <> '' and lifted_why <> ''))
);

-- What people did to runs, and why.
create table actions (
    id             bigint generated always as identity primary key,
    at             timestamptz not null default now(),
    run_id         bigint not null references runs,
    action         text not null check (action in ('retry', 'cancel', 'unblock')),
    who            text not null check (who <> ''),
    why            text not null check (why <> ''),
    before_state   text not null,
    before_reason  text not null
);
create index actions_of_run on actions (run_id, id);

-- How far a job that walks a stream has come.
create table checkpoints (
    name        text primary key,
    position    bigint not null,
    updated_at  timestamptz not null default now()
);

-- +goose Down
drop table checkpoints, actions, refusals, publications, fixes, attempts, deliveries, runs, repositories;
