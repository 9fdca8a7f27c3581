-- positions: per shard the batch the figures stand at
select shard, batch, next_seq, recorded_at, now from finance.position order by shard;

-- balances: what is owed now, by lot
select programme, wave, benefit, currency, entitlement::bigint as entitlement, unclaimed::bigint as unclaimed,
       available::bigint as available, held::bigint as held, vouchers_open
from finance.outstanding_liability
where ($1::text is null or programme = $1)
order by programme, wave, benefit;

-- movements_by_day: a programme's lines by lot and posting before, within and after days of its time zone, from the roll-ups
select lot.wave,
       lot.benefit,
       posting.movement,
       posting.debit,
       posting.credit,
       coalesce(sum(r.amount) filter (where r.effective_day < $2::date), 0)::bigint as before,
       coalesce(sum(r.amount) filter (where ($2::date is null or r.effective_day >= $2::date)
                                        and ($3::date is null or r.effective_day < $3::date)), 0)::bigint as within,
       coalesce(sum(r.amount) filter (where r.effective_day >= $3::date), 0)::bigint as after
from redress.rollup as r
join redress.lot on lot.shard = r.shard and lot.no = r.lot
join redress.posting on posting.code = r.posting
where lot.programme = $1 and ($4::date is null or r.recorded_day < $4::date)
group by lot.wave, lot.benefit, posting.movement, posting.debit, posting.credit;

-- movements_by_line: the same between any two instants, line by line from the journal
select lot.wave,
       lot.benefit,
       posting.movement,
       posting.debit,
       posting.credit,
       coalesce(sum(l.amount) filter (where l.effective_at < $2::timestamptz), 0)::bigint as before,
       coalesce(sum(l.amount) filter (where ($2::timestamptz is null or l.effective_at >= $2::timestamptz)
                                        and ($3::timestamptz is null or l.effective_at < $3::timestamptz)), 0)::bigint
           as within,
       coalesce(sum(l.amount) filter (where l.effective_at >= $3::timestamptz), 0)::bigint as after
from redress.journal as j
join redress.batch as b on b.shard = j.shard and b.batch = j.batch
cross join lateral redress.lines_of(j.lines, j.effective_at) as l
join redress.lot on lot.shard = j.shard and lot.no = l.lot
join redress.posting on posting.code = l.posting
where lot.programme = $1 and ($4::timestamptz is null or b.recorded_at < $4::timestamptz)
group by lot.wave, lot.benefit, posting.movement, posting.debit, posting.credit;
