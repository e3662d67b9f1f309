-- name: LockRun :one
select * from runs where id = @id for update;

-- name: RecordAction :exec
insert into actions (run_id, action, who, why, before_state, before_reason)
values (@run_id, @action, @who, @why, @before_state, @before_reason);

-- name: ActionsOfRun :many
select * from actions where run_id = @run_id order by id;

-- name: TryAgain :exec
-- Everything but the history begins anew; the fence grows, so that whatever was on its way is refused.
update runs set state = 'waiting', reason = 'new', explanation = '', not_before = now(), fence = fence + 1,
    generation = generation + 1, attempts_forgiven = attempt_count, transient_count = 0,
    attempt_started_at = null, attempt_ended_at = null, ended_at = null, follows = null, updated_at = now()
where id = @id;

-- name: CancelRun :exec
update runs set state = 'cancelled', reason = 'cancelled', explanation = @explanation, fence = fence + 1,
    holder = null, lease_expires_at = null, not_before = null, ended_at = now(), updated_at = now()
where id = @id;

-- name: CancelAttempt :exec
update attempts set ended_at = now(), outcome = 'cancelled', reason = 'cancelled' where run_id = @run_id and ended_at is null;

-- name: CancelPublication :exec
update publications set state = 'refused', reason = 'cancelled', updated_at = now()
where run_id = @run_id and state in ('intended', 'pushed');

-- name: GetCheckpoint :one
select position from checkpoints where name = @name;

-- name: SetCheckpoint :exec
insert into checkpoints (name, position) values (@name, @position)
on conflict (name) do update set position = excluded.position, updated_at = now();

-- name: KnownDeliveries :many
select delivery_id from deliveries where provider = @provider and delivery_id = any(@ids::text[]);
