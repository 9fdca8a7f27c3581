-- person: where a beneficiary's history ends
select last_seq from redress.state where shard = $1 and beneficiary = $2;

-- neighbours: beneficiaries whose id begins as a voucher's, in every shard
select head.shard, state.beneficiary
from redress.head
cross join lateral (
    select beneficiary from redress.state where state.shard = head.shard and beneficiary between $1 and $2
) as state
order by head.shard, state.beneficiary;

-- grants: how a beneficiary stands in each wave
select wave.programme, wave.wave, g.former_member, g.refused, g.enrolled, g.withdrawn, g.issued
from redress.state
cross join lateral redress.grants_of(state.grants) as g
join redress.wave on wave.shard = state.shard and wave.no = g.wave
where state.shard = $1 and state.beneficiary = $2
order by wave.no;

-- vouchers: a beneficiary's vouchers as finance sees them
select voucher, beneficiary, programme, wave, benefit, service, currency, status, face, unclaimed, available, held,
       redeemed, forfeited, cancelled, expired, revoked, declined, valid_from, valid_until, standing, version
from finance.voucher_balance
where beneficiary = $1
order by programme, wave, benefit;

-- redemptions: a beneficiary's redemptions, or those of one name
select programme, redemption, status, "order", service, expires_at, request, lines
from redress.redemption
where shard = $1 and beneficiary = $2 and ($3::text is null or redemption = $3)
order by seq;

-- parked_events: what a beneficiary has parked
select topic, record_offset, parked_at, wakes_on
from redress.parked
where shard = $1 and beneficiary = $2
order by arrival;

-- walk: seqs of a beneficiary's entries, back from the last one
with recursive walk as (
    select seq, prev_seq from redress.journal where shard = $1 and seq = $2
    union all
    select journal.seq, journal.prev_seq
    from walk
    join redress.journal on journal.shard = $1 and journal.seq = walk.prev_seq
)
select seq from walk order by seq;

-- lot_changes: the entries by which the lots of these waves last lapsed, were extended or were revoked
select journal.seq
from redress.lot
join redress.journal on journal.shard = lot.shard and journal.seq = lot.seq
where lot.shard = $1 and lot.programme = $2 and lot.wave = $3 and lot.benefit = $4 and journal.kind in (3, 4, 5);

-- history: entries with their lines
select f.seq, f.line, f.batch, f.programme, f.wave, f.benefit, f.beneficiary, f.voucher, f.movement, f.debit, f.credit,
       f.amount, f.currency, f.occurred_at, f.effective_at, f.recorded_at, f.by_lot, f.redemption, f.outcome, f.reason,
       f.cause_source, f.cause_id, f.cause_type, j.detail
from redress.journal as j
join finance.journal as f on f.shard = j.shard and f.seq = j.seq
where j.shard = $1 and f.shard = $1 and j.seq = any($2::bigint[]) and f.seq = any($2::bigint[])
order by f.seq, f.line;
