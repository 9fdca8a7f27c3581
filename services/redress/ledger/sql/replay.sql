-- batch_log: a shard's batches after a given one, in order
select batch, next_seq, programme_from, eligibility_from, issuance_from, redemption_from, programme_offset,
       eligibility_offset, issuance_offset, redemption_offset, recorded_at, digest
from redress.batch
where shard = $1 and batch > $2
order by batch
limit $3;

-- last_batches: where each shard's log ends
select shard, max(batch) as batch, max(programme_offset) as programme_offset,
       max(eligibility_offset) as eligibility_offset, max(issuance_offset) as issuance_offset,
       max(redemption_offset) as redemption_offset
from redress.batch
group by shard
order by shard;
