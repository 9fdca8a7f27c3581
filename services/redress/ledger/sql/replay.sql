-- batch_log: a shard's batches after a given one, in order
select batch, next_seq, programme_from, eligibility_from, issuance_from, redemption_from, programme_offset,
       eligibility_offset, issuance_offset, redemption_offset, recorded_at, rules_version, digest
from redress.batch
where shard = $1 and batch > $2
order by batch
limit $3;

-- log_end: a shard's last batch, and the first that the log has
select last.batch, last.programme_offset, last.eligibility_offset, last.issuance_offset, last.redemption_offset,
       (select min(batch) from redress.batch where shard = $1) as first
from redress.batch as last
where last.shard = $1
order by last.batch desc
limit 1;

-- set_aside: records that Postgres refused; control records are reported by one shard for all
select topic, record_partition, record_offset, detail
from redress.dead_letter
where (shard = $1 or topic = 'redress.programme') and detail = any($2::text[]);

-- erased_letters: dead letters whose bytes were erased
select topic, record_partition, record_offset, erased_at
from redress.dead_letter
where shard = $1 and erased_at is not null;

-- erase_again: bytes that were erased in the ledger this one is recovered from
update redress.dead_letter
set key = null, value = null, erased_at = $4
where shard = $1 and topic = $2 and record_offset = $3 and erased_at is null;

-- lease_owner: who serves a shard
select owner from redress.lease where shard = $1 and lease_until >= now();

-- forget_ahead: the shard has caught up with what was published, which is what it refused to run for
delete from redress.stopped where shard = $1 and reason = 'ledger_topic_ahead';
