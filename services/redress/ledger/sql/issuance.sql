-- issuable_waves: waves whose vouchers may be issued by the shard's clock, where not all of the journal was searched
select wave.no, coalesce(cursor.seq, 0) as cursor, head.next_seq - 1 as last_seq
from redress.head
join redress.wave on wave.shard = head.shard
left join redress.issue_cursor as cursor on cursor.shard = wave.shard and cursor.wave = wave.no
where head.shard = $1
  and (wave.opened ->> 'valid_from')::timestamptz <= head.now
  and coalesce(cursor.seq, 0) < head.next_seq - 1
order by wave.no;

-- due_candidates: entries that may have made an issue due, with their beneficiaries as they stand now
select journal.seq, journal.traceparent, state.beneficiary, state.grants
from redress.journal
join redress.state on state.shard = journal.shard and state.beneficiary = journal.beneficiary
where journal.shard = $1 and journal.seq > $2 and journal.seq <= $3 and journal.kind in (7, 8, 10) and journal.outcome = 1
order by journal.seq;

-- move_cursor: the journal was searched up to here, and what was due is on Kafka
insert into redress.issue_cursor (shard, wave, seq)
values ($1, $2, $3)
on conflict (shard, wave) do update set seq = greatest(issue_cursor.seq, excluded.seq);
