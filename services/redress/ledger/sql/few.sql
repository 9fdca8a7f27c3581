-- fence: compare_and_set_head for a batch that one statement writes; its digest has the moment of recording in it, which is taken here, under the lock
with held as (
    select recorded_at from redress.head where shard = $1 and epoch = $2 and batch = $3 for update
), moment as materialized (
    select greatest(clock_timestamp(), recorded_at + interval '1 microsecond') as at from held
)
update redress.head
set batch = batch + 1,
    next_seq = $4,
    next_arrival = $5,
    now = $6,
    tick = $7,
    programme_offset = $8,
    eligibility_offset = $9,
    issuance_offset = $10,
    redemption_offset = $11,
    falling_due = $12,
    recorded_at = moment.at,
    digest = sha256($13::bytea || convert_to(redress.microseconds(moment.at)::text, 'UTF8') || $14::bytea)
from moment
where shard = $1
returning head.recorded_at, head.digest;

-- add_entries: entries of a batch of few, as rows of the journal
insert into redress.journal
select entry.* from unnest($2::redress.journal[]) as entry where entry.shard = $1;

-- add_states: beneficiaries that the ledger did not know, of a batch of few
insert into redress.state
select person.* from unnest($2::redress.state[]) as person where person.shard = $1;

-- add_redemptions: redemptions that the ledger did not know, of a batch of few
insert into redress.redemption
select asked.* from unnest($2::redress.redemption[]) as asked where asked.shard = $1;

-- roll_up_few: roll_up, on the day of the fence's moment
insert into redress.rollup (shard, lot, posting, effective_day, recorded_day, amount, lines)
select $1, line.lot, line.posting, line.effective_day, (fence.recorded_at at time zone lot.timezone)::date, line.amount,
       line.lines
from fence
cross join unnest($2::smallint[], $3::smallint[], $4::date[], $5::bigint[], $6::bigint[])
     as line (lot, posting, effective_day, amount, lines)
join redress.lot on lot.shard = $1 and lot.no = line.lot
on conflict (shard, lot, posting, effective_day, recorded_day) do update
set amount = rollup.amount + excluded.amount, lines = rollup.lines + excluded.lines;

-- append_batch_few: the batch row; where the fence was not passed it lacks what it must have, so that nothing is written
insert into redress.batch (shard, batch, first_seq, next_seq, programme_from, eligibility_from, issuance_from,
                           redemption_from, programme_offset, eligibility_offset, issuance_offset, redemption_offset,
                           now, rules_version, recorded_at, digest)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, fence.recorded_at, fence.digest
from (select) as one
left join fence on true;

-- fenced: what the fence took; it is read first, so that the head is locked before all else
select recorded_at, digest from fence;
