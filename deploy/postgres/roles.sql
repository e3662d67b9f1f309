-- One role for each program, with the least that it can do its work with. Run it as the owner of the database, after
-- `sre-agent migrate` and again after each upgrade:
--
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
--
-- It may be run any number of times, while everything works. Passwords are not its business:
-- `alter role sre_agent_runner password '...'`. ingest has no role: it has no database.

begin;

do $$
declare
    name text;
begin
    foreach name in array array['sre_agent_throttle', 'sre_agent_runner', 'sre_agent_publisher', 'sre_agent_operator'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I login', name);
        end if;
        execute format('grant connect on database %I to %I', current_database(), name);
        execute format('grant usage on schema public to %I', name);
        execute format('revoke all on all tables in schema public from %I', name);
        execute format('grant select on goose_db_version to %I', name); -- to see whether the schema is new enough
    end loop;
    execute format('revoke all on database %I from public', current_database());
    revoke create on schema public from public;
end
$$;

-- To lock a row for another one's sake takes the right to change one of its columns; an identity can't be changed, so
-- "update (id)" is the right to lock and no more.

-- throttle: records deliveries, decides when a run may start, takes back what was lost.
grant select, insert, update (owner, name) on repositories to sre_agent_throttle;
grant select, insert, update (event, body_sha256, received_at, recorded_at, outcome, reason, run_id) on deliveries to sre_agent_throttle;
grant select, insert,
    update (state, reason, explanation, not_before, rung_at, rings, transient_count, holder, lease_expires_at, attempt_ended_at,
        fingerprint, ended_at, updated_at)
    on runs to sre_agent_throttle;
grant select, insert on run_names to sre_agent_throttle;
grant select, insert, update, delete on greens to sre_agent_throttle;
grant select, insert, update, delete on turns to sre_agent_throttle;
grant select, update (ended_at, outcome, reason, evidence) on attempts to sre_agent_throttle;
grant select, insert, update on checkpoints to sre_agent_throttle;
grant select (run_id, fence) on fixes to sre_agent_throttle; -- what its audit compares, and no more
grant select (run_id, pr_state) on publications to sre_agent_throttle;
grant select, update (due) on watches to sre_agent_throttle; -- a webhook only has somebody look
grant select on switches, repository_settings to sre_agent_throttle;

-- runner: claims a run, writes its attempt and its fix.
grant select, update (id) on repositories to sre_agent_runner;
grant select,
    update (state, reason, explanation, not_before, rung_at, fence, attempt_count, transient_count, holder, lease_expires_at,
        attempt_started_at, attempt_ended_at, fingerprint, ended_at, last_trace, rings, updated_at)
    on runs to sre_agent_runner;
grant select, insert, update (id) on turns to sre_agent_runner; -- the end of a run frees a slot
grant select, insert, update (number, ended_at, outcome, reason, evidence) on attempts to sre_agent_runner;
grant select, insert on fixes to sre_agent_runner;
grant select, insert on reruns to sre_agent_runner;
grant select, insert, update, delete on model_calls, model_exchanges to sre_agent_runner;
grant select on switches, repository_settings to sre_agent_runner;
grant select on publications, refusals to sre_agent_runner; -- what there is for the same trouble

-- publisher: claims a fix, writes what it is about to do, and the receipt.
grant select on repositories, deliveries, attempts, fixes, greens, repository_settings to sre_agent_publisher;
grant select,
    update (state, reason, explanation, not_before, rung_at, fence, transient_count, holder, lease_expires_at, attempt_ended_at,
        fingerprint, ended_at, last_trace, follows, generation, attempts_forgiven, attempt_started_at, updated_at)
    on runs to sre_agent_publisher; -- some of them for "retry", which people ask for in a comment
grant select, insert, update (state, reason, pr_number, pr_url, pr_state, reverted_at, receipt, receipt_minisig, updated_at)
    on publications to sre_agent_publisher;
grant select, insert, update (state, reason, comment_id, updated_at) on suggestions to sre_agent_publisher;
grant select, insert, update (id) on turns to sre_agent_publisher; -- a run that it puts off, or that people want again, waits
grant select, insert, update on watches to sre_agent_publisher;
grant select, insert on commands, switches to sre_agent_publisher;
grant insert on actions to sre_agent_publisher;
grant select, insert, update on refusals to sre_agent_publisher;
grant select, update (state, reason, fence, looks, asks, attempt, not_before, lease_expires_at, updated_at) on reruns to sre_agent_publisher;

-- operator: people with the command line. They may change every row (and nobody else writes repository_settings and
-- operations), but not the schema.
grant select, insert, update, delete on all tables in schema public to sre_agent_operator;
revoke insert, update, delete on goose_db_version from sre_agent_operator;

commit;
