-- What language models were asked, what they answered, and what that may cost.

-- +goose Up

-- One call of a model. It is reserved with the most that it can cost before it is made, and settled after. A row that is
-- never settled, because a process died, counts with its most until it is a day old.
create table model_calls (
    id             bigint generated always as identity primary key,
    run_id         bigint not null references runs,
    repository_id  bigint not null references repositories,
    model          text not null check (length(model) between 1 and 200),
    request        text not null check (request ~ '^sha256:[0-9a-f]{64}$'),
    -- Costs are in millionths of the currency that the prices are in.
    max_tokens     bigint not null check (max_tokens > 0),
    max_cost       bigint not null check (max_cost >= 0),
    reserved_at    timestamptz not null default now(),
    settled_at     timestamptz,
    outcome        text check (outcome in ('answered', 'failed', 'unknown')),
    -- What the provider says it was, or the most where it does not say.
    tokens         bigint check (tokens >= 0),
    cost           bigint check (cost >= 0),
    constraint model_calls_settled check (
        (settled_at is null) = (outcome is null) and (outcome is null) = (tokens is null) and (tokens is null) = (cost is null)),
    constraint model_calls_unknown check (outcome <> 'unknown' or tokens = max_tokens and cost = max_cost)
);
create index model_calls_reserved on model_calls (reserved_at);
create index model_calls_run on model_calls (run_id);

-- What was asked and answered, by the digest of the request: enough to play a run again without the model.
create table model_exchanges (
    digest       text primary key check (digest = 'sha256:' || encode(sha256(convert_to(request, 'UTF8')), 'hex')),
    request      text not null check (length(request) between 2 and 16000000),
    answer       text not null check (length(answer) between 2 and 16000000),
    recorded_at  timestamptz not null default now()
);
create index model_exchanges_recorded on model_exchanges (recorded_at);

-- +goose Down
drop table model_exchanges, model_calls;
