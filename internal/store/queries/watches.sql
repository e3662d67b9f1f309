-- name: ClaimWatch :one
-- One that is due and that nobody holds. Rows that another publisher is about to take are passed over.
update watches set fence = fence + 1, holder = @holder::text, lease_expires_at = now() + make_interval(secs => @ttl_seconds::float8)
where (run_id, generation) = (
    select w.run_id, w.generation from watches w
    where w.due <= now() and (w.lease_expires_at is null or w.lease_expires_at < now())
    order by w.due limit 1 for update skip locked)
returning *;

-- name: NextWatch :one
-- Seconds until a watch is due, an hour when none is.
select coalesce(extract(epoch from min(greatest(due, coalesce(lease_expires_at, due))) - now()), 3600)::float8 as seconds
from watches where due is not null;

-- name: RenewWatch :execrows
update watches set lease_expires_at = now() + make_interval(secs => @ttl_seconds::float8)
where run_id = @run_id and generation = @generation and fence = @fence and holder is not null and lease_expires_at > now();

-- name: LockWatch :one
select * from watches where run_id = @run_id and generation = @generation and fence = @fence and holder is not null and lease_expires_at > now()
for update;

-- name: GetWatch :one
select * from watches where run_id = @run_id and generation = @generation;

-- name: SeeWatch :exec
-- What was seen of the pull request, its base and its comments. The row is locked.
update watches set pr_state = @pr_state, head = @head, base_head = @base_head, checks = @checks, conflicts = @conflicts,
    off_label = @off_label, merge_commit = @merge_commit, kept = @kept, closing = @closing, outcome = @outcome, reverted_by = @reverted_by, seen = @seen,
    merged_at = case when @pr_state = 'merged' then coalesce(merged_at, now()) end,
    green_at = case when @outcome = 'green' then coalesce(green_at, now()) else green_at end,
    changed_at = case when @changed::boolean then now() else changed_at end
where run_id = @run_id and generation = @generation;

-- name: OwnComment :execrows
update watches set comment_id = @comment_id, comment_digest = @comment_digest
where run_id = @run_id and generation = @generation and fence = @fence and holder is not null and lease_expires_at > now();

-- name: MarkWatch :execrows
update watches set marked = @head::text
where run_id = @run_id and generation = @generation and fence = @fence and holder is not null and lease_expires_at > now();

-- name: ReleaseWatch :execrows
-- Lets go of a watch. A webhook that came in meanwhile has made it due again already, and that stays, unless the look failed:
-- the rest after that is not cut short.
update watches set holder = null, lease_expires_at = null, looked_at = now(), tries = @tries, problem = @problem,
    due = case when due > @claimed_due::timestamptz and @tries = 0 then greatest(due, now() + make_interval(secs => @spacing_seconds::float8))
               when @stops::boolean then null
               else now() + make_interval(secs => @seconds::float8) end
where run_id = @run_id and generation = @generation and fence = @fence and holder is not null;

-- name: RingWatches :many
-- Makes the watches of one pull request, or of every one against a base, due: not sooner than some seconds after the last
-- look, however often it is asked for, and not while one rests because a look failed: a forge that has said when to come
-- again is not asked before. Names are compared as the forges compare them.
update watches set due = case when tries > 0 and due is not null then due
    else greatest(now(), coalesce(looked_at, '-infinity') + make_interval(secs => @spacing_seconds::float8)) end
where (run_id, generation) in (
    select w.run_id, w.generation from watches w join repositories p on p.id = w.repository_id
    where lower(p.owner) = lower(@owner::text) and lower(p.name) = lower(@name::text)
      and (w.pr_number = @pr_number::bigint or (@pr_number::bigint = 0 and w.base_branch = @base_branch::text and w.due is not null)))
returning run_id;

-- name: SaveCommand :execrows
insert into commands (run_id, generation, comment_id, author, command, outcome, answer)
values (@run_id, @generation, @comment_id, @author, @command, @outcome, @answer)
on conflict (run_id, generation, comment_id) do nothing;

-- name: HasCommand :one
select exists (select 1 from commands where run_id = @run_id and generation = @generation and comment_id = @comment_id);

-- name: CommandsOf :many
select * from commands where run_id = @run_id and generation = @generation order by at, comment_id;

-- name: PublicationOfWatch :one
select * from publications where run_id = @run_id and generation = @generation;

-- name: FixOfWatch :one
select * from fixes where run_id = @run_id and generation = @generation;

-- name: Follower :one
-- The newest run of the same trouble that ended because a pull request, or the refusal that came of one, stands for it.
select * from runs where fingerprint = @fingerprint::text and fingerprint <> '' and id <> @run_id
  and (state, reason) in (('superseded', 'pull_request_open'), ('blocked', 'pull_request_closed'))
order by id desc limit 1;

-- name: GreenOn :one
-- Whether a pipeline passed, by any of these names.
select exists (select 1 from greens where name = any (@names::text[]));

-- name: SwitchOff :execrows
insert into switches (repository_id, off_by, off_why) values (@repository_id, @who, @why)
on conflict (repository_id) where on_at is null do nothing;

-- name: CancelWaiting :exec
-- Ends the runs of a repository that nobody works on.
update runs set state = 'cancelled', reason = @reason, explanation = @explanation, fence = fence + 1, not_before = null,
    ended_at = now(), updated_at = now()
where repository_id = @repository_id and state in ('waiting', 'ready');

-- name: RingRepository :exec
-- Makes the watches of a repository's open pull requests due.
update watches set due = now() where repository_id = @repository_id and pr_state = 'open' and due is not null;

-- name: SwitchOn :execrows
update switches set on_at = now(), on_by = @who, on_why = @why where repository_id = @repository_id and on_at is null;

-- name: SwitchedOff :one
-- Who switched a run's repository off; no row when nobody has.
select s.* from switches s join runs r on r.repository_id = s.repository_id where r.id = @run_id and s.on_at is null;

-- name: RepositorySwitchedOff :one
select exists (select 1 from switches s join repositories p on p.id = s.repository_id
    where p.provider = @provider and p.external_id = @external_id and s.on_at is null);

-- name: Stats :many
-- What became of the pull requests that were opened since a time, per repository and class of failure. The time to green
-- is from the failure to its base being green after the merge.
select p.provider, p.owner, p.name, coalesce(nullif(f.evidence ->> 'class', ''), 'unknown')::text as class,
    count(*)::bigint as opened,
    count(*) filter (where u.pr_state = 'open')::bigint as open,
    count(*) filter (where u.pr_state = 'merged')::bigint as merged,
    count(*) filter (where u.pr_state = 'closed')::bigint as closed,
    count(*) filter (where w.outcome = 'reverted')::bigint as reverted,
    count(*) filter (where w.marked <> '')::bigint as red,
    count(*) filter (where w.outcome = 'red')::bigint as base_red,
    count(w.green_at)::bigint as green,
    coalesce(percentile_cont(0.5) within group (order by extract(epoch from w.green_at - r.created_at)) filter (where w.green_at is not null), 0)::float8 as median_seconds_to_green
from publications u
join runs r on r.id = u.run_id
join repositories p on p.id = r.repository_id
join fixes f on f.run_id = u.run_id and f.generation = u.generation
left join watches w on w.run_id = u.run_id and w.generation = u.generation
where u.pr_number is not null and u.created_at >= @since::timestamptz
group by p.provider, p.owner, p.name, class
order by p.provider, p.owner, p.name, class;
