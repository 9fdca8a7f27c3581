-- lot_balances: each lot's balances are the sums of its journal lines; they sum to 0, and no liability is negative
with packed as (  -- most entries have the same lines as others: they are opened once
    select shard, lines, count(*) as entries from redress.journal where lines <> '' group by shard, lines
),
lines as (
    select packed.shard, l.lot, l.posting, sum(l.amount * packed.entries) as amount, sum(packed.entries) as lines
    from packed
    cross join lateral redress.lines_of(packed.lines, '-infinity') as l
    group by packed.shard, l.lot, l.posting
),
booked as (
    select lines.shard, lines.lot, side.account, sum(side.amount) as balance
    from lines
    join redress.posting on posting.code = lines.posting
    cross join lateral (values (posting.debit, -lines.amount), (posting.credit, lines.amount)) as side (account, amount)
    group by lines.shard, lines.lot, side.account
),
live as (
    select lot.shard, lot.no as lot, a.account, a.balance
    from redress.lot
    cross join lateral (values
        ('entitlement', entitlement), ('unclaimed', unclaimed), ('available', available), ('held', held),
        ('programme_grant', programme_grant), ('redemption_clearing', redemption_clearing),
        ('breakage_forfeited', breakage_forfeited), ('breakage_cancelled', breakage_cancelled),
        ('expired_entitlement', expired_entitlement), ('expired_unclaimed', expired_unclaimed),
        ('expired_available', expired_available), ('revoked', revoked), ('declined', declined),
        ('exception', exception)
    ) as a (account, balance)
),
wrong as (
    select format('shard %s lot %s %s: balance %s, by its lines %s', shard, lot, account, coalesce(live.balance::text, 'none'),
                  coalesce(booked.balance, 0)) as problem
    from live full join booked using (shard, lot, account)
    where live.balance is distinct from coalesce(booked.balance, 0)
    union all
    select format('shard %s lot %s: accounts sum to %s', shard, lot, sum(balance))
    from live group by shard, lot having sum(balance) <> 0
    union all
    select format('shard %s lot %s %s: negative, %s', shard, lot, account, balance)
    from live where account in ('entitlement', 'unclaimed', 'available', 'held') and balance < 0
)
select jsonb_build_object(
           'lines', (select coalesce(sum(lines), 0) from lines),
           'lots', (select count(*) from redress.lot),
           'outstanding', (select coalesce(sum(balance), 0) from live
                           where account in ('entitlement', 'unclaimed', 'available', 'held'))
       ) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- roll_ups: the roll-ups are the journal's lines by lot, posting and day on both axes, in the programme's time zone
with packed as (  -- no time zone changes its day within a minute
    select shard, batch, lines, date_trunc('minute', effective_at) as effective_at, count(*) as entries
    from redress.journal
    where lines <> ''
    group by 1, 2, 3, 4
),
lines as (
    select p.shard, l.lot, l.posting, (l.effective_at at time zone lot.timezone)::date as effective_day,
           (b.recorded_at at time zone lot.timezone)::date as recorded_day, sum(l.amount * p.entries) as amount,
           sum(p.entries) as lines
    from packed as p
    join redress.batch as b on b.shard = p.shard and b.batch = p.batch
    cross join lateral redress.lines_of(p.lines, p.effective_at) as l
    join redress.lot on lot.shard = p.shard and lot.no = l.lot
    group by 1, 2, 3, 4, 5
),
wrong as (
    select format('shard %s lot %s posting %s on %s, recorded %s: %s in %s lines, by the journal %s in %s', shard, lot, posting,
                  effective_day, recorded_day, coalesce(live.amount, 0), coalesce(live.lines, 0),
                  coalesce(lines.amount, 0), coalesce(lines.lines, 0)) as problem
    from redress.rollup as live full join lines using (shard, lot, posting, effective_day, recorded_day)
    where (live.amount, live.lines) is distinct from (lines.amount, lines.lines)
)
select jsonb_build_object('roll_ups', (select count(*) from redress.rollup)) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- vouchers: each voucher's amounts are what its journal lines say, and sum to its face
with kept as (  -- without the version and the last time of each voucher, which no two people share
    select shard, beneficiary,
           case when octet_length(vouchers) = get_byte(vouchers || '\x00'::bytea, 0) * 20 + 1
                then substring(vouchers for 1) || (
                    select string_agg(substring(vouchers from n * 20 + 2 for 8) || '\x000000000000000000000000'::bytea, '' order by n)
                    from generate_series(0, get_byte(vouchers, 0) - 1) as n
                )
                else vouchers end as vouchers
    from redress.state
),
histories as (
    select shard, beneficiary, array_agg(lines order by lines) as entries
    from redress.journal
    where beneficiary is not null and lines <> ''
    group by shard, beneficiary
),
people as materialized (
    select shard, beneficiary, coalesce(entries, '{}') as entries, coalesce(vouchers, '') as vouchers
    from kept full join histories using (shard, beneficiary)
),
alike as materialized (  -- most people have the same lines and the same vouchers as others: one of them is looked at
    select shard, entries, vouchers, count(*) as people from people group by shard, entries, vouchers
),
compared as materialized (
    select alike.shard, alike.entries, alike.vouchers, v.*
    from alike
    cross join lateral (
        select lot, live.issued, live.unclaimed + live.available + live.held + live.redeemed + live.forfeited
                                 + live.cancelled + live.declined + live.revoked as sum,
               least(live.entitlement, live.unclaimed, live.available, live.held, live.redeemed, live.forfeited,
                     live.cancelled, live.declined, live.revoked) as least,
               (live.entitlement, live.unclaimed, live.available, live.held, live.redeemed, live.forfeited,
                live.cancelled, live.declined, live.revoked)
               is distinct from
               (coalesce(booked.entitlement, 0), coalesce(booked.unclaimed, 0), coalesce(booked.available, 0),
                coalesce(booked.held, 0), coalesce(booked.redeemed, 0), coalesce(booked.forfeited, 0),
                coalesce(booked.cancelled, 0), coalesce(booked.declined, 0), coalesce(booked.revoked, 0)) as differs
        from redress.vouchers_of(alike.vouchers) as live
        full join (
            select l.lot,
                   sum(side.amount) filter (where side.account = 'entitlement') as entitlement,
                   sum(side.amount) filter (where side.account = 'unclaimed') as unclaimed,
                   sum(side.amount) filter (where side.account = 'available') as available,
                   sum(side.amount) filter (where side.account = 'held') as held,
                   sum(side.amount) filter (where side.account = 'redemption_clearing') as redeemed,
                   sum(side.amount) filter (where side.account = 'breakage_forfeited') as forfeited,
                   sum(side.amount) filter (where side.account = 'breakage_cancelled') as cancelled,
                   sum(side.amount) filter (where side.account = 'declined') as declined,
                   sum(side.amount) filter (where side.account = 'revoked') as revoked
            from unnest(alike.entries) as entry (lines)
            cross join lateral redress.lines_of(entry.lines, '-infinity') as l
            join redress.posting on posting.code = l.posting
            cross join lateral (values (posting.debit, -l.amount), (posting.credit, l.amount)) as side (account, amount)
            where not l.by_lot and not l.stray and posting.movement not in ('exception', 'exception_reversed')
            group by l.lot
        ) as booked using (lot)
    ) as v
),
wrong as (
    select format('shard %s beneficiary %s lot %s: %s', shard, beneficiary, found.lot, found.what) as problem
    from people
    join (
        select shard, entries, vouchers, lot, 'the voucher''s amounts are not what its lines say' as what
        from compared where differs
        union all
        select c.shard, c.entries, c.vouchers, c.lot, format('the voucher sums to %s, its face is %s', c.sum, lot.amount)
        from compared as c
        join redress.lot on lot.shard = c.shard and lot.no = c.lot
        where c.issued and c.sum <> lot.amount
        union all
        select shard, entries, vouchers, lot, 'an amount is negative'
        from compared where least < 0
    ) as found using (shard, entries, vouchers)
)
select (
           select jsonb_build_object('vouchers', coalesce(sum(people) filter (where v.issued), 0),
                                     'promised', coalesce(sum(people) filter (where not v.issued), 0))
           from alike cross join lateral redress.vouchers_of(alike.vouchers) as v
       ) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- vouchers_and_lots: vouchers sum to what their lot owes and, once it is closed, to what it took; its counters are theirs
with sums as (
    select s.shard, v.lot, sum(v.entitlement) as entitlement, sum(v.unclaimed) as unclaimed,
           sum(v.available) as available, sum(v.held) as held, sum(v.revoked) as revoked,
           count(*) filter (where v.issued and v.unclaimed + v.available + v.held > 0) as vouchers_open,
           count(*) filter (where v.held > 0) as vouchers_held
    from redress.state as s
    cross join lateral redress.vouchers_of(s.vouchers) as v
    group by s.shard, v.lot
),
compared as (
    select lot.shard, lot.no, c.what, c.live, coalesce(c.vouchers, 0) as vouchers
    from redress.lot
    left join sums on sums.shard = lot.shard and sums.lot = lot.no
    cross join lateral (values
        ('entitlement', lot.entitlement, case when lot.status = 'open' then sums.entitlement end),
        ('unclaimed', lot.unclaimed, case when lot.status = 'open' then sums.unclaimed end),
        ('available', lot.available, case when lot.status = 'open' then sums.available end),
        ('held', lot.held, sums.held),
        ('expired_entitlement', lot.expired_entitlement, case when lot.status = 'expired' then sums.entitlement end),
        ('expired_unclaimed', lot.expired_unclaimed, case when lot.status = 'expired' then sums.unclaimed end),
        ('expired_available', lot.expired_available, case when lot.status = 'expired' then sums.available end),
        ('revoked', lot.revoked, sums.revoked + case when lot.status = 'revoked'
                                                     then sums.entitlement + sums.unclaimed + sums.available else 0 end),
        ('vouchers_open', lot.vouchers_open, sums.vouchers_open),
        ('vouchers_held', lot.vouchers_held, sums.vouchers_held)
    ) as c (what, live, vouchers)
),
wrong as (
    select format('shard %s lot %s %s: %s, of its vouchers %s', shard, no, what, live, vouchers) as problem
    from compared where live <> vouchers
)
select jsonb_build_object(
           'open_lots', (select count(*) from redress.lot where status = 'open'),
           'closed_lots', (select count(*) from redress.lot where status <> 'open'),
           'vouchers_open', (select coalesce(sum(case when status = 'open' then vouchers_open else vouchers_held end), 0)
                             from redress.lot)
       ) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- waves: granted = issued + not yet issued + withdrawn before issue, in people and in money; counts are the people's rows
with grants as (
    select s.shard, g.wave,
           count(*) filter (where not g.refused) as granted,
           count(*) filter (where g.refused) as refused,
           count(*) filter (where g.withdrawn) as withdrawn,
           count(*) filter (where g.enrolled) as enrolled,
           count(*) filter (where g.issued and not g.withdrawn) as issued,
           count(*) filter (where g.withdrawn and not g.issued) as withdrawn_unissued,
           count(*) filter (where g.issued) as ever_issued,
           count(*) filter (where not (g.issued or g.withdrawn or g.refused)) as waiting
    from redress.state as s
    cross join lateral redress.grants_of(s.grants) as g
    group by s.shard, g.wave
),
lots as (
    select wave.shard, wave.no as wave, sum(lot.amount) as amount, min(-lot.programme_grant / nullif(lot.amount, 0)) as least_promised,
           max(-lot.programme_grant / nullif(lot.amount, 0)) as most_promised
    from redress.wave
    join redress.lot on lot.shard = wave.shard and lot.programme = wave.programme and lot.wave = wave.wave
    group by wave.shard, wave.no
),
packed as (
    select shard, lines, count(*) as entries
    from redress.journal
    where kind = 7 and outcome = 1
    group by shard, lines
),
entered as (
    select packed.shard, wave.no as wave, sum(packed.entries) as granted
    from packed
    join redress.wave on wave.shard = packed.shard
    where exists (
        select from redress.lines_of(packed.lines, '-infinity') as l
        join redress.lot on lot.shard = packed.shard and lot.no = l.lot
        where lot.programme = wave.programme and lot.wave = wave.wave
    )
    group by packed.shard, wave.no
),
compared as (
    select wave.shard, wave.programme, wave.wave, c.what, c.live, coalesce(c.found, 0) as found
    from redress.wave
    join lots on lots.shard = wave.shard and lots.wave = wave.no
    left join grants on grants.shard = wave.shard and grants.wave = wave.no
    left join entered on entered.shard = wave.shard and entered.wave = wave.no
    cross join lateral (values
        ('granted', wave.granted, grants.granted),
        ('granted, by the journal', wave.granted, entered.granted),
        ('granted, by what became of it', wave.granted, grants.ever_issued + grants.waiting + grants.withdrawn_unissued),
        ('refused', wave.refused, grants.refused),
        ('withdrawn', wave.withdrawn, grants.withdrawn),
        ('enrolled', wave.enrolled, grants.enrolled),
        ('issued', wave.issued, grants.issued),
        ('withdrawn_unissued', wave.withdrawn_unissued, grants.withdrawn_unissued),
        ('entitled_amount', wave.entitled_amount, (grants.granted - grants.withdrawn) * lots.amount),
        ('issued_amount', wave.issued_amount, grants.issued * lots.amount),
        ('people promised, by the lot with least', lots.least_promised, grants.ever_issued + grants.waiting),
        ('people promised, by the lot with most', lots.most_promised, grants.ever_issued + grants.waiting)
    ) as c (what, live, found)
),
wrong as (
    select format('shard %s wave %s/%s %s: %s, of its people %s', shard, programme, wave, what, live, found) as problem
    from compared where live <> found
)
select (
           select jsonb_build_object('granted', coalesce(sum(granted), 0), 'issued', coalesce(sum(issued), 0),
                                     'withdrawn', coalesce(sum(withdrawn), 0), 'refused', coalesce(sum(refused), 0))
           from redress.wave
       ) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- once: nobody is entitled twice where the terms say once per programme
with standing as (
    select s.shard, s.beneficiary, wave.programme, count(*) as grants
    from redress.state as s
    cross join lateral redress.grants_of(s.grants) as g
    join redress.wave on wave.shard = s.shard and wave.no = g.wave
    join redress.terms on terms.shard = s.shard and terms.programme = wave.programme
         and terms.version = (wave.opened ->> 'terms_version')::integer
    where octet_length(s.grants) > 19 and not g.refused and not g.withdrawn and terms.data ->> 'once_per' = 'programme'
    group by s.shard, s.beneficiary, wave.programme
    having count(*) > 1
)
select jsonb_build_object('people', (select count(*) from redress.state)) as figures,
       (select count(*) from standing) as wrong,
       array(select format('shard %s beneficiary %s: %s grants of %s stand', shard, beneficiary, grants, programme)
             from standing order by shard, beneficiary limit $1) as problems;

-- numbering: seq from 1 to the head's without gap, batches too; each batch's range holds just its own entries
with entries as (
    select shard, count(*) as entries, min(seq) as first, max(seq) as last from redress.journal group by shard
),
batches as (
    select shard, count(*) as batches, min(batch) as first, max(batch) as last from redress.batch group by shard
),
counted as (
    select j.shard, j.batch, count(*) as entries, min(j.seq) as first, max(j.seq) as last
    from redress.journal as j
    group by j.shard, j.batch
),
wrong as (
    select format('shard %s: %s entries from %s to %s, the head''s next_seq is %s', head.shard, coalesce(e.entries, 0),
                  e.first, e.last, head.next_seq) as problem
    from redress.head
    left join entries as e on e.shard = head.shard
    where coalesce(e.entries, 0) <> head.next_seq - 1
       or e.entries > 0 and (e.first <> 1 or e.last <> head.next_seq - 1)
    union all
    select format('shard %s: %s batches from %s to %s, the head is at %s', head.shard, coalesce(b.batches, 0), b.first,
                  b.last, head.batch)
    from redress.head
    left join batches as b on b.shard = head.shard
    where coalesce(b.batches, 0) <> head.batch or b.batches > 0 and (b.first <> 1 or b.last <> head.batch)
    union all
    select format('shard %s batch %s: seq %s up to %s, its %s entries are %s to %s', shard, batch, b.first_seq,
                  b.next_seq, coalesce(c.entries, 0), c.first, c.last)
    from redress.batch as b full join counted as c using (shard, batch)
    where b.next_seq - b.first_seq is distinct from coalesce(c.entries, 0)
       or c.entries > 0 and (c.first <> b.first_seq or c.last <> b.next_seq - 1)
)
select jsonb_build_object('shards', (select count(*) from redress.head),
                          'entries', (select coalesce(sum(next_seq - 1), 0) from redress.head),
                          'batches', (select coalesce(sum(batch), 0) from redress.head)) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- offsets: each batch goes on where the one before it ended, later than it; the head stands at the last
with chained as (
    select b.*,
           lag(next_seq, 1, 1::bigint) over w as seq_before,
           lag(recorded_at, 1, '-infinity') over w as recorded_before,
           lag(now) over w as now_before,
           lag(programme_offset, 1, 0::bigint) over w as programme_before,
           lag(eligibility_offset, 1, 0::bigint) over w as eligibility_before,
           lag(issuance_offset, 1, 0::bigint) over w as issuance_before,
           lag(redemption_offset, 1, 0::bigint) over w as redemption_before
    from redress.batch as b
    window w as (partition by shard order by batch)
),
wrong as (
    select format('shard %s batch %s: does not go on where the one before it ended', shard, batch) as problem
    from chained
    where (first_seq, programme_from, eligibility_from, issuance_from, redemption_from)
          is distinct from
          (seq_before, programme_before, eligibility_before, issuance_before, redemption_before)
       or programme_offset < programme_from or eligibility_offset < eligibility_from
       or issuance_offset < issuance_from or redemption_offset < redemption_from
    union all
    select format('shard %s batch %s: not later than the one before it', shard, batch)
    from chained
    where recorded_at <= recorded_before or now < now_before or now is null and now_before is not null
    union all
    select format('shard %s: the head is not what its last batch %s left', head.shard, head.batch)
    from redress.head
    left join redress.batch as b on b.shard = head.shard and b.batch = head.batch
    where (head.next_seq, head.now, head.recorded_at, head.programme_offset, head.eligibility_offset,
           head.issuance_offset, head.redemption_offset, head.digest)
          is distinct from
          (coalesce(b.next_seq, 1), b.now, coalesce(b.recorded_at, '-infinity'), coalesce(b.programme_offset, 0),
           coalesce(b.eligibility_offset, 0), coalesce(b.issuance_offset, 0), coalesce(b.redemption_offset, 0),
           coalesce(b.digest, decode(repeat('00', 32), 'hex')))
)
select (
           select jsonb_build_object('programme', max(programme_offset), 'eligibility', sum(eligibility_offset),
                                     'issuance', sum(issuance_offset), 'redemption', sum(redemption_offset))
           from redress.head
       ) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- effective_axis: at no effective instant is a liability account of a lot or of a voucher negative
with packed as (
    select shard, lines, effective_at, count(*) as entries
    from redress.journal
    where lines <> ''
    group by shard, lines, effective_at
),
of_lots as (
    select p.shard, l.lot, side.account, l.effective_at,
           sum(sum(side.amount * p.entries)) over (partition by p.shard, l.lot, side.account order by l.effective_at) as balance
    from packed as p
    cross join lateral redress.lines_of(p.lines, p.effective_at) as l
    join redress.posting on posting.code = l.posting
    cross join lateral (values (posting.debit, -l.amount), (posting.credit, l.amount)) as side (account, amount)
    where side.account in ('entitlement', 'unclaimed', 'available', 'held')
    group by p.shard, l.lot, side.account, l.effective_at
),
entered as (
    select shard, beneficiary, seq, lines, effective_at,
           effective_at is distinct from lag(effective_at) over (partition by shard, beneficiary order by effective_at, seq) as is_later
    from redress.journal
    where beneficiary is not null and lines <> ''
),
people as materialized (
    select shard, beneficiary, array_agg(lines order by effective_at, seq) as entries,
           array_agg(is_later order by effective_at, seq) as later, array_agg(effective_at order by effective_at, seq) as times,
           bool_or(get_byte(lines, 0) = 20) as has_times  -- lines with a time of their own
    from entered
    group by shard, beneficiary
),
alike as (  -- most people have the same lines in the same order as others: one of them is looked at
    select shard, entries, later, case when has_times then times end as times from people group by 1, 2, 3, 4
),
negative as materialized (
    select alike.*, b.lot, b.account, b.effective_at, b.entry, b.balance
    from alike
    cross join lateral (
        select l.lot, side.account, l.effective_at, min(moment.n) as entry,
               sum(sum(side.amount)) over (partition by l.lot, side.account order by l.effective_at) as balance
        from (
            select n, entry.lines,
                   coalesce(alike.times[n], 'epoch'::timestamptz
                            + interval '1 second' * count(*) filter (where alike.later[n]) over (order by n)) as effective_at
            from unnest(alike.entries) with ordinality as entry (lines, n)
        ) as moment
        cross join lateral redress.lines_of(moment.lines, moment.effective_at) as l
        join redress.posting on posting.code = l.posting
        cross join lateral (values (posting.debit, -l.amount), (posting.credit, l.amount)) as side (account, amount)
        where not l.by_lot and side.account in ('entitlement', 'unclaimed', 'available', 'held')
        group by l.lot, side.account, l.effective_at
    ) as b
    where b.balance < 0
),
wrong as (
    select format('shard %s lot %s %s: %s as of %s', shard, lot, account, balance, effective_at) as problem
    from of_lots where balance < 0
    union all
    select format('shard %s beneficiary %s lot %s %s: %s as of %s', p.shard, p.beneficiary, n.lot, n.account, n.balance,
                  case when p.has_times then n.effective_at else p.times[n.entry] end)
    from negative as n
    join people as p
         on p.shard = n.shard and p.entries = n.entries and p.later = n.later
         and case when p.has_times then p.times end is not distinct from n.times
)
select jsonb_build_object('instants', (select count(*) from of_lots)) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- holds: what redemptions hold is what is held of the vouchers, and only those not yet settled hold
with reserved as (
    select r.shard, r.beneficiary, (l.line ->> 0)::uuid as voucher, sum((l.line ->> 1)::bigint) as held
    from redress.redemption as r
    cross join lateral json_array_elements(r.lines) as l (line)
    where (l.line ->> 1)::bigint <> 0
    group by 1, 2, 3
),
held as (
    select s.shard, s.beneficiary, redress.voucher_id(lot.programme, lot.wave, s.beneficiary, lot.benefit) as voucher, v.held
    from redress.state as s
    cross join lateral redress.vouchers_of(s.vouchers) as v
    join redress.lot on lot.shard = s.shard and lot.no = v.lot
    where v.held <> 0
),
wrong as (
    select format('shard %s voucher %s: held %s, reserved by redemptions %s', shard, voucher, coalesce(held.held, 0),
                  coalesce(reserved.held, 0)) as problem
    from held full join reserved using (shard, beneficiary, voucher)
    where held.held is distinct from reserved.held
    union all
    select format('shard %s redemption %s/%s of %s: %s, and holds %s', shard, programme, redemption, beneficiary, status,
                  coalesce(h.held, 0))
    from redress.redemption
    cross join lateral (
        select sum((l.line ->> 1)::bigint) as held from json_array_elements(lines) as l (line)
    ) as h
    where (status = 'held') <> (coalesce(h.held, 0) > 0)
)
select jsonb_build_object('redemptions', (select count(*) from redress.redemption),
                          'holds', (select count(*) from held),
                          'held', (select coalesce(sum(held), 0) from held)) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- tally: the counts of entries by kind, outcome and reason are the journal's
with entries as (
    select shard, kind, outcome, coalesce(reason, 0::smallint) as reason, count(*) as entries
    from redress.journal
    group by 1, 2, 3, 4
),
wrong as (
    select format('shard %s kind %s outcome %s reason %s: %s, by the journal %s', shard, kind, outcome, reason,
                  coalesce(live.entries, 0), coalesce(entries.entries, 0)) as problem
    from redress.tally as live full join entries using (shard, kind, outcome, reason)
    where live.entries is distinct from entries.entries
)
select (
           select jsonb_build_object('accepted', coalesce(sum(entries) filter (where outcome = 1), 0),
                                     'refused', coalesce(sum(entries) filter (where outcome = 2), 0),
                                     'no_effect', coalesce(sum(entries) filter (where outcome = 3), 0))
           from redress.tally
       ) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- histories: each entry of a beneficiary leads to the one before it, and the beneficiary's row to the last
with chained as (
    select shard, seq, beneficiary, prev_seq, lag(seq) over w as seq_before, lead(seq) over w as seq_after
    from redress.journal
    where beneficiary is not null
    window w as (partition by shard, beneficiary order by seq)
),
wrong as (
    select format('shard %s seq %s: leads to %s, not to %s', shard, seq, prev_seq, seq_before) as problem
    from chained
    where prev_seq is distinct from seq_before
    union all
    select format('shard %s beneficiary %s: the last entry is %s, its row says %s', shard, beneficiary,
                  coalesce(chained.seq, 0), s.last_seq)
    from (select * from chained where seq_after is null) as chained
    full join redress.state as s using (shard, beneficiary)
    where s.last_seq is distinct from coalesce(chained.seq, 0)
)
select jsonb_build_object('people', (select count(*) from redress.state),
                          'steps', (select count(*) from chained where prev_seq is not null)) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;

-- append_only: journal and batch can be read and added to, and nothing else, by grant and by trigger
with tables as (
    select c.oid, c.relname, c.relkind
    from pg_class as c
    where c.relnamespace = 'redress'::regnamespace
      and (c.relname in ('journal', 'batch')
           or c.oid in (select inhrelid from pg_inherits where inhparent = 'redress.journal'::regclass))
),
refusing as (
    select t.tgrelid as oid, bit_or(t.tgtype) as events
    from pg_trigger as t
    where t.tgfoid = 'redress.refuse_change'::regproc and t.tgenabled in ('O', 'A')
    group by t.tgrelid
),
wrong as (
    select format('%s: %s is not refused', relname, event.name) as problem
    from tables
    left join refusing using (oid)
    cross join (values ('DELETE', 8), ('UPDATE', 16), ('TRUNCATE', 32)) as event (name, bit)
    where coalesce(events, 0) & event.bit = 0
    union all
    select format('%s: %s may %s', relname, role, privilege)
    from tables
    cross join (values ('redress_writer'), ('redress_finance')) as role (role)
    cross join (values ('UPDATE'), ('DELETE'), ('TRUNCATE')) as p (privilege)
    where has_table_privilege(role, oid, privilege)
)
select jsonb_build_object('tables', (select count(*) from tables)) as figures,
       (select count(*) from wrong) as wrong,
       array(select problem from wrong order by problem limit $1) as problems;
