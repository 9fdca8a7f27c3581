-- walk_back: so many of a beneficiary's entries, from one of them (by default the last) back
with recursive walk as (
    select journal.seq, journal.prev_seq, 1 as steps
    from redress.state
    join redress.journal on journal.shard = state.shard and journal.seq = coalesce($3::bigint, state.last_seq)
    where state.shard = $1 and state.beneficiary = $2 and journal.beneficiary = $2
    union all
    select journal.seq, journal.prev_seq, walk.steps + 1
    from walk
    join redress.journal on journal.shard = $1 and journal.seq = walk.prev_seq
    where walk.steps < $4
)
select seq, prev_seq from walk order by seq desc;

-- lot_change: the entry by which the voucher's whole lot last lapsed, was extended or was revoked
select journal.seq
from redress.lot
join redress.journal on journal.shard = lot.shard and journal.seq = lot.seq
where lot.shard = $1 and lot.programme = $2 and lot.wave = $3 and lot.benefit = $4 and journal.kind in (3, 4, 5);
