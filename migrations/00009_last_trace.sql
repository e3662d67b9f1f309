-- The span of the last try of a run, so that the next one's can point to it. A try writes it when it renews its lease and
-- when it hands the run back; one that crashes sooner leaves none.

-- +goose Up
alter table runs add column last_trace text not null default '' check (length(last_trace) <= 100);

-- +goose Down
alter table runs drop column last_trace;
