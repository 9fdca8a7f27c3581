-- settings: of a connection that rebuilds. Scratch tables have no statistics, and every join is one of whole sets: hashes only
set temp_buffers = '64MB';
set work_mem = '64MB';
set max_parallel_workers_per_gather = 0;
set enable_nestloop = off;
set enable_mergejoin = off;
set enable_sort = off;
set plan_cache_mode = force_custom_plan;

-- make_scratch: tables of this connection alone, empty after each transaction, that hold one shard as its journal tells it
create temp table published (seq bigint, programme text, version integer, ttl_seconds bigint) on commit delete rows;
create temp table opened_wave (no smallint, seq bigint, programme text, wave text, opened jsonb, terms jsonb) on commit delete rows;
create temp table opened_lot (no smallint, seq bigint, wave_no smallint, programme text, wave text, benefit text,
    service text, amount bigint, currency text, timezone text, terms_version integer, valid_from timestamptz,
    valid_until timestamptz) on commit delete rows;
create temp table form (lines bytea, line integer, lot smallint, posting smallint, movement text, has_voucher boolean,
    by_lot boolean, stray boolean, amount bigint, effective_at timestamptz, gives_available boolean, entitlement bigint,
    unclaimed bigint, available bigint, held bigint, redeemed bigint, forfeited bigint, cancelled bigint, declined bigint,
    revoked bigint, of_held bigint, of_redeemed bigint, of_forfeited bigint, of_exception bigint, of_restored bigint,
    of_forfeited_restored bigint, of_cancelled bigint, of_exception_reversed bigint) on commit delete rows;
create temp table line_sum (lot smallint, posting smallint, batch integer, minute bigint, amount bigint, lines bigint,
    last_line timestamptz) on commit delete rows;
create temp table standing (beneficiary uuid, wave smallint, first bigint, former_member boolean, refused boolean,
    enrolled boolean, withdrawn boolean, issued boolean, due_seq bigint, due_us bigint, withdrawn_seq bigint,
    turned_seq bigint) on commit delete rows;
create temp table slot (beneficiary uuid, lot smallint, touched bigint, moved_at timestamptz, issued boolean,
    claimed boolean, entitlement bigint, unclaimed bigint, available bigint, held bigint, redeemed bigint,
    forfeited bigint, cancelled bigint, declined bigint, revoked bigint) on commit delete rows;
create temp table marked (beneficiary uuid, lot smallint, declined boolean, revoked boolean, seq bigint) on commit delete rows;
create temp table withdrawal (beneficiary uuid, lot smallint, amount bigint) on commit delete rows;
create temp table stray_line (seq bigint, line integer, beneficiary uuid, programme text, voucher uuid, effective_us bigint)
    on commit delete rows;
create temp table parked_seen (beneficiary uuid, arrival bigint, seen bytea) on commit delete rows;
create temp table person (beneficiary uuid, last_seq bigint, seen bytea) on commit delete rows;
create temp table rebuilt_terms (like redress.terms) on commit delete rows;
create temp table rebuilt_programme (like redress.programme) on commit delete rows;
create temp table rebuilt_wave (like redress.wave) on commit delete rows;
create temp table rebuilt_lot (like redress.lot) on commit delete rows;
create temp table rebuilt_state (like redress.state) on commit delete rows;
create temp table rebuilt_seen_spill (like redress.seen_spill) on commit delete rows;
create temp table rebuilt_redemption (like redress.redemption) on commit delete rows;
alter table rebuilt_redemption alter column request type jsonb, alter column lines type jsonb;
create temp table rebuilt_rollup (like redress.rollup) on commit delete rows;
create temp table rebuilt_tally (like redress.tally) on commit delete rows;
create temp table difference (name text, key text, beneficiary uuid, problem text) on commit delete rows;

-- rebuild_terms: versions of terms
with accepted as (
    select seq, shard, detail ->> 'programme' as programme, (detail ->> 'version')::integer as version, detail
    from redress.journal
    where shard = $1 and kind = 1 and outcome = 1
),
kept as (
    insert into published (seq, programme, version, ttl_seconds)
    select seq, programme, version, (detail ->> 'reservation_ttl_seconds')::bigint from accepted
)
insert into rebuilt_terms (shard, programme, version, data)
select shard, programme, version, detail from accepted;

-- rebuild_programmes: control events seen
insert into rebuilt_programme (shard, code, seen)
select j.shard, j.detail ->> 'programme',
       string_agg(redress.packed_seen(source.source, j.cause_uuid, j.cause_text, j.fingerprint), ''::bytea order by j.seq)
from redress.journal as j
join redress.source on source.no = j.source
where j.shard = $1 and j.kind <= 4
group by 1, 2;

-- rebuild_opened_waves: waves in the order in which they were opened, which numbers them
insert into opened_wave (no, seq, programme, wave, opened, terms)
select row_number() over (order by j.seq), j.seq, j.detail ->> 'programme', j.detail ->> 'wave', j.detail, terms.data
from redress.journal as j
join rebuilt_terms as terms on terms.programme = j.detail ->> 'programme'
     and terms.version = (j.detail ->> 'terms_version')::integer
where j.shard = $1 and j.kind = 2 and j.outcome = 1;

-- rebuild_opened_lots: lots, numbered likewise: a programme's reserved lot comes with its first terms, a wave's with the wave
insert into opened_lot (no, seq, wave_no, programme, wave, benefit, service, amount, currency, timezone, terms_version,
                        valid_from, valid_until)
select row_number() over (order by opening, place), seq, wave_no, programme, wave, benefit, service, amount, currency,
       timezone, terms_version, valid_from, valid_until
from (
    select first.seq as opening, 0 as place, 0 as seq, null::smallint as wave_no, programme, 'unknown' as wave,
           'unknown' as benefit, terms -> 'benefits' -> 0 ->> 'service' as service, 0 as amount,
           terms ->> 'currency' as currency, terms ->> 'timezone' as timezone,
           (terms ->> 'version')::integer as terms_version, '-infinity'::timestamptz as valid_from,
           'infinity'::timestamptz as valid_until
    from (
        select distinct on (programme) p.seq, p.programme, t.data as terms
        from published as p
        join rebuilt_terms as t using (programme, version)
        order by p.programme, p.seq
    ) as first
    union all
    select w.seq, b.place, w.seq, w.no, w.programme, w.wave, b.benefit ->> 'code', b.benefit ->> 'service',
           (b.benefit ->> 'amount')::bigint, w.terms ->> 'currency', w.terms ->> 'timezone',
           (w.terms ->> 'version')::integer, (w.opened ->> 'valid_from')::timestamptz,
           (w.opened ->> 'valid_until')::timestamptz
    from opened_wave as w
    cross join lateral jsonb_array_elements(w.terms -> 'benefits') with ordinality as b (benefit, place)
) as lots;

-- rebuild_forms: lines are opened once for all entries that have the same, with what each adds to its slot and its redemption
-- Null where it adds nothing: a strict sum passes over that at no cost.
insert into form
select lines, line, lot, posting, movement, has_voucher, by_lot, stray, amount, effective_at,
       has_voucher and credit = 'available',
       case when moves_own then case 'entitlement' when credit then amount when debit then -amount end end,
       case when moves_own then case 'unclaimed' when credit then amount when debit then -amount end end,
       case when moves_own then case 'available' when credit then amount when debit then -amount end end,
       case when moves_own then case 'held' when credit then amount when debit then -amount end end,
       case when moves_own then case 'redemption_clearing' when credit then amount when debit then -amount end end,
       case when moves_own then case 'breakage_forfeited' when credit then amount when debit then -amount end end,
       case when moves_own then case 'breakage_cancelled' when credit then amount when debit then -amount end end,
       case when moves_own then case 'declined' when credit then amount when debit then -amount end end,
       case when moves_own then case 'revoked' when credit then amount when debit then -amount end end,
       case when movement = 'reserved' then amount when debit = 'held' then -amount end,
       case when movement = 'redeemed' then amount end,
       case when movement = 'forfeited' then amount end,
       case when movement = 'exception' then amount end,
       case when movement = 'restored' and debit = 'redemption_clearing' then amount end,
       case when movement = 'restored' and debit = 'breakage_forfeited' then amount end,
       case when movement = 'cancelled' then amount end,
       case when movement = 'exception_reversed' then amount end
from (
    select distinct_lines.lines, l.*, p.movement, p.debit, p.credit,
           not l.by_lot and p.movement not in ('exception', 'exception_reversed') as moves_own
    from (select distinct lines from redress.journal where shard = $1) as distinct_lines
    cross join lateral redress.lines_of(distinct_lines.lines, null) as l  -- null: effective when the entry is
    join redress.posting as p on p.code = l.posting
) as opened;

-- rebuild_line_sums: lines by lot, posting, batch and minute; no time zone changes its day within one
insert into line_sum (lot, posting, batch, minute, amount, lines, last_line)
select form.lot, form.posting, same.batch, minute, sum(form.amount * same.entries), sum(same.entries),
       max(coalesce(form.effective_at, same.effective_at))
from (
    select lines, batch, redress.microseconds(effective_at) / 60000000 as entry_minute, max(effective_at) as effective_at,
           count(*) as entries
    from redress.journal
    where shard = $1
    group by 1, 2, 3
) as same
join form using (lines)
cross join lateral (
    select coalesce(redress.microseconds(form.effective_at) / 60000000, same.entry_minute) as minute
) as counted
group by 1, 2, 3, 4;

-- rebuild_rollups: the roll-ups
insert into rebuilt_rollup (shard, lot, posting, effective_day, recorded_day, amount, lines)
select b.shard, l.lot, l.posting, (to_timestamp(l.minute * 60) at time zone lot.timezone)::date,
       (b.recorded_at at time zone lot.timezone)::date, sum(l.amount), sum(l.lines)
from line_sum as l
join opened_lot as lot on lot.no = l.lot
join redress.batch as b on b.shard = $1 and b.batch = l.batch
group by 1, 2, 3, 4, 5;

-- rebuild_tally: entries by kind, outcome and reason
insert into rebuilt_tally (shard, kind, outcome, reason, entries)
select shard, kind, outcome, coalesce(reason, 0), count(*)
from redress.journal
where shard = $1
group by 1, 2, 3, 4;

-- rebuild_standings: how each person stands in each wave
insert into standing (beneficiary, wave, first, former_member, refused, enrolled, withdrawn, issued, due_seq, due_us,
                      withdrawn_seq, turned_seq)
select beneficiary, wave, first, former_member, refused, enrolled is not null, withdrawn, issued is not null,
       case when not withdrawn and issued is null then due[1] end, due[2], case when withdrawn then withdrawn_seq end, turned_seq
from (
    select beneficiary, wave, first, granted is null as refused, enrolled, issued, withdrawn_seq,
           greatest(withdrawn_seq, reinstated_seq) as turned_seq,
           coalesce(withdrawn_seq > coalesce(reinstated_seq, 0), false) as withdrawn,
           is_former as former_member,
           case
               when granted is null or is_former and enrolled is null then null
               when is_former then greatest(enrolled, reinstated)
               else greatest(granted, reinstated)
           end as due
    from (
        select j.beneficiary,
               coalesce(w.no, l.wave_no) as wave,
               min(j.seq) filter (where j.kind = 7) as first,
               coalesce(
                   bool_or(coalesce(j.detail ->> 'standing' = 'former_member', false)) filter (where j.kind = 7 and j.outcome = 1),
                   min(j.seq * 2 + (j.detail ->> 'standing' = 'former_member')::integer)
                       filter (where j.kind = 7 and j.outcome = 2) % 2 = 1,
                   false
               ) as is_former,
               max(array[j.seq, redress.microseconds(j.effective_at)]) filter (where j.kind = 7 and j.outcome = 1) as granted,
               max(array[j.seq, redress.microseconds(j.effective_at)]) filter (where j.kind = 8) as enrolled,
               -- before the issue it promises anew, by `entitled`
               max(array[j.seq, redress.microseconds(j.effective_at)])
                   filter (where j.kind = 10 and f.movement = 'entitled') as reinstated,
               max(j.seq) filter (where j.kind = 9) as withdrawn_seq,
               max(j.seq) filter (where j.kind = 10) as reinstated_seq,
               max(j.seq) filter (where j.kind = 11) as issued
        from redress.journal as j
        left join opened_wave as w on j.detail is not null and w.programme = j.detail ->> 'programme' and w.wave = j.detail ->> 'wave'
        left join form as f on f.lines = j.lines and f.line = 1
        left join opened_lot as l on j.detail is null and l.no = f.lot
        where j.shard = $1 and (j.kind between 7 and 11 and j.outcome = 1 or j.kind = 7 and j.outcome = 2)
        group by 1, 2
    ) as found
) as stood;

-- rebuild_waves: waves with their counts
insert into rebuilt_wave (shard, no, programme, wave, opened, granted, refused, withdrawn, enrolled, issued,
                          withdrawn_unissued, entitled_amount, issued_amount)
select $1, w.no, w.programme, w.wave, w.opened, coalesce(s.granted, 0), coalesce(s.refused, 0), coalesce(s.withdrawn, 0),
       coalesce(s.enrolled, 0), coalesce(s.issued, 0), coalesce(s.withdrawn_unissued, 0),
       coalesce(s.granted - s.withdrawn, 0) * face.amount, coalesce(s.issued, 0) * face.amount
from opened_wave as w
join (select wave_no, sum(amount) as amount from opened_lot group by wave_no) as face on face.wave_no = w.no
left join (
    select wave,
           count(*) filter (where not refused) as granted,
           count(*) filter (where refused) as refused,
           count(*) filter (where withdrawn) as withdrawn,
           count(*) filter (where enrolled) as enrolled,
           count(*) filter (where issued and not withdrawn) as issued,
           count(*) filter (where withdrawn and not issued) as withdrawn_unissued
    from standing
    group by wave
) as s on s.wave = w.no;

-- rebuild_slots: each person's piece of each lot, as its lines have it
insert into slot (beneficiary, lot, touched, moved_at, issued, claimed, entitlement, unclaimed, available, held,
                  redeemed, forfeited, cancelled, declined, revoked)
select j.beneficiary, f.lot, max(j.seq), max(coalesce(f.effective_at, j.effective_at)), bool_or(f.has_voucher),
       bool_or(f.gives_available), redress.total(f.entitlement), redress.total(f.unclaimed), redress.total(f.available),
       redress.total(f.held), redress.total(f.redeemed), redress.total(f.forfeited), redress.total(f.cancelled),
       redress.total(f.declined), redress.total(f.revoked)
from redress.journal as j
join form as f using (lines)
where j.shard = $1 and j.beneficiary is not null and not f.stray
group by j.beneficiary, f.lot;

-- rebuild_stray_lines: lines on vouchers that were not there, with the ids that were named
insert into stray_line (seq, line, beneficiary, programme, voucher, effective_us)
select j.seq, f.line, j.beneficiary, lot.programme, j.strays[row_number() over (partition by j.seq order by f.line)],
       redress.microseconds(coalesce(f.effective_at, j.effective_at))
from redress.journal as j
join form as f using (lines)
join opened_lot as lot on lot.no = f.lot
where j.shard = $1 and j.strays is not null and f.stray;

-- rebuild_marks: vouchers that were declined, or revoked by themselves
insert into marked (beneficiary, lot, declined, revoked, seq)
select j.beneficiary, lot.no, bool_or(j.kind = 14), bool_or(j.kind = 12), max(j.seq)
from redress.journal as j
join slot on slot.beneficiary = j.beneficiary
join opened_lot as lot on lot.no = slot.lot
where j.shard = $1 and j.kind in (12, 14) and j.outcome = 1
  and redress.voucher_id(lot.programme, lot.wave, j.beneficiary, lot.benefit) = (j.detail ->> 'voucher')::uuid
group by j.beneficiary, lot.no;

-- rebuild_withdrawals: what left vouchers by and since a withdrawal that stands
insert into withdrawal (beneficiary, lot, amount)
select j.beneficiary, f.lot, sum(f.amount)
from redress.journal as j
join form as f using (lines)
join opened_lot as lot on lot.no = f.lot
join standing as s on s.beneficiary = j.beneficiary and s.wave = lot.wave_no and s.withdrawn and j.seq >= s.withdrawn_seq
where j.shard = $1 and f.movement = 'revoked' and not f.by_lot
group by j.beneficiary, f.lot;

-- rebuild_people: each person's last entry and the events seen, the parked ones last
insert into person (beneficiary, last_seq, seen)
select beneficiary, coalesce(j.last_seq, 0), coalesce(j.seen, '') || coalesce(p.seen, '')
from (
    select beneficiary, max(seq) as last_seq, string_agg(seen, ''::bytea) as seen
    from (
        select j.beneficiary, j.seq,
               case when j.kind <> 6 then redress.packed_seen(source.source, j.cause_uuid, j.cause_text, j.fingerprint) end as seen
        from redress.journal as j
        join redress.source on source.no = j.source
        where j.shard = $1 and j.beneficiary is not null
        order by j.beneficiary, j.seq
    ) as in_order
    group by beneficiary
) as j
full join (
    select beneficiary, string_agg(seen, ''::bytea order by arrival) as seen from parked_seen group by beneficiary
) as p using (beneficiary);

-- rebuild_state: beneficiaries
insert into rebuilt_state (shard, beneficiary, last_seq, spilled, grants, vouchers, seen, strays)
select $1, p.beneficiary, p.last_seq, greatest(0, octet_length(p.seen) / 12 - $2::integer), coalesce(g.grants, ''),
       coalesce(v.vouchers, ''), substring(p.seen from greatest(0, octet_length(p.seen) - $2 * 12) + 1), s.strays
from person as p
left join (
    select beneficiary,
           string_agg(redress.packed_grant(wave, former_member, refused, enrolled, withdrawn, issued, due_seq, due_us),
                      ''::bytea order by first) as grants
    from standing
    group by beneficiary
) as g using (beneficiary)
left join (
    select beneficiary,
           set_byte('\x00', 0, (count(*) filter (where is_whole))::integer)
           || coalesce(string_agg(redress.whole_voucher(lot, flags, account, amount, version, last_us), ''::bytea order by lot)
                           filter (where is_whole), '')
           || coalesce(string_agg(redress.split_voucher(lot, flags, version, last_us, withdrawn_amount, entitlement, unclaimed,
                                                        available, held, redeemed, forfeited, cancelled, declined, revoked),
                                  ''::bytea order by lot) filter (where not is_whole), '') as vouchers
    from (
        select *, fits and count(*) filter (where fits) over (partition by beneficiary order by lot) <= 255 as is_whole
        from (
            select *, account is not null and redress.fits_whole(amount, version, last_us, withdrawn_amount) as fits
            from (
                select slot.*,
                       slot.issued::integer + slot.claimed::integer * 2 + coalesce(beside.declined::integer, 0) * 4
                       + coalesce(beside.revoked::integer, 0) * 8 + coalesce(beside.withdrawn::integer, 0) * 16 as flags,
                       greatest(slot.touched, beside.seq, case when slot.issued then beside.turned_seq end) as version,
                       redress.microseconds(case when slot.issued then greatest(slot.moved_at, beside.last_line) else slot.moved_at end)
                           as last_us,
                       coalesce(beside.amount, 0) as withdrawn_amount,
                       entitlement + unclaimed + available + held + redeemed + forfeited + cancelled + slot.declined
                       + slot.revoked as amount,
                       -- the place of the one account that it stands in; null where there are several, or none
                       case (entitlement <> 0)::integer + (unclaimed <> 0)::integer * 2 + (available <> 0)::integer * 4
                            + (held <> 0)::integer * 8 + (redeemed <> 0)::integer * 16 + (forfeited <> 0)::integer * 32
                            + (cancelled <> 0)::integer * 64 + (slot.declined <> 0)::integer * 128
                            + (slot.revoked <> 0)::integer * 256
                           when 1 then 0 when 2 then 1 when 4 then 2 when 8 then 3 when 16 then 4 when 32 then 5
                           when 64 then 6 when 128 then 7 when 256 then 8
                       end as account
                from slot
                left join (
                    select beneficiary, lot, bool_or(declined) as declined, bool_or(revoked) as revoked, max(seq) as seq,
                           bool_or(withdrawn) as withdrawn, max(turned_seq) as turned_seq, sum(amount)::bigint as amount,
                           max(last_line) as last_line
                    from (
                        select beneficiary, lot, declined, revoked, seq, null::boolean as withdrawn,
                               null::bigint as turned_seq, null::bigint as amount, null::timestamptz as last_line
                        from marked
                        union all
                        select beneficiary, lot, null, null, null, null, null, amount, null
                        from withdrawal
                        union all
                        select s.beneficiary, lot.no, null, null, null, s.withdrawn,
                               case when s.issued then s.turned_seq end, null, null
                        from standing as s
                        join opened_lot as lot on lot.wave_no = s.wave
                        where s.turned_seq is not null
                        union all
                        select stray.beneficiary, slot.lot, null, null, null, null, null, null,
                               timestamptz 'epoch' + stray.effective_us * interval '1 microsecond'
                        from stray_line as stray
                        join slot on slot.beneficiary = stray.beneficiary
                        join opened_lot as lot on lot.no = slot.lot
                        where lot.programme = stray.programme
                          and redress.voucher_id(lot.programme, lot.wave, stray.beneficiary, lot.benefit) = stray.voucher
                    ) as told_apart
                    group by beneficiary, lot
                ) as beside using (beneficiary, lot)
                offset 0  -- so that each is computed once
            ) as told
            offset 0
        ) as fitting
    ) as formed
    group by beneficiary
) as v using (beneficiary)
left join (
    select beneficiary, jsonb_agg(jsonb_build_array(programme, voucher, last_us) order by first) as strays
    from (
        select beneficiary, programme, voucher, min(seq * 65536 + line) as first, max(effective_us) as last_us
        from stray_line
        group by beneficiary, programme, voucher
    ) as named
    group by beneficiary
) as s using (beneficiary);

-- rebuild_spill: events seen that do not fit their person's row
insert into rebuilt_seen_spill (shard, beneficiary, identity, fingerprint)
select $1, p.beneficiary, s.identity, s.fingerprint
from person as p
cross join lateral redress.seen_of(substring(p.seen from 1 for octet_length(p.seen) - $2::integer * 12)) as s
where octet_length(p.seen) > $2 * 12;

-- rebuild_redemptions: redemptions, with what each did with each voucher
insert into rebuilt_redemption (shard, beneficiary, programme, redemption, status, "order", service, expires_at,
                                request, lines, seq)
with entry as materialized (
    select seq, beneficiary, detail ->> 'programme' as programme, redemption, kind, outcome, reason, occurred_at, detail
    from redress.journal
    where shard = $1 and redemption is not null
),
known as (
    select beneficiary, programme, redemption, max(seq) as seq,
           min(seq) filter (where outcome <> 3) as first_seq,
           min(seq) filter (where kind = 15 and outcome <> 3) as request_seq,
           max(seq) filter (where kind in (16, 18) and outcome = 1) as settled_seq,
           max(seq) filter (where kind = 18 and outcome = 1) as recorded_seq,
           max(seq) filter (where kind <> 15 and outcome = 1) as turned_seq
    from entry
    group by 1, 2, 3
    having min(seq) filter (where outcome <> 3) is not null
),
moved as (
    select j.beneficiary, lot.programme, j.redemption, f.lot, stray.voucher as stray, min(j.seq * 65536 + f.line) as first,
           redress.total(f.of_held) as held,
           redress.total(f.of_redeemed) as redeemed,
           redress.total(f.of_forfeited) as forfeited,
           redress.total(f.of_exception) as exception,
           redress.total(f.of_restored) as restored,
           redress.total(f.of_forfeited_restored) as forfeited_restored,
           redress.total(f.of_cancelled) as cancelled,
           redress.total(f.of_exception_reversed) as exception_reversed
    from redress.journal as j
    join form as f using (lines)
    join opened_lot as lot on lot.no = f.lot
    left join stray_line as stray on f.stray and stray.seq = j.seq and stray.line = f.line
    where j.shard = $1 and j.redemption is not null and j.outcome = 1 and not f.by_lot and f.has_voucher
      and f.movement in ('reserved', 'released', 'redeemed', 'forfeited', 'exception', 'restored', 'cancelled',
                         'exception_reversed')
    group by 1, 2, 3, 4, 5
),
part as (
    select m.beneficiary, m.programme, m.redemption,
           coalesce(m.stray, redress.voucher_id_by_hash(m.beneficiary, m.hash)) as voucher,
           min(m.first) as first, sum(m.held)::bigint as held, sum(m.redeemed)::bigint as redeemed,
           sum(m.forfeited)::bigint as forfeited, sum(m.exception)::bigint as exception,
           sum(m.restored)::bigint as restored, sum(m.forfeited_restored)::bigint as forfeited_restored,
           sum(m.cancelled)::bigint as cancelled, sum(m.exception_reversed)::bigint as exception_reversed,
           bool_or(m.stray is not null and m.exception > 0) as stray
    from (
        select moved.*, redress.voucher_hash(lot.programme, lot.wave, moved.beneficiary, lot.benefit) as hash
        from moved
        join opened_lot as lot on lot.no = moved.lot
        offset 0  -- so that the hash is made once
    ) as m
    group by 1, 2, 3, 4
),
lines as (
    select known.beneficiary, known.programme, known.redemption,
           jsonb_agg(
               jsonb_build_array(part.voucher, held, redeemed, forfeited, exception, restored, forfeited_restored,
                                 cancelled, exception_reversed, stray)
               -- from its settlement on, a redemption's lines stand in the order of the settlement's
               order by nullif(strpos((settled.detail -> 'lines')::text, part.voucher::text), 0) nulls last, part.first
           ) as lines,
           bool_or(redeemed - restored - cancelled <> 0 or exception - exception_reversed <> 0) as has_left
    from known
    join part using (beneficiary, programme, redemption)
    left join entry as settled on settled.seq = known.settled_seq
    group by 1, 2, 3
)
select $1, known.beneficiary, known.programme, known.redemption,
       case
           when turned.kind is null then case when requested.outcome = 1 then 'held' else 'refused' end
           when turned.kind in (16, 18) then 'settled'
           when turned.kind = 6 then 'timed_out'
           when turned.kind = 17 or known.settled_seq is null then 'released'
           when lines.has_left then 'settled'
           else 'reversed'
       end,
       coalesce(recorded.detail ->> 'order', requested.detail ->> 'order'),
       coalesce(recorded.detail ->> 'service', requested.detail ->> 'service'),
       case when requested.outcome = 1 then requested.occurred_at + make_interval(secs => terms.ttl_seconds) end,
       case when requested.seq is not null then
           jsonb_build_array(
               requested.detail -> 'order', requested.detail -> 'service', redress.microseconds(requested.occurred_at),
               outcome.name, reason.name,
               (
                   select jsonb_agg(jsonb_build_array(line -> 'voucher', line -> 'amount'))
                   from (select jsonb_array_elements(requested.detail -> 'lines') as line) as asked
               )
           )
       end,
       coalesce(lines.lines, '[]'),
       known.seq
from known
left join entry as requested on requested.seq = known.request_seq and known.request_seq = known.first_seq
left join entry as recorded on recorded.seq = known.recorded_seq
left join entry as turned on turned.seq = known.turned_seq
left join lines on lines.beneficiary = known.beneficiary and lines.programme = known.programme
     and lines.redemption = known.redemption
left join redress.outcome on outcome.code = requested.outcome
left join redress.reason on reason.code = requested.reason
left join lateral (
    select ttl_seconds
    from published
    where published.programme = known.programme and published.seq < requested.seq
    order by version desc
    limit 1
) as terms on requested.outcome = 1;

-- rebuild_lots: lots with their balances and counters
insert into rebuilt_lot
with turned as (
    select detail ->> 'programme' as programme, detail ->> 'wave' as wave, detail ->> 'benefit' as benefit, max(seq) as seq,
           (array_agg(kind order by seq desc))[1] as kind,
           (array_agg((detail ->> 'valid_until')::timestamptz order by seq desc) filter (where kind = 3))[1] as valid_until,
           (array_agg(booked_at order by seq desc) filter (where kind in (4, 5)))[1] as booked_at,
           (array_agg(booked_at order by seq desc) filter (where kind = 3 and booked_at is not null))[1] as reopened_at,
           (array_agg(closed_at order by seq desc) filter (where kind = 4 and closed_at is not null))[1] as revoked_at
    from redress.journal
    where shard = $1 and kind in (3, 4, 5) and outcome = 1
    group by 1, 2, 3
),
balance as (
    select lot,
           coalesce(sum(amount) filter (where account = 'entitlement'), 0) as entitlement,
           coalesce(sum(amount) filter (where account = 'unclaimed'), 0) as unclaimed,
           coalesce(sum(amount) filter (where account = 'available'), 0) as available,
           coalesce(sum(amount) filter (where account = 'held'), 0) as held,
           coalesce(sum(amount) filter (where account = 'programme_grant'), 0) as programme_grant,
           coalesce(sum(amount) filter (where account = 'redemption_clearing'), 0) as redemption_clearing,
           coalesce(sum(amount) filter (where account = 'breakage_forfeited'), 0) as breakage_forfeited,
           coalesce(sum(amount) filter (where account = 'breakage_cancelled'), 0) as breakage_cancelled,
           coalesce(sum(amount) filter (where account = 'expired_entitlement'), 0) as expired_entitlement,
           coalesce(sum(amount) filter (where account = 'expired_unclaimed'), 0) as expired_unclaimed,
           coalesce(sum(amount) filter (where account = 'expired_available'), 0) as expired_available,
           coalesce(sum(amount) filter (where account = 'revoked'), 0) as revoked,
           coalesce(sum(amount) filter (where account = 'declined'), 0) as declined,
           coalesce(sum(amount) filter (where account = 'exception'), 0) as exception,
           max(last_line) as last_line
    from (
        select l.lot, side.account, side.amount, l.last_line
        from line_sum as l
        join redress.posting on posting.code = l.posting
        cross join lateral (values (posting.debit, -l.amount), (posting.credit, l.amount)) as side (account, amount)
    ) as sides
    group by lot
),
counted as (
    select lot,
           count(*) filter (where issued and unclaimed + available + held > 0) as vouchers_open,
           count(*) filter (where held > 0) as vouchers_held
    from slot
    group by lot
)
select $1, lot.no, lot.programme, lot.wave, lot.benefit, lot.service, lot.amount, lot.currency, lot.timezone,
       lot.terms_version, lot.valid_from, coalesce(t.valid_until, lot.valid_until),
       case t.kind when 4 then 'revoked' when 5 then 'expired' else 'open' end,
       coalesce(t.revoked_at, 'infinity'), coalesce(t.booked_at, '-infinity'), coalesce(t.reopened_at, '-infinity'),
       coalesce(b.last_line, '-infinity'),
       coalesce(c.vouchers_open, 0), coalesce(c.vouchers_held, 0), coalesce(t.seq, lot.seq),
       coalesce(b.entitlement, 0), coalesce(b.unclaimed, 0), coalesce(b.available, 0), coalesce(b.held, 0),
       coalesce(b.programme_grant, 0), coalesce(b.redemption_clearing, 0), coalesce(b.breakage_forfeited, 0),
       coalesce(b.breakage_cancelled, 0), coalesce(b.expired_entitlement, 0), coalesce(b.expired_unclaimed, 0),
       coalesce(b.expired_available, 0), coalesce(b.revoked, 0), coalesce(b.declined, 0), coalesce(b.exception, 0)
from opened_lot as lot
left join turned as t using (programme, wave, benefit)
left join balance as b on b.lot = lot.no
left join counted as c on c.lot = lot.no;

-- count_rebuilt: how much was rebuilt
select (select coalesce(sum(entries), 0)::bigint from rebuilt_tally) as entries,
       (select coalesce(sum(lines), 0)::bigint from line_sum) as lines;

-- gap: where the shard's journal is not whole, from seq 1 to the head's without gap
select format('%s entries from %s to %s, the head''s next_seq is %s', j.entries, j.first, j.last, head.next_seq)
from redress.head
cross join (select count(*) as entries, min(seq) as first, max(seq) as last from redress.journal where shard = $1) as j
where head.shard = $1
  and (j.entries <> head.next_seq - 1 or j.entries > 0 and (j.first <> 1 or j.last <> head.next_seq - 1));
