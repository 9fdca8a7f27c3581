-- person: a beneficiary's grants and vouchers, packed; by primary key
select beneficiary, grants, vouchers from redress.state where shard = $1 and beneficiary = $2;

-- neighbours: beneficiaries whose id begins as a voucher's, in every shard; by primary keys
select head.shard, state.beneficiary, state.last_seq, state.grants, state.vouchers
from redress.head
cross join lateral (
    select beneficiary, last_seq, grants, vouchers
    from redress.state
    where state.shard = head.shard and beneficiary between $1 and $2
) as state
order by head.shard, state.beneficiary;

-- lot_book: every lot by shard and number, without its balances; the order is that in which a look-up lists benefits
select shard, no, programme, wave, benefit, service, amount, currency, status, valid_from, valid_until
from redress.lot
order by shard, no;

-- wave_book: every wave by number; a shard that is behind lacks the last ones
select distinct no, programme, wave from redress.wave;

-- answers: whether the database answers
select true;
