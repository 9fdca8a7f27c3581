-- depends: 0001.ledger
-- What finance reads. Packed bytes are opened here and nowhere else in SQL.

create schema finance;

create function redress.voucher_id(programme text, wave text, beneficiary uuid, benefit text) returns uuid
    language sql immutable strict parallel safe
    return (
        select encode(set_byte(set_byte(raw, 6, 128 | (get_byte(raw, 6) & 15)), 8, 128 | (get_byte(raw, 8) & 63)), 'hex')::uuid
        from (
            select substring(uuid_send(beneficiary) from 1 for 6)
                   || substring(sha256(convert_to(programme || '/' || wave || '/' || beneficiary::text || '/' || benefit, 'UTF8')) from 1 for 10) as raw
        ) as computed
    );
comment on function redress.voucher_id is 'UUID version 8: six bytes of the beneficiary, ten of SHA-256 over programme/wave/beneficiary/benefit.';

-- These three are not strict: Postgres inlines no strict function that returns rows, and a call each costs ten times as
-- much. And they name nothing of this schema: it would be looked up under the reader's rights, and finance has none here.
create function redress.lines_of(lines bytea)
    returns table (line integer, lot smallint, posting smallint, has_voucher boolean, by_lot boolean, stray boolean,
                   amount bigint, effective_at timestamptz)
    language sql immutable parallel safe rows 2
    as $$
        select n + 1,
               substring(lines from n * 20 + 1 for 2)::smallint,
               get_byte(lines, n * 20 + 2)::smallint,
               get_byte(lines, n * 20 + 3) & 1 = 1,
               get_byte(lines, n * 20 + 3) & 2 = 2,
               get_byte(lines, n * 20 + 3) & 8 = 8,
               substring(lines from n * 20 + 5 for 8)::bigint,
               timestamptz 'epoch' + substring(lines from n * 20 + 13 for 8)::bigint * interval '1 microsecond'
        from generate_series(0, octet_length(lines) / 20 - 1) as n
    $$;
comment on function redress.lines_of is
    'Lines of an entry, 20 bytes each: lot int2, posting int1, flags int1 (1 has a voucher, 2 by lot, 4 promised, 8 stray), amount int8, effective int8.';

create function redress.grants_of(grants bytea)
    returns table (wave smallint, former_member boolean, refused boolean, enrolled boolean, withdrawn boolean,
                   issued boolean, due_seq bigint, due_at timestamptz)
    language sql immutable parallel safe rows 1
    as $$
        select substring(grants from n * 19 + 1 for 2)::smallint,
               get_byte(grants, n * 19 + 2) & 1 = 1,
               get_byte(grants, n * 19 + 2) & 2 = 2,
               get_byte(grants, n * 19 + 2) & 4 = 4,
               get_byte(grants, n * 19 + 2) & 8 = 8,
               get_byte(grants, n * 19 + 2) & 16 = 16,
               nullif(substring(grants from n * 19 + 4 for 8)::bigint, 0),
               case when substring(grants from n * 19 + 4 for 8)::bigint <> 0
                    then timestamptz 'epoch'
                              + substring(grants from n * 19 + 12 for 8)::bigint * interval '1 microsecond' end
        from generate_series(0, octet_length(grants) / 19 - 1) as n
    $$;
comment on function redress.grants_of is
    'Grants of a beneficiary, 19 bytes each: wave int2, flags int1 (1 former member, 2 refused, 4 enrolled, 8 withdrawn, 16 issued), due_seq int8 (0: none), due_at int8.';

create function redress.vouchers_of(vouchers bytea)
    returns table (lot smallint, issued boolean, claimed boolean, declined_flag boolean, revoked_flag boolean,
                   version bigint, entitlement bigint, unclaimed bigint, available bigint, held bigint,
                   redeemed bigint, forfeited bigint, cancelled bigint, declined bigint, revoked bigint)
    language sql immutable parallel safe rows 4
    as $$
        select substring(vouchers from n * 99 + 1 for 2)::smallint,
               get_byte(vouchers, n * 99 + 2) & 1 = 1,
               get_byte(vouchers, n * 99 + 2) & 2 = 2,
               get_byte(vouchers, n * 99 + 2) & 4 = 4,
               get_byte(vouchers, n * 99 + 2) & 24 <> 0,
               substring(vouchers from n * 99 + 4 for 8)::bigint,
               substring(vouchers from n * 99 + 28 for 8)::bigint,
               substring(vouchers from n * 99 + 36 for 8)::bigint,
               substring(vouchers from n * 99 + 44 for 8)::bigint,
               substring(vouchers from n * 99 + 52 for 8)::bigint,
               substring(vouchers from n * 99 + 60 for 8)::bigint,
               substring(vouchers from n * 99 + 68 for 8)::bigint,
               substring(vouchers from n * 99 + 76 for 8)::bigint,
               substring(vouchers from n * 99 + 84 for 8)::bigint,
               substring(vouchers from n * 99 + 92 for 8)::bigint
        from generate_series(0, octet_length(vouchers) / 99 - 1) as n
    $$;
comment on function redress.vouchers_of is
    'Vouchers of a beneficiary, 99 bytes each: lot int2, flags int1 (1 issued, 2 claimed, 4 declined, 8 revoked, 16 withdrawn), version, last line, withdrawn amount, then the amounts of entitlement, unclaimed, available, held, clearing, forfeited, cancelled, declined, revoked (int8 each).';

create view finance.voucher_balance as
select redress.voucher_id(lot.programme, lot.wave, state.beneficiary, lot.benefit) as voucher,
       state.beneficiary,
       lot.programme,
       lot.wave,
       lot.benefit,
       lot.service,
       lot.currency,
       case
           when v.held > 0 then 'held'
           when v.declined_flag then 'declined'
           when v.revoked_flag then 'revoked'
           when v.unclaimed + v.available = 0 and v.redeemed + v.forfeited + v.cancelled > 0 then 'redeemed'
           when lot.status <> 'open' then lot.status
           when v.available > 0 then 'available'
           else 'unclaimed'
       end as status,
       v.unclaimed + v.available + v.held + v.redeemed + v.forfeited + v.cancelled + v.declined + v.revoked as face,
       case when lot.status = 'open' then v.unclaimed else 0 end as unclaimed,
       case when lot.status = 'open' then v.available else 0 end as available,
       v.held,
       v.redeemed,
       v.forfeited,
       v.cancelled,
       case when lot.status = 'expired' then v.unclaimed + v.available else 0 end as expired,
       v.revoked + case when lot.status = 'revoked' then v.unclaimed + v.available else 0 end as revoked,
       v.declined,
       lot.valid_from,
       lot.valid_until,
       case
           when g.withdrawn then 'withdrawn'
           when g.enrolled then 'enrolled'
           when g.former_member then 'former_member'
           else 'member'
       end as standing,
       v.version
from redress.state
cross join lateral redress.vouchers_of(state.vouchers) as v
join redress.lot on lot.shard = state.shard and lot.no = v.lot
join redress.wave on wave.shard = lot.shard and wave.programme = lot.programme and wave.wave = lot.wave
join lateral redress.grants_of(state.grants) as g on g.wave = wave.no
where v.issued;
comment on view finance.voucher_balance is 'Every voucher issued, with its effective status; a row sums to its face.';

create view finance.outstanding_liability as
select programme,
       wave,
       benefit,
       currency,
       sum(entitlement) as entitlement,
       sum(unclaimed) as unclaimed,
       sum(available) as available,
       sum(held) as held,
       sum(entitlement + unclaimed + available + held) as outstanding,
       sum(case when status = 'open' then vouchers_open else vouchers_held end)::bigint as vouchers_open
from redress.lot
group by programme, wave, benefit, currency
having wave <> 'unknown' or bool_or(last_line > '-infinity');
comment on view finance.outstanding_liability is 'What is owed now, by lot.';

create view finance.account_balance as
select lot.programme, lot.wave, lot.benefit, lot.currency, a.account, sum(a.balance) as balance
from redress.lot
cross join lateral (values
    ('entitlement', lot.entitlement), ('unclaimed', lot.unclaimed), ('available', lot.available), ('held', lot.held),
    ('programme_grant', lot.programme_grant), ('redemption_clearing', lot.redemption_clearing),
    ('breakage_forfeited', lot.breakage_forfeited), ('breakage_cancelled', lot.breakage_cancelled),
    ('expired_entitlement', lot.expired_entitlement), ('expired_unclaimed', lot.expired_unclaimed),
    ('expired_available', lot.expired_available), ('revoked', lot.revoked), ('declined', lot.declined),
    ('exception', lot.exception)
) as a (account, balance)
group by lot.programme, lot.wave, lot.benefit, lot.currency, a.account
having lot.wave <> 'unknown' or bool_or(lot.last_line > '-infinity');
comment on view finance.account_balance is 'Balance of every account of every lot, credit positive.';

create view finance.roll_forward as
select lot.programme,
       lot.wave,
       lot.benefit,
       lot.currency,
       rollup.effective_day,
       rollup.recorded_day,
       posting.movement,
       sum(rollup.amount) as amount,
       sum(rollup.lines)::bigint as lines
from redress.rollup
join redress.lot on lot.shard = rollup.shard and lot.no = rollup.lot
join redress.posting on posting.code = rollup.posting
group by lot.programme, lot.wave, lot.benefit, lot.currency, rollup.effective_day, rollup.recorded_day, posting.movement;
comment on view finance.roll_forward is 'Movements by lot and day on both axes, days in the programme''s time zone.';

create view finance.journal as
select j.shard,
       j.seq,
       l.line,
       j.batch,
       coalesce(lot.programme, j.detail ->> 'programme') as programme,
       coalesce(lot.wave, j.detail ->> 'wave') as wave,
       coalesce(lot.benefit, j.detail ->> 'benefit') as benefit,
       j.beneficiary,
       case
           when l.line is null then (j.detail ->> 'voucher')::uuid
           when l.stray then j.strays[(select count(*) from redress.lines_of(j.lines) as s where s.stray and s.line <= l.line)]
           when l.has_voucher then redress.voucher_id(lot.programme, lot.wave, j.beneficiary, lot.benefit)
       end as voucher,
       posting.movement,
       posting.debit,
       posting.credit,
       l.amount,
       coalesce(lot.currency, (select t.data ->> 'currency' from redress.terms as t
                               where t.shard = j.shard and t.programme = j.detail ->> 'programme' limit 1)) as currency,
       j.occurred_at,
       coalesce(l.effective_at, j.effective_at) as effective_at,
       b.recorded_at,
       l.by_lot,
       j.terms_version,
       j.redemption,
       outcome.name as outcome,
       reason.name as reason,
       source.source as cause_source,
       coalesce(j.cause_text, j.cause_uuid::text) as cause_id,
       kind.type as cause_type
from redress.journal as j
join redress.batch as b on b.shard = j.shard and b.batch = j.batch
join redress.kind on kind.code = j.kind
join redress.outcome on outcome.code = j.outcome
join redress.source on source.no = j.source
left join redress.reason on reason.code = j.reason
left join lateral redress.lines_of(j.lines) as l on true
left join redress.lot on lot.shard = j.shard and lot.no = l.lot
left join redress.posting on posting.code = l.posting;
comment on view finance.journal is 'One row per line; one with null movement for an entry without lines.';

create view finance.wave as
select programme,
       wave,
       (min(opened -> 'expected' ->> 'beneficiaries'))::bigint as expected_beneficiaries,
       (min(opened -> 'expected' ->> 'amount'))::bigint as expected_amount,
       sum(granted)::bigint as granted,
       sum(refused)::bigint as refused,
       sum(withdrawn)::bigint as withdrawn,
       sum(enrolled)::bigint as enrolled,
       sum(issued)::bigint as issued,
       sum(entitled_amount) as entitled_amount,
       sum(issued_amount) as issued_amount
from redress.wave
group by programme, wave;
comment on view finance.wave is 'A wave''s people: refused are those refused already_entitled; withdrawn and issued are how each grant stands now.';

create view finance.position as
select shard, batch, next_seq, nullif(recorded_at, '-infinity') as recorded_at, now, programme_offset, eligibility_offset, issuance_offset,
       redemption_offset, encode(digest, 'hex') as digest
from redress.head;
comment on view finance.position is 'Per shard the batch the figures stand at: the reproducible key of every published number.';

grant usage on schema finance to redress_finance, redress_writer;
grant select on all tables in schema finance to redress_finance, redress_writer;
