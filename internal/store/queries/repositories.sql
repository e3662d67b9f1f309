-- name: ListRepositories :many
-- The repositories with what operators have set for them, and what is open and waits.
select p.id, p.provider, p.owner, p.name, w.off_at, coalesce(w.off_by, '')::text as off_by, coalesce(w.off_why, '')::text as off_why, s.paused_at, s.concurrency_limit, s.rate_per_minute, coalesce(s.mode, '')::text as mode,
    (select count(*) from runs r where r.repository_id = p.id and r.state = 'waiting')::bigint as waiting,
    (select count(*) from runs r where r.repository_id = p.id and r.state in ('ready', 'running'))::bigint as active,
    (select count(*) from runs r where r.repository_id = p.id and r.state in ('fixed', 'publishing'))::bigint as fixed,
    coalesce((select extract(epoch from now() - min(r.created_at)) from runs r where r.repository_id = p.id and r.state = 'waiting'), 0)::float8 as oldest_seconds
from repositories p left join repository_settings s on s.repository_id = p.id
left join switches w on w.repository_id = p.id and w.on_at is null
where (not @only_set::bool or s.repository_id is not null or w.id is not null)
order by (s.paused_at is null and w.id is null), waiting desc, p.owner, p.name, p.id limit @max_rows;

-- name: FindRepositories :many
-- The repositories of a name, whatever its spelling.
select id, provider from repositories
where lower(owner) = lower(@owner) and lower(name) = lower(@name) and (@provider::text = '' or provider = @provider::text)
order by id;

-- name: LockRepository :exec
-- A claim takes the same lock: once we have it, no claim is in the middle of reading the settings.
select id from repositories where id = @id for no key update;

-- name: GetRepositorySettings :one
select * from repository_settings where repository_id = @repository_id;

-- name: PutRepositorySettings :exec
insert into repository_settings (repository_id, paused_at, concurrency_limit, rate_per_minute, mode)
values (@repository_id, @paused_at, @concurrency_limit, @rate_per_minute, @mode)
on conflict (repository_id) do update set paused_at = excluded.paused_at, concurrency_limit = excluded.concurrency_limit,
    rate_per_minute = excluded.rate_per_minute, mode = excluded.mode, updated_at = now();

-- name: RecordOperation :exec
insert into operations (operation, repository_id, who, why, before, after)
values (@operation, @repository_id, @who, @why, @before, @after);

-- name: ListOperations :many
select o.*, coalesce(p.owner, '')::text as owner, coalesce(p.name, '')::text as name
from operations o left join repositories p on p.id = o.repository_id order by o.id desc limit @max_rows;

-- name: RepositoryMode :one
select coalesce((select s.mode from repository_settings s where s.repository_id = @repository_id), '')::text as mode;

-- name: RepositoryRates :many
select p.provider, p.external_id, s.rate_per_minute::integer as rate_per_minute
from repository_settings s join repositories p on p.id = s.repository_id where s.rate_per_minute is not null;
