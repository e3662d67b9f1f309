-- name: SaveReceipt :execrows
-- The receipt of the publication in hand; another try writes the same one again.
update publications set receipt = @receipt::text, receipt_minisig = @minisig::text, updated_at = now()
where publications.run_id = @run_id
  and exists (select 1 from runs where runs.id = @run_id and runs.generation = publications.generation
                and runs.fence = @fence and runs.state = 'publishing');

-- name: EventOfRun :one
-- The delivery that made the run.
select * from deliveries where run_id = @run_id and outcome = 'run';
