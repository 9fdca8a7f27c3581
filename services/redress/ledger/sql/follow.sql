-- shard_positions: per shard where it stands: what was read, the clock, the last seq, and whether work is left that fell due
select shard, programme_offset, eligibility_offset, issuance_offset, redemption_offset, now, next_seq - 1 as last_seq,
       falling_due
from redress.head
order by shard;

-- live_workers: how many workers are alive
select count(*) from redress.worker where alive_until >= now();

-- issuance_searched: per shard up to which seq every wave that may be issued was searched
select head.shard, min(coalesce(cursor.seq, 0)) as searched
from redress.head
join redress.wave on wave.shard = head.shard
left join redress.issue_cursor as cursor on cursor.shard = wave.shard and cursor.wave = wave.no
where (wave.opened ->> 'valid_from')::timestamptz <= head.now
group by head.shard;

-- control_refusals: which control records were dead-lettered; shard 0 reports them
select record_offset, reason, detail
from redress.dead_letter
where shard = 0 and topic = 'redress.programme' and record_offset = any($1::bigint[]);
