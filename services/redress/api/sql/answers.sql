-- standings: for each of these people the shard's clock, and which events were seen; by primary keys
select head.now, state.last_seq, state.spilled, state.seen
from unnest($1::integer[], $2::uuid[]) with ordinality as asked (shard, beneficiary, no)
join redress.head on head.shard = asked.shard
left join lateral (
    select last_seq, spilled, seen
    from redress.state
    where state.shard = asked.shard and state.beneficiary = asked.beneficiary
    limit 1  -- one person after the other by their key, whatever the planner thinks of the table's size
) as state on true
order by asked.no;

-- spilled_fingerprint: of an event seen by a beneficiary with too many for its row
select fingerprint from redress.seen_spill where shard = $1 and beneficiary = $2 and identity = $3;

-- entry_of_cause: the entry made of an event, found by walking back from the beneficiary's last one
with recursive walk as (
    select seq, prev_seq, source, cause_uuid, cause_text, 1 as steps
    from redress.journal
    where shard = $1 and seq = $2
    union all
    select journal.seq, journal.prev_seq, journal.source, journal.cause_uuid, journal.cause_text, walk.steps + 1
    from walk
    join redress.journal on journal.shard = $1 and journal.seq = walk.prev_seq
    where walk.steps < $6
), found as (
    select walk.seq
    from walk
    where walk.source = (select no from redress.source where source = $3)
      and (walk.cause_uuid = $4 or walk.cause_text = $5)
    limit 1
)
select journal.*
from found
join redress.journal on journal.shard = $1 and journal.seq = found.seq;

-- order_of: the order of a redemption, for an event that does not name it
select "order"
from redress.redemption
where shard = $1 and beneficiary = $2 and programme = $3 and redemption = $4;

-- letter_at: why the record at an offset could not be taken; by primary key
select reason, detail from redress.dead_letter where shard = $1 and topic = 'redress.redemption' and record_offset = $2;
