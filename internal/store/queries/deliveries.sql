-- name: GetDelivery :one
select * from deliveries where provider = @provider and delivery_id = @delivery_id;

-- name: LockDelivery :exec
-- Serialises work on one delivery id and one body for the length of the transaction.
select pg_advisory_xact_lock(hashtextextended(@key::text, 0));

-- name: FindDeliveryByBody :one
select * from deliveries
where provider = @provider and body_sha256 = @body_sha256 and outcome not in ('duplicate', 'dead');

-- name: RecordDelivery :one
-- A delivery that ended dead may be tried again (a replay), perhaps with another body; any other record is final.
insert into deliveries (provider, delivery_id, event, body_sha256, received_at, outcome, reason, run_id)
values (@provider, @delivery_id, @event, @body_sha256, @received_at, @outcome, @reason, @run_id)
on conflict (provider, delivery_id) do update
    set event = excluded.event, body_sha256 = excluded.body_sha256, received_at = excluded.received_at,
        outcome = excluded.outcome, reason = excluded.reason, run_id = excluded.run_id, recorded_at = now()
    where deliveries.outcome = 'dead'
returning id;

-- name: CountDeliveries :many
select outcome, count(*)::bigint as count from deliveries group by outcome order by outcome;

-- name: DeliveriesOfRun :many
select * from deliveries where run_id = @run_id order by id;
