-- shard_status: per shard who serves it, where it stands, how fast it is, and what it could not book; ages in seconds
select head.shard,
       case when lease.lease_until >= now() then lease.owner end as owner,
       head.epoch,
       head.batch,
       head.next_seq - 1 as entries,
       head.now,
       extract(epoch from clock_timestamp() - head.now)::float8 as clock_seconds,
       extract(epoch from clock_timestamp() - nullif(head.recorded_at, '-infinity'))::float8 as batch_seconds,
       head.programme_offset,
       head.eligibility_offset,
       head.issuance_offset,
       head.redemption_offset,
       head.falling_due,
       stopped.reason as stopped,
       coalesce(recent.entries, 0)::float8 / $1::float8 as entries_per_second,
       coalesce(recent.records, 0)::float8 / $1::float8 as records_per_second,
       (select count(*) from redress.parked where parked.shard = head.shard) as parked,
       (select count(*) from redress.dead_letter as letter where letter.shard = head.shard) as dead_lettered,
       head.batch - coalesce(relay.batch, 0) as relay_batches
from redress.head
left join redress.lease on lease.shard = head.shard
left join redress.stopped on stopped.shard = head.shard
left join redress.relay on relay.shard = head.shard
left join lateral (
    select sum(batch.next_seq - batch.first_seq) as entries,
           sum(batch.programme_offset - batch.programme_from + batch.eligibility_offset - batch.eligibility_from
               + batch.issuance_offset - batch.issuance_from + batch.redemption_offset - batch.redemption_from)
               as records
    from redress.batch
    where batch.shard = head.shard
      and batch.batch > head.batch - 1000  -- a shard makes far fewer within the window; the rest is not looked at
      and batch.recorded_at > clock_timestamp() - make_interval(secs => $1::float8)
) as recent on true
order by head.shard;

-- dead_letter_reasons: how many records could not be taken, by reason
select reason, count(*) as records from redress.dead_letter group by reason order by reason;

-- entry_reasons: how many entries were refused, had no effect, or settled against a term, by reason
select outcome.name as outcome, reason.name as reason, sum(tally.entries)::bigint as entries
from redress.tally
join redress.outcome on outcome.code = tally.outcome
join redress.reason on reason.code = tally.reason
group by outcome.name, reason.name
order by outcome.name, reason.name;

-- worker_names: workers that are alive
select name from redress.worker where alive_until >= now() order by name;

-- stopped_shards: shards that stand still until somebody resumes them
select shard, reason from redress.stopped order by shard;
