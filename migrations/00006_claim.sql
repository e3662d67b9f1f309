-- One call for a claim. It is made for every run, and six round trips under the repository's lock were most of what a
-- run that is declined at once cost.

-- +goose Up

-- Claims a rung run: fence and attempt grow by one, and the lease begins. It returns the claimed run; the run without
-- a holder when its repository has as many running as it may; and nothing when the doorbell is old,
-- no attempt is left, or the last one has not rested.
--
-- Each statement in here has a snapshot of its own (read committed), and it rests on that: what is running is counted
-- after the repository's lock is had.
-- +goose StatementBegin
create function claim_run(
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
    if (select count(*) from runs r where r.repository_id = repo and r.state = 'running') >= slot_limit then
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

-- +goose Down
drop function claim_run;
