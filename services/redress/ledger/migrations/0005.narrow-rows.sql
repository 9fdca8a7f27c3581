-- depends: 0004.refused-by-database
-- Narrow rows: a line takes 8 bytes and a voucher 20 where they took 20 and 99, and nothing is lost to alignment.
-- Rewrites journal and state: what they say stays the same, entry by entry and voucher by voucher.

drop view finance.journal, finance.voucher_balance;
drop function redress.lines_of, redress.vouchers_of;

-- Each partition is a shard, so that a key within the partition is a key within the shard; the shard itself would cost
-- eight bytes more in each entry of the index.
create function redress.create_partitions(shard integer) returns void language plpgsql as $$
begin
    execute format('create table redress.journal_%s partition of redress.journal for values in (%s)', shard, shard);
    execute format('create unique index on redress.journal_%s (seq)', shard);
    -- A parent's statement triggers do not fire for a TRUNCATE of its partition.
    execute format('create trigger append_only_truncate before truncate on redress.journal_%s '
                   'for each statement execute function redress.refuse_change()', shard);
    -- Half of each page is left free, so that a beneficiary's row grows and changes in place (HOT).
    execute format('create table redress.state_%s partition of redress.state for values in (%s) '
                   'with (fillfactor = 50)', shard, shard);
    execute format('create unique index on redress.state_%s (beneficiary)', shard);
end
$$;

create or replace function redress.create_shards(shards integer) returns void language plpgsql as $$
begin
    perform redress.create_partitions(n) from generate_series(0, shards - 1) as n;
    insert into redress.head (shard) select generate_series(0, shards - 1);
    insert into redress.lease (shard) select generate_series(0, shards - 1);
end
$$;

do $$
declare
    n integer;
begin
    for n in select shard from redress.head loop
        execute format('alter table redress.journal_%s rename to wide_journal_%s', n, n);
        execute format('alter table redress.state_%s rename to wide_state_%s', n, n);
    end loop;
end
$$;
alter table redress.journal rename to wide_journal;
alter table redress.state rename to wide_state;

-- Columns in order of their alignment: those of eight bytes, of four, of two, then the rest.
create table redress.journal (
    seq           bigint      not null,
    record_offset bigint      not null,
    occurred_at   timestamptz not null,
    effective_at  timestamptz not null,
    prev_seq      bigint,
    booked_at     timestamptz,
    closed_at     timestamptz,
    batch         integer     not null,
    source        integer     not null,
    terms_version integer,
    shard         smallint    not null,
    kind          smallint    not null,
    outcome       smallint    not null,
    reason        smallint,
    beneficiary   uuid,
    cause_uuid    uuid,
    cause_text    text,
    fingerprint   bytea       not null,
    redemption    text,
    traceparent   text,
    strays        uuid[],
    balances      bigint[],
    detail        jsonb,
    lines         bytea       not null,
    check ((cause_uuid is null) <> (cause_text is null))
) partition by list (shard);
comment on table redress.journal is 'One row per entry, its lines packed inside: see redress.lines_of.';
create trigger append_only before update or delete on redress.journal
    for each row execute function redress.refuse_change();
create trigger append_only_truncate before truncate on redress.journal
    for each statement execute function redress.refuse_change();

create table redress.state (
    last_seq    bigint   not null,
    spilled     integer  not null,
    shard       smallint not null,
    beneficiary uuid     not null,
    grants      bytea    not null,
    vouchers    bytea    not null,
    seen        bytea    not null,
    strays      jsonb
) partition by list (shard);
comment on table redress.state is 'One row per beneficiary: grants, vouchers and the events seen, packed.';

do $$ begin perform redress.create_partitions(shard) from redress.head; end $$;

insert into redress.journal (seq, record_offset, occurred_at, effective_at, prev_seq, booked_at, closed_at, batch, source,
                             terms_version, shard, kind, outcome, reason, beneficiary, cause_uuid, cause_text,
                             fingerprint, redemption, traceparent, strays, balances, detail, lines)
select seq, record_offset, occurred_at, effective_at, prev_seq, booked_at, closed_at, batch, source, terms_version, shard,
       kind, outcome, reason, beneficiary, cause_uuid, cause_text, fingerprint, redemption, traceparent, strays, balances,
       detail, narrow.lines
from redress.wide_journal as wide
cross join lateral (
    select case
               when count(*) = 0 then ''::bytea
               when bool_and(line.amount < 2147483648 and line.effective_at = wide.effective_at)
               then '\x08'::bytea || string_agg(substring(line.bytes from 1 for 4) || substring(line.bytes from 9 for 4), ''::bytea order by line.n)
               else '\x14'::bytea || wide.lines
           end as lines
    from (
        select n,
               substring(wide.lines from n * 20 + 1 for 20) as bytes,
               substring(wide.lines from n * 20 + 5 for 8)::bigint as amount,
               timestamptz 'epoch' + substring(wide.lines from n * 20 + 13 for 8)::bigint * interval '1 microsecond' as effective_at
        from generate_series(0, octet_length(wide.lines) / 20 - 1) as n
    ) as line
) as narrow
order by shard, seq;

insert into redress.state (last_seq, spilled, shard, beneficiary, grants, vouchers, seen, strays)
select last_seq, spilled, shard, beneficiary, grants, narrow.vouchers, seen, strays
from redress.wide_state as wide
cross join lateral (
    select case
               when count(*) = 0 then ''::bytea
               else set_byte('\x00'::bytea, 0, (count(*) filter (where is_whole))::integer)
                    || coalesce(string_agg(substring(bytes from 1 for 3) || set_byte('\x00'::bytea, 0, account)
                                           || substring(amount from 5 for 4) || substring(bytes from 7 for 5)
                                           || substring(bytes from 13 for 7), ''::bytea order by lot)
                                filter (where is_whole), ''::bytea)
                    || coalesce(string_agg(bytes, ''::bytea order by lot) filter (where not is_whole), ''::bytea)
           end as vouchers
    from (
        select voucher.lot, voucher.bytes, stands.account, stands.amount,
               coalesce(stands.accounts = 1 and stands.amount::bigint between 1 and 2147483647
                        and substring(voucher.bytes from 20 for 8)::bigint = 0
                        and substring(voucher.bytes from 4 for 8)::bigint between 0 and 1099511627775
                        and substring(voucher.bytes from 12 for 8)::bigint between 0 and 36028797018963967
                        and row_number() over (partition by stands.accounts = 1 order by voucher.lot) <= 255, false) as is_whole
        from (
            select substring(wide.vouchers from n * 99 + 1 for 2)::smallint as lot,
                   substring(wide.vouchers from n * 99 + 1 for 99) as bytes
            from generate_series(0, octet_length(wide.vouchers) / 99 - 1) as n
        ) as voucher
        cross join lateral (
            select count(*) as accounts, min(a) as account, min(substring(voucher.bytes from a * 8 + 28 for 8)) as amount
            from generate_series(0, 8) as a
            where substring(voucher.bytes from a * 8 + 28 for 8)::bigint <> 0
        ) as stands
    ) as voucher
) as narrow;

drop table redress.wide_journal, redress.wide_state;

-- These two are not strict: Postgres inlines no strict function that returns rows, and a call each costs ten times as
-- much. And they name nothing of this schema: it would be looked up under the reader's rights, and finance has none here.
create function redress.lines_of(lines bytea, effective_at timestamptz)
    returns table (line integer, lot smallint, posting smallint, has_voucher boolean, by_lot boolean, stray boolean,
                   amount bigint, effective_at timestamptz)
    language sql immutable parallel safe rows 2
    as $$
        select n + 1,
               substring($1 from n * width + 2 for 2)::smallint,
               get_byte($1, n * width + 3)::smallint,
               get_byte($1, n * width + 4) & 1 = 1,
               get_byte($1, n * width + 4) & 2 = 2,
               get_byte($1, n * width + 4) & 8 = 8,
               case width when 8 then substring($1 from n * 8 + 6 for 4)::integer
                          else substring($1 from n * 20 + 6 for 8)::bigint end,
               case width when 8 then $2
                          else timestamptz 'epoch' + substring($1 from n * 20 + 14 for 8)::bigint * interval '1 microsecond' end
        from (select get_byte($1 || '\x14'::bytea, 0) as width) as packed
        cross join lateral generate_series(0, (octet_length($1) - 1) / width - 1) as n
    $$;
comment on function redress.lines_of is
    'Lines of an entry: a byte that is their width, then lot int2, posting int1, flags int1 (1 has a voucher, 2 by lot, 4 promised, 8 stray) and the amount: int4 where the width is 8, and the line is effective when the entry is; int8 where it is 20, and then when the line is effective, int8.';

create function redress.vouchers_of(vouchers bytea)
    returns table (lot smallint, issued boolean, claimed boolean, declined_flag boolean, revoked_flag boolean,
                   version bigint, entitlement bigint, unclaimed bigint, available bigint, held bigint,
                   redeemed bigint, forfeited bigint, cancelled bigint, declined bigint, revoked bigint)
    language sql immutable parallel safe rows 4
    as $$
        select substring($1 from pos + 1 for 2)::smallint,
               get_byte($1, pos + 2) & 1 = 1,
               get_byte($1, pos + 2) & 2 = 2,
               get_byte($1, pos + 2) & 4 = 4,
               get_byte($1, pos + 2) & 24 <> 0,
               substring($1 from pos + 9 for 5)::bigint,
               case when account = 0 then amount else 0 end,
               case when account = 1 then amount else 0 end,
               case when account = 2 then amount else 0 end,
               case when account = 3 then amount else 0 end,
               case when account = 4 then amount else 0 end,
               case when account = 5 then amount else 0 end,
               case when account = 6 then amount else 0 end,
               case when account = 7 then amount else 0 end,
               case when account = 8 then amount else 0 end
        from (
            select n * 20 + 1 as pos, get_byte($1, n * 20 + 4) as account,
                   substring($1 from n * 20 + 6 for 4)::integer::bigint as amount
            from generate_series(0, get_byte($1 || '\x00'::bytea, 0) - 1) as n
        ) as whole
        union all
        select substring($1 from pos + 1 for 2)::smallint,
               get_byte($1, pos + 2) & 1 = 1,
               get_byte($1, pos + 2) & 2 = 2,
               get_byte($1, pos + 2) & 4 = 4,
               get_byte($1, pos + 2) & 24 <> 0,
               substring($1 from pos + 4 for 8)::bigint,
               substring($1 from pos + 28 for 8)::bigint,
               substring($1 from pos + 36 for 8)::bigint,
               substring($1 from pos + 44 for 8)::bigint,
               substring($1 from pos + 52 for 8)::bigint,
               substring($1 from pos + 60 for 8)::bigint,
               substring($1 from pos + 68 for 8)::bigint,
               substring($1 from pos + 76 for 8)::bigint,
               substring($1 from pos + 84 for 8)::bigint,
               substring($1 from pos + 92 for 8)::bigint
        from (
            select get_byte($1 || '\x00'::bytea, 0) * 20 + 1 + n * 99 as pos
            from generate_series(0, (octet_length($1) - 1 - get_byte($1 || '\x00'::bytea, 0) * 20) / 99 - 1) as n
        ) as split
    $$;
comment on function redress.vouchers_of is
    'Vouchers of a beneficiary: a byte that counts those whose whole amount stands in one account, then those, 20 bytes each: lot int2, flags int1 (1 issued, 2 claimed, 4 declined, 8 revoked, 16 withdrawn), account int1, amount int4, version 5 bytes, last line 7 bytes; then the others, 99 bytes each: lot, flags, version, last line, withdrawn amount, then the amounts of entitlement, unclaimed, available, held, clearing, forfeited, cancelled, declined, revoked (int8 each).';

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

create view finance.journal as
select j.shard,
       j.seq,
       l.line,
       j.batch::bigint as batch,
       coalesce(lot.programme, j.detail ->> 'programme') as programme,
       coalesce(lot.wave, j.detail ->> 'wave') as wave,
       coalesce(lot.benefit, j.detail ->> 'benefit') as benefit,
       j.beneficiary,
       case
           when l.line is null then (j.detail ->> 'voucher')::uuid
           when l.stray then j.strays[(select count(*) from redress.lines_of(j.lines, j.effective_at) as s where s.stray and s.line <= l.line)]
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
left join lateral redress.lines_of(j.lines, j.effective_at) as l on true
left join redress.lot on lot.shard = j.shard and lot.no = l.lot
left join redress.posting on posting.code = l.posting;
comment on view finance.journal is 'One row per line; one with null movement for an entry without lines.';

grant select, insert on redress.journal to redress_writer;
grant select, insert, update on redress.state to redress_writer;
grant select on finance.voucher_balance, finance.journal to redress_finance, redress_writer;
