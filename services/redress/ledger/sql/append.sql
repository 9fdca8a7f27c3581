-- compare_and_set_head: the fence: moves the head on if it is still this writer's, and takes the moment of recording (a replay copies it)
update redress.head
set batch = batch + 1,
    next_seq = $4,
    next_arrival = $5,
    now = $6,
    tick = $7,
    falling_due = $13,
    recorded_at = coalesce($12, greatest(clock_timestamp(), recorded_at + interval '1 microsecond')),
    programme_offset = $8,
    eligibility_offset = $9,
    issuance_offset = $10,
    redemption_offset = $11
where shard = $1 and epoch = $2 and batch = $3
returning recorded_at;

-- append_batch: the batch row, and its digest on the head
with appended as (
    insert into redress.batch (shard, batch, first_seq, next_seq, programme_from, eligibility_from, issuance_from,
                               redemption_from, programme_offset, eligibility_offset, issuance_offset,
                               redemption_offset, now, recorded_at, rules_version, digest)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
)
update redress.head set digest = $16 where shard = $1;

-- lock_head: settles an unknown outcome: waits for whoever may still be committing, then tells where the head stands
select batch, digest, epoch from redress.head where shard = $1 for update;

-- add_sources: numbers for sources that have none yet
insert into redress.source (source)
select unnest($1::text[])
on conflict (source) do nothing;

-- find_sources: numbers of sources
select source, no from redress.source where source = any($1::text[]);

-- put_programmes: events seen of programmes that had a control event
insert into redress.programme (shard, code, seen)
select $1, * from unnest($2::text[], $3::bytea[])
on conflict (shard, code) do update set seen = excluded.seen;

-- put_terms: versions published in this batch
insert into redress.terms (shard, programme, version, data)
select $1, * from unnest($2::text[], $3::integer[], $4::jsonb[])
on conflict (shard, programme, version) do nothing;

-- put_waves: waves that were opened or whose counts changed
insert into redress.wave (shard, no, programme, wave, opened, granted, refused, withdrawn, enrolled, issued,
                          withdrawn_unissued, entitled_amount, issued_amount)
select $1, * from unnest($2::smallint[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[], $7::bigint[], $8::bigint[],
                         $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
on conflict (shard, no) do update
set granted = excluded.granted,
    refused = excluded.refused,
    withdrawn = excluded.withdrawn,
    enrolled = excluded.enrolled,
    issued = excluded.issued,
    withdrawn_unissued = excluded.withdrawn_unissued,
    entitled_amount = excluded.entitled_amount,
    issued_amount = excluded.issued_amount;

-- put_lots: lots whose state or balances changed, by number
insert into redress.lot (shard, no, programme, wave, benefit, service, amount, currency, timezone, terms_version,
                         valid_from, valid_until, status, revoked_at, booked_at, reopened_at, last_line, vouchers_open,
                         vouchers_held, seq, entitlement, unclaimed, available, held, programme_grant,
                         redemption_clearing, breakage_forfeited, breakage_cancelled, expired_entitlement,
                         expired_unclaimed, expired_available, revoked, declined, exception)
select $1, * from unnest($2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
                         $9::text[], $10::integer[], $11::timestamptz[], $12::timestamptz[], $13::text[],
                         $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::bigint[],
                         $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[],
                         $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[], $30::bigint[],
                         $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[])
on conflict (shard, no) do update
set valid_until = excluded.valid_until,
    status = excluded.status,
    revoked_at = excluded.revoked_at,
    booked_at = excluded.booked_at,
    reopened_at = excluded.reopened_at,
    last_line = excluded.last_line,
    vouchers_open = excluded.vouchers_open,
    vouchers_held = excluded.vouchers_held,
    seq = excluded.seq,
    entitlement = excluded.entitlement,
    unclaimed = excluded.unclaimed,
    available = excluded.available,
    held = excluded.held,
    programme_grant = excluded.programme_grant,
    redemption_clearing = excluded.redemption_clearing,
    breakage_forfeited = excluded.breakage_forfeited,
    breakage_cancelled = excluded.breakage_cancelled,
    expired_entitlement = excluded.expired_entitlement,
    expired_unclaimed = excluded.expired_unclaimed,
    expired_available = excluded.expired_available,
    revoked = excluded.revoked,
    declined = excluded.declined,
    exception = excluded.exception;

-- move_states: beneficiaries that the ledger knew, as the batch leaves them
update redress.state
set last_seq = moved.last_seq,
    spilled = moved.spilled,
    grants = moved.grants,
    vouchers = moved.vouchers,
    seen = moved.seen,
    strays = moved.strays
from unnest($2::text[]::uuid[], $3::bigint[], $4::integer[], $5::bytea[], $6::bytea[], $7::bytea[], $8::jsonb[])
     as moved (beneficiary, last_seq, spilled, grants, vouchers, seen, strays)
where state.shard = $1 and state.beneficiary = moved.beneficiary;

-- move_vouchers: the same of those of whom nothing changed but vouchers and events seen
update redress.state
set last_seq = moved.last_seq,
    vouchers = moved.vouchers,
    seen = moved.seen
from unnest($2::text[]::uuid[], $3::bigint[], $4::bytea[], $5::bytea[]) as moved (beneficiary, last_seq, vouchers, seen)
where state.shard = $1 and state.beneficiary = moved.beneficiary;

-- spill_seen: events seen that no longer fit their beneficiary's row
insert into redress.seen_spill (shard, beneficiary, identity, fingerprint)
select $1, * from unnest($2::uuid[], $3::bytea[], $4::bytea[])
on conflict do nothing;

-- unspill: events that are seen no more, because they were dead-lettered in the end
delete from redress.seen_spill
where shard = $1 and (beneficiary, identity) in (select * from unnest($2::uuid[], $3::bytea[]));

-- change_redemptions: redemptions that were there before the batch, by key; what was asked at first never changes
insert into redress.redemption (shard, beneficiary, programme, redemption, status, "order", service, expires_at, lines, seq)
select $1, * from unnest($2::text[]::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
                         $9::json[], $10::bigint[])
on conflict (shard, beneficiary, programme, redemption) do update
set status = excluded.status,
    "order" = excluded."order",
    service = excluded.service,
    expires_at = excluded.expires_at,
    lines = excluded.lines,
    seq = excluded.seq;

-- park: events that wait
insert into redress.parked (shard, arrival, beneficiary, topic, record_offset, key, value, parked_at, wakes_on)
select $1, * from unnest($2::bigint[], $3::uuid[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[],
                         $8::timestamptz[], $9::text[]);

-- wait_otherwise: parked events that now wait for something else
update redress.parked
set wakes_on = changed.wakes_on
from unnest($2::bigint[], $3::text[]) as changed (arrival, wakes_on)
where parked.shard = $1 and parked.arrival = changed.arrival;

-- unpark: events that wait no more
delete from redress.parked where shard = $1 and arrival = any($2::bigint[]);

-- dead_letter: what could not be taken, with its bytes
insert into redress.dead_letter (shard, topic, record_partition, record_offset, batch, reason, detail, type, programme,
                                 wave, key, value, size, sha256)
select $1, * from unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                         $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::integer[], $14::bytea[])
on conflict do nothing;

-- roll_up: lines of the batch by lot, posting and day on both axes
insert into redress.rollup (shard, lot, posting, effective_day, recorded_day, amount, lines)
select $1, line.lot, line.posting, line.effective_day, ($2::timestamptz at time zone lot.timezone)::date, line.amount,
       line.lines
from unnest($3::smallint[], $4::smallint[], $5::date[], $6::bigint[], $7::bigint[])
     as line (lot, posting, effective_day, amount, lines)
join redress.lot on lot.shard = $1 and lot.no = line.lot
on conflict (shard, lot, posting, effective_day, recorded_day) do update
set amount = rollup.amount + excluded.amount,
    lines = rollup.lines + excluded.lines;

-- count_entries: entries of the batch by kind, outcome and reason
insert into redress.tally (shard, kind, outcome, reason, entries)
select $1, * from unnest($2::smallint[], $3::smallint[], $4::smallint[], $5::bigint[])
on conflict (shard, kind, outcome, reason) do update set entries = tally.entries + excluded.entries;
