-- The ledger: journal, batches, heads and leases, state, projections, and what is kept beside them.
-- Every primary key begins with the shard: no transaction spans two, and a shard can be moved to another node.
-- Instants inside packed bytes are microseconds since 1970 UTC; packed integers are big-endian two's complement.

create schema redress;

create table redress.ledger (
    only_one        boolean primary key default true check (only_one),
    name            text not null,
    shards          integer not null check (shards between 1 and 1024),
    clock           text not null check (clock in ('system', 'manual')),
    parking_seconds bigint not null check (parking_seconds > 0),
    created_at      timestamptz not null default clock_timestamp()
);
comment on table redress.ledger is 'What was fixed by the first migration and never changes.';

-- Dictionaries. Codes are given once and never change meaning.
create table redress.posting (
    code     smallint primary key,
    movement text not null,
    debit    text not null,
    credit   text not null,
    unique (movement, debit, credit)
);
insert into redress.posting (code, movement, debit, credit) values
    (1, 'entitled', 'programme_grant', 'entitlement'),
    (2, 'withdrawn', 'entitlement', 'programme_grant'),
    (3, 'issued', 'entitlement', 'unclaimed'),
    (4, 'issued', 'entitlement', 'available'),
    (5, 'claimed', 'unclaimed', 'available'),
    (6, 'reserved', 'available', 'held'),
    (7, 'released', 'held', 'available'),
    (8, 'redeemed', 'held', 'redemption_clearing'),
    (9, 'redeemed', 'available', 'redemption_clearing'),
    (10, 'forfeited', 'held', 'breakage_forfeited'),
    (11, 'forfeited', 'available', 'breakage_forfeited'),
    (12, 'restored', 'redemption_clearing', 'available'),
    (13, 'restored', 'breakage_forfeited', 'available'),
    (14, 'cancelled', 'redemption_clearing', 'breakage_cancelled'),
    (15, 'exception', 'exception', 'redemption_clearing'),
    (16, 'exception_reversed', 'redemption_clearing', 'exception'),
    (17, 'expired', 'entitlement', 'expired_entitlement'),
    (18, 'expired', 'unclaimed', 'expired_unclaimed'),
    (19, 'expired', 'available', 'expired_available'),
    (20, 'expiry_reversed', 'expired_entitlement', 'entitlement'),
    (21, 'expiry_reversed', 'expired_unclaimed', 'unclaimed'),
    (22, 'expiry_reversed', 'expired_available', 'available'),
    (23, 'revoked', 'entitlement', 'revoked'),
    (24, 'revoked', 'unclaimed', 'revoked'),
    (25, 'revoked', 'available', 'revoked'),
    (26, 'revocation_reversed', 'revoked', 'entitlement'),
    (27, 'revocation_reversed', 'revoked', 'unclaimed'),
    (28, 'revocation_reversed', 'revoked', 'available'),
    (29, 'declined', 'unclaimed', 'declined'),
    (30, 'declined', 'available', 'declined');

create table redress.kind (
    code  smallint primary key,
    name  text not null unique,
    type  text not null,
    topic text not null
);
comment on table redress.kind is 'What an entry was made from; what falls due by the clock has kinds of its own.';
insert into redress.kind (code, name, type, topic) values
    (1, 'programme_published', 'redress.programme.published.v1', 'redress.programme'),
    (2, 'wave_opened', 'redress.wave.opened.v1', 'redress.programme'),
    (3, 'lot_extended', 'redress.lot.extended.v1', 'redress.programme'),
    (4, 'lot_revoked', 'redress.lot.revoked.v1', 'redress.programme'),
    (5, 'lapsed', 'redress.clock.ticked.v1', 'redress.programme'),
    (6, 'timed_out', 'redress.clock.ticked.v1', 'redress.programme'),
    (7, 'granted', 'redress.eligibility.granted.v1', 'redress.eligibility'),
    (8, 'enrolled', 'redress.eligibility.enrolled.v1', 'redress.eligibility'),
    (9, 'withdrawn', 'redress.eligibility.withdrawn.v1', 'redress.eligibility'),
    (10, 'reinstated', 'redress.eligibility.reinstated.v1', 'redress.eligibility'),
    (11, 'issued', 'redress.voucher.issued.v1', 'redress.issuance'),
    (12, 'voucher_revoked', 'redress.voucher.revoked.v1', 'redress.issuance'),
    (13, 'claimed', 'redress.voucher.claimed.v1', 'redress.redemption'),
    (14, 'declined', 'redress.voucher.declined.v1', 'redress.redemption'),
    (15, 'requested', 'redress.redemption.requested.v1', 'redress.redemption'),
    (16, 'captured', 'redress.redemption.captured.v1', 'redress.redemption'),
    (17, 'released', 'redress.redemption.released.v1', 'redress.redemption'),
    (18, 'recorded', 'redress.redemption.recorded.v1', 'redress.redemption'),
    (19, 'reversed', 'redress.redemption.reversed.v1', 'redress.redemption');

create table redress.outcome (code smallint primary key, name text not null unique);
insert into redress.outcome (code, name) values (1, 'accepted'), (2, 'refused'), (3, 'no_effect');

create table redress.reason (code smallint primary key, name text not null unique);
insert into redress.reason (code, name) values
    (1, 'conflict'), (2, 'stale_request'), (3, 'future_request'), (4, 'not_owner'), (5, 'unknown_voucher'),
    (6, 'wrong_service'), (7, 'revoked'), (8, 'declined'), (9, 'expired'), (10, 'not_yet_valid'),
    (11, 'not_claimed'), (12, 'already_redeemed'), (13, 'already_reserved'), (14, 'insufficient_balance'),
    (15, 'too_many_vouchers'), (16, 'already_entitled'), (17, 'already_granted'), (18, 'not_entitled'),
    (19, 'not_as_entitled'), (20, 'already_claimed'), (21, 'already_issued'), (22, 'already_enrolled'),
    (23, 'already_withdrawn'), (24, 'not_withdrawn'), (25, 'nothing_left'), (26, 'nothing_held'),
    (27, 'not_captured'), (28, 'unknown_redemption'), (29, 'already_reversed'), (30, 'already_settled'),
    (31, 'superseded');

create table redress.source (
    no     integer generated always as identity primary key,
    source text not null unique
);
comment on table redress.source is 'Sources of events, coded; one dictionary for all shards, written before it is used.';

-- Heads and leases: who may write, and up to where the shard has come.
create table redress.head (
    shard              smallint primary key,
    epoch              bigint not null default 0,
    batch              bigint not null default 0,
    next_seq           bigint not null default 1,
    next_arrival       bigint not null default 1,
    now                timestamptz,
    tick               jsonb,
    falling_due        boolean not null default false,
    recorded_at        timestamptz not null default '-infinity',
    programme_offset   bigint not null default 0,
    eligibility_offset bigint not null default 0,
    issuance_offset    bigint not null default 0,
    redemption_offset  bigint not null default 0,
    digest             bytea not null default decode(repeat('00', 32), 'hex')
) with (fillfactor = 50);
comment on table redress.head is 'One row per shard, compared and set by every batch: the fence against a writer that lost its lease.';

create table redress.lease (
    shard         smallint primary key,
    owner         text,
    lease_until   timestamptz not null default '-infinity',
    backend_pid   integer,
    backend_start timestamptz
) with (fillfactor = 50);
comment on table redress.lease is 'Who serves a shard. The wall clock decides here and nowhere else; safety is the head''s epoch.';

create table redress.worker (
    name       text primary key,
    alive_until timestamptz not null
);
comment on table redress.worker is 'Workers that are alive: shards are shared among them.';

-- The journal.
create table redress.journal (
    shard         smallint    not null,
    seq           bigint      not null,
    batch         bigint      not null,
    prev_seq      bigint,
    record_offset bigint      not null,
    occurred_at   timestamptz not null,
    effective_at  timestamptz not null,
    booked_at     timestamptz,
    closed_at     timestamptz,
    source        integer     not null,
    terms_version integer,
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
    primary key (shard, seq),
    check ((cause_uuid is null) <> (cause_text is null))
) partition by list (shard);
comment on table redress.journal is 'One row per entry, its lines packed inside: see redress.lines_of.';

create table redress.batch (
    shard              smallint    not null,
    batch              bigint      not null,
    first_seq          bigint      not null,
    next_seq           bigint      not null,
    programme_from     bigint      not null,
    eligibility_from   bigint      not null,
    issuance_from      bigint      not null,
    redemption_from    bigint      not null,
    programme_offset   bigint      not null,
    eligibility_offset bigint      not null,
    issuance_offset    bigint      not null,
    redemption_offset  bigint      not null,
    now                timestamptz,
    recorded_at        timestamptz not null,
    rules_version      integer     not null,
    digest             bytea       not null,
    primary key (shard, batch),
    check (next_seq >= first_seq)
);
comment on table redress.batch is 'The shard''s total order: offsets before and after, range of seq, digest chained to the previous batch''s.';

-- State: what the next event meets.
create table redress.programme (
    shard smallint not null,
    code  text     not null,
    seen  bytea    not null,
    primary key (shard, code)
);

create table redress.terms (
    shard     smallint not null,
    programme text     not null,
    version   integer  not null,
    data      jsonb    not null,
    primary key (shard, programme, version)
);

create table redress.wave (
    shard              smallint not null,
    no                 smallint not null,
    programme          text     not null,
    wave               text     not null,
    opened             jsonb    not null,
    granted            bigint   not null,
    refused            bigint   not null,
    withdrawn          bigint   not null,
    enrolled           bigint   not null,
    issued             bigint   not null,
    withdrawn_unissued bigint   not null,
    entitled_amount    numeric  not null,
    issued_amount      numeric  not null,
    primary key (shard, no),
    unique (shard, programme, wave)
) with (fillfactor = 50);

create table redress.issue_cursor (
    shard smallint not null,
    wave  smallint not null,
    seq   bigint   not null,
    primary key (shard, wave)
) with (fillfactor = 50);
comment on table redress.issue_cursor is 'Up to which seq the journal was searched for issuance due in the wave.';

create table redress.lot (
    shard               smallint    not null,
    no                  smallint    not null,
    programme           text        not null,
    wave                text        not null,
    benefit             text        not null,
    service             text        not null,
    amount              bigint      not null,
    currency            text        not null,
    timezone            text        not null,
    terms_version       integer     not null,
    valid_from          timestamptz not null,
    valid_until         timestamptz not null,
    status              text        not null check (status in ('open', 'expired', 'revoked')),
    revoked_at          timestamptz not null,
    booked_at           timestamptz not null,
    reopened_at         timestamptz not null,
    last_line           timestamptz not null,
    vouchers_open       bigint      not null,
    vouchers_held       bigint      not null,
    seq                 bigint      not null,
    entitlement         numeric     not null,
    unclaimed           numeric     not null,
    available           numeric     not null,
    held                numeric     not null,
    programme_grant     numeric     not null,
    redemption_clearing numeric     not null,
    breakage_forfeited  numeric     not null,
    breakage_cancelled  numeric     not null,
    expired_entitlement numeric     not null,
    expired_unclaimed   numeric     not null,
    expired_available   numeric     not null,
    revoked             numeric     not null,
    declined            numeric     not null,
    exception           numeric     not null,
    primary key (shard, no),
    unique (shard, programme, wave, benefit),
    constraint no_negative_liability
        check (entitlement >= 0 and unclaimed >= 0 and available >= 0 and held >= 0),
    constraint balances_sum_to_zero
        check (entitlement + unclaimed + available + held + programme_grant + redemption_clearing
               + breakage_forfeited + breakage_cancelled + expired_entitlement + expired_unclaimed
               + expired_available + revoked + declined + exception = 0),
    constraint closed_lots_owe_holds_only
        check (status = 'open' or (entitlement = 0 and unclaimed = 0 and available = 0))
) with (fillfactor = 50);
comment on table redress.lot is 'A lot as one shard sees it, with the balances of its accounts there (credit positive).';

create table redress.state (
    shard       smallint not null,
    beneficiary uuid     not null,
    last_seq    bigint   not null,
    spilled     integer  not null,
    grants      bytea    not null,
    vouchers    bytea    not null,
    seen        bytea    not null,
    strays      jsonb,
    primary key (shard, beneficiary)
) partition by list (shard);
comment on table redress.state is 'One row per beneficiary: grants, vouchers and the events seen, packed.';

create table redress.seen_spill (
    shard       smallint not null,
    beneficiary uuid     not null,
    identity    bytea    not null,
    fingerprint bytea    not null,
    primary key (shard, beneficiary, identity)
);
comment on table redress.seen_spill is 'Events seen of those few beneficiaries who have too many for their row.';

create table redress.redemption (
    shard       smallint not null,
    beneficiary uuid     not null,
    programme   text     not null collate "C",
    redemption  text     not null collate "C",
    status      text     not null,
    "order"     text,
    service     text,
    expires_at  timestamptz,
    request     jsonb,
    lines       jsonb    not null,
    seq         bigint   not null,
    primary key (shard, beneficiary, programme, redemption)
);
create index redemption_deadline on redress.redemption (shard, expires_at, beneficiary, programme, redemption)
    where status = 'held';
comment on index redress.redemption_deadline is 'Holds in the order in which they time out.';

create table redress.parked (
    shard         smallint    not null,
    arrival       bigint      not null,
    beneficiary   uuid        not null,
    topic         text        not null,
    record_offset bigint      not null,
    key           bytea       not null,
    value         bytea       not null,
    parked_at     timestamptz not null,
    wakes_on      text,
    primary key (shard, arrival)
);
create index parked_beneficiary on redress.parked (shard, beneficiary);
create index parked_wakes_on on redress.parked (shard, wakes_on, arrival) where wakes_on is not null;

create table redress.dead_letter (
    shard            smallint    not null,
    topic            text        not null,
    record_partition integer     not null,
    record_offset    bigint      not null,
    batch            bigint      not null,
    reason           text        not null,
    detail           text        not null,
    type             text,
    wave             text,
    programme        text,
    key              bytea,
    value            bytea,
    size             integer     not null,
    sha256           bytea       not null,
    erased_at        timestamptz,
    primary key (shard, topic, record_offset)
);
comment on table redress.dead_letter is 'What could not be taken, with its bytes: the one place where they can be erased.';

create table redress.stopped (
    shard  smallint primary key,
    since  timestamptz not null default clock_timestamp(),
    reason text        not null check (reason in ('unreadable_records', 'ledger_topic_ahead', 'refused_by_database')),
    detail text        not null
);
comment on table redress.stopped is 'Shards that stand still until somebody resumes them.';

create table redress.relay (
    shard         smallint primary key,
    batch         bigint not null,
    ledger_offset bigint not null
) with (fillfactor = 50);
comment on table redress.relay is 'A hint where in redress.ledger the last published batch marker stands; the topic itself decides.';

-- Roll-ups: lines by lot, posting and day on both axes. One set of rows per shard, so that shards share none.
create table redress.rollup (
    shard         smallint not null,
    lot           smallint not null,
    posting       smallint not null,
    effective_day date     not null,
    recorded_day  date     not null,
    amount        numeric  not null,
    lines         bigint   not null,
    primary key (shard, lot, posting, effective_day, recorded_day)
) with (fillfactor = 70);

create table redress.tally (
    shard   smallint not null,
    kind    smallint not null,
    outcome smallint not null,
    reason  smallint not null,
    entries bigint   not null,
    primary key (shard, kind, outcome, reason)
) with (fillfactor = 70);
comment on table redress.tally is 'Entries by kind, outcome and reason (0: none).';

-- Journal and batch take INSERT and SELECT only, even from their owner.
create function redress.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, tg_op
        using errcode = 'restrict_violation', hint = 'Correct by adding entries.';
end
$$;
create trigger append_only before update or delete on redress.journal
    for each row execute function redress.refuse_change();
create trigger append_only_truncate before truncate on redress.journal
    for each statement execute function redress.refuse_change();
create trigger append_only before update or delete on redress.batch
    for each row execute function redress.refuse_change();
create trigger append_only_truncate before truncate on redress.batch
    for each statement execute function redress.refuse_change();

create function redress.create_shards(shards integer) returns void language plpgsql as $$
begin
    for n in 0 .. shards - 1 loop
        execute format('create table redress.journal_%s partition of redress.journal for values in (%s)', n, n);
        -- A parent's statement triggers do not fire for a TRUNCATE of its partition.
        execute format('create trigger append_only_truncate before truncate on redress.journal_%s '
                       'for each statement execute function redress.refuse_change()', n);
        -- Half of each page is left free, so that a beneficiary's row grows and changes in place (HOT).
        execute format('create table redress.state_%s partition of redress.state for values in (%s) '
                       'with (fillfactor = 50)', n, n);
    end loop;
    insert into redress.head (shard) select generate_series(0, shards - 1);
    insert into redress.lease (shard) select generate_series(0, shards - 1);
end
$$;

-- Roles are the cluster's, not the database's: another ledger beside this one may have made them.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['redress_writer', 'redress_finance'] loop
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end
$$;
grant usage on schema redress to redress_writer;
grant select on all tables in schema redress to redress_writer;
grant insert on redress.journal, redress.batch, redress.source, redress.terms to redress_writer;
grant insert, update on redress.issue_cursor, redress.relay, redress.programme, redress.wave, redress.lot, redress.state, redress.redemption, redress.rollup,
    redress.tally to redress_writer;
grant insert, update, delete on redress.parked to redress_writer;
grant insert, delete on redress.seen_spill to redress_writer;
grant insert on redress.dead_letter, redress.stopped to redress_writer;
grant update on redress.head to redress_writer;
