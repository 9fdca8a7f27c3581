-- load_ledger: what was fixed when the ledger began
select name, shards, clock, parking_seconds from redress.ledger;

-- load_head: where the shard stands
select epoch, batch, next_seq, next_arrival, now, tick, falling_due, recorded_at, programme_offset, eligibility_offset,
       issuance_offset, redemption_offset, digest
from redress.head
where shard = $1;

-- load_programmes: programmes of the shard
select code, seen from redress.programme where shard = $1 order by code;

-- load_terms: all versions of terms
select programme, version, data from redress.terms where shard = $1 order by programme, version;

-- load_waves: waves by number
select no, programme, wave, opened, granted, refused, withdrawn, enrolled, issued, withdrawn_unissued,
       entitled_amount::bigint as entitled_amount, issued_amount::bigint as issued_amount
from redress.wave
where shard = $1
order by no;

-- load_lots: lots by number
select no, programme, wave, benefit, valid_from, valid_until, status, revoked_at, booked_at, reopened_at, last_line,
       vouchers_open, vouchers_held, seq, entitlement::bigint, unclaimed::bigint, available::bigint, held::bigint,
       programme_grant::bigint, redemption_clearing::bigint, breakage_forfeited::bigint, breakage_cancelled::bigint,
       expired_entitlement::bigint, expired_unclaimed::bigint, expired_available::bigint, revoked::bigint,
       declined::bigint, exception::bigint
from redress.lot
where shard = $1
order by no;

-- load_met: what is kept of these beneficiaries, redemptions and orders, in one answer: many a batch asks nothing else
select array(
           select person
           from redress.state as person
           where person.shard = $1 and person.beneficiary = any($2::text[]::uuid[])
       ) as states,
       array(
           select waiting
           from redress.parked as waiting
           where waiting.shard = $1 and waiting.beneficiary = any($2::text[]::uuid[])
           order by waiting.arrival
       ) as parked,
       array(
           select found.one
           from unnest($3::text[]::uuid[], $4::text[], $5::text[]) as named (beneficiary, programme, redemption)
           cross join lateral (
               select r as one
               from redress.redemption as r
               where r.shard = $1
                 and r.beneficiary = named.beneficiary
                 and r.programme = named.programme
                 and r.redemption = named.redemption
               offset 0  -- sought one by one by their key, however full the table was when this was planned
           ) as found
           union all
           select found.one
           from unnest($6::text[]::uuid[], $7::text[], $8::text[]) as asked (beneficiary, programme, "order")
           cross join lateral (
               select r as one
               from redress.redemption as r
               where r.shard = $1
                 and r.beneficiary = asked.beneficiary
                 and r.programme = asked.programme
                 and r."order" = asked."order"
                 and r.status in ('held', 'settled')  -- those that count for an order
               offset 0
           ) as found
       ) as redemptions;

-- load_spilled: which of these events were seen by beneficiaries with too many for their row
select beneficiary, identity, fingerprint
from redress.seen_spill
where shard = $1 and (beneficiary, identity) in (select * from unnest($2::uuid[], $3::bytea[]));

-- load_redemptions: redemptions that only what is parked names, sought one by one by their key
select found.*
from unnest($2::text[]::uuid[], $3::text[], $4::text[]) as named (beneficiary, programme, redemption)
cross join lateral (
    select r.beneficiary, r.programme, r.redemption, r.status, r."order", r.service, r.expires_at, r.request, r.lines
    from redress.redemption as r
    where r.shard = $1
      and r.beneficiary = named.beneficiary
      and r.programme = named.programme
      and r.redemption = named.redemption
    offset 0
) as found;

-- due_holds: holds that have timed out, in their order
select beneficiary, programme, redemption
from redress.redemption
where shard = $1 and status = 'held' and expires_at <= $2
order by expires_at, beneficiary, programme, redemption
limit $3;

-- due_parked: whose parking has ended, in order of arrival; as the clock never goes back, they came first
select arrival, beneficiary
from (select arrival, beneficiary, parked_at from redress.parked where shard = $1 order by arrival limit $3) as first
where parked_at <= $2
order by arrival;

-- woken: who waits for this wave or programme, in order of arrival
select arrival, beneficiary
from redress.parked
where shard = $1 and wakes_on = $2
order by arrival
limit $3;

-- waited_for: waves and programmes that something waits for; sought one by one, as millions may wait for each
with recursive waited (wakes_on) as (
    select min(wakes_on) from redress.parked where shard = $1
    union all
    select (select min(parked.wakes_on) from redress.parked where shard = $1 and parked.wakes_on > waited.wakes_on)
    from waited
    where waited.wakes_on is not null
)
select wakes_on from waited where wakes_on is not null order by wakes_on;

-- next_due: when the next hold times out and the next parking ends
select (select min(expires_at) from redress.redemption where shard = $1 and status = 'held') as expires_at,
       (select parked_at from redress.parked where shard = $1 order by arrival limit 1) as parked_at;
