-- name: WantRerun :exec
-- A run has one wish for ever, also when a person has it tried again.
insert into reruns (run_id, why) values (@run_id, @why) on conflict (run_id) do nothing;

-- name: ClaimRerun :one
-- Takes the wish that has been due for longest, one publisher at a time.
update reruns set fence = fence + 1, looks = looks + 1, lease_expires_at = now() + make_interval(secs => @ttl_seconds::float8), updated_at = now()
where run_id = (
    select r.run_id from reruns r
    where r.state in ('wanted', 'intended') and r.not_before <= now() and (r.lease_expires_at is null or r.lease_expires_at < now())
    order by r.not_before, r.run_id limit 1 for update skip locked)
returning *;

-- name: IntendRerun :execrows
update reruns set state = 'intended', attempt = @attempt::integer, asks = asks + 1, updated_at = now()
where run_id = @run_id and fence = @fence and state in ('wanted', 'intended') and lease_expires_at > now();

-- name: DelayRerun :execrows
update reruns set reason = @reason, not_before = now() + make_interval(secs => @delay_seconds::float8), lease_expires_at = null, updated_at = now()
where run_id = @run_id and fence = @fence and state in ('wanted', 'intended');

-- name: EndRerun :execrows
update reruns set state = @state, reason = @reason, lease_expires_at = null, updated_at = now()
where run_id = @run_id and fence = @fence and state in ('wanted', 'intended');

-- name: GetRerun :one
select * from reruns where run_id = @run_id;
