-- name: CountBlockedSince :many
-- Among the newest runs: no index holds ended ones, and there may be many millions of them.
select r.reason, count(*)::bigint as count
from (select state, reason, ended_at from runs order by id desc limit @newest) r
where r.state = 'blocked' and r.ended_at > now() - make_interval(secs => @seconds::float8)
group by r.reason order by count desc, r.reason;

-- name: OldestWaiting :many
-- The runs that have been waiting for longest.
select r.id, r.reason, p.owner, p.name, extract(epoch from now() - r.created_at)::float8 as seconds
from runs r join repositories p on p.id = r.repository_id
where r.state = 'waiting' order by r.created_at, r.id limit @max_rows;

-- name: CountPaused :one
select count(*)::bigint from repository_settings where paused_at is not null;

-- name: ServerClock :one
select clock_timestamp()::timestamptz as now;

-- name: ServerSettings :one
-- Those of the server's settings that decide whether a commit outlives a power cut.
select current_setting('fsync')::text as fsync, current_setting('synchronous_commit')::text as synchronous_commit,
    current_setting('full_page_writes')::text as full_page_writes, current_setting('server_version_num')::integer as version,
    (current_setting('is_superuser')::text = 'on')::bool as superuser;

-- name: RoleMay :one
-- Whether our role may do something to at least one column of a table.
select has_any_column_privilege(@table_name::text, @privilege::text)::bool;

-- name: RoleMayCreate :one
select has_schema_privilege('public', 'create')::bool;
