-- read_entries: a shard's entries with what names their sources, in order, from one seq up to before another
select journal.*, source.source as source_name
from redress.journal
join redress.source on source.no = journal.source
where shard = $1 and seq >= $2 and seq < $3
order by seq;

-- read_batches: a shard's batches in order
select batch, first_seq, next_seq, programme_offset, eligibility_offset, issuance_offset, redemption_offset, recorded_at,
       rules_version, digest
from redress.batch
where shard = $1
order by batch;

-- read_lots: a shard's lots by number, with their currencies
select no, programme, wave, benefit, currency from redress.lot where shard = $1 order by no;

-- read_shards: all shards
select shard from redress.head order by shard;

-- live_state: beneficiaries of a shard
select beneficiary, last_seq, spilled, grants, vouchers, seen, strays from redress.state where shard = $1;

-- live_spill: events seen that were moved out of their beneficiary's row
select beneficiary, identity, fingerprint from redress.seen_spill where shard = $1;

-- live_parked: events that wait
select arrival, beneficiary, topic, record_offset, key, value from redress.parked where shard = $1 order by arrival;

-- live_redemption: redemptions of a shard
select beneficiary, programme, redemption, status, "order", service, expires_at, lines, seq, request
from redress.redemption
where shard = $1;

-- live_lot: lots of a shard
select no, programme, wave, benefit, service, amount, currency, timezone, terms_version, valid_from, valid_until, status,
       revoked_at, booked_at, reopened_at, last_line, vouchers_open, vouchers_held, seq, entitlement::bigint,
       unclaimed::bigint, available::bigint, held::bigint, programme_grant::bigint, redemption_clearing::bigint,
       breakage_forfeited::bigint, breakage_cancelled::bigint, expired_entitlement::bigint, expired_unclaimed::bigint,
       expired_available::bigint, revoked::bigint, declined::bigint, exception::bigint
from redress.lot
where shard = $1;

-- live_wave: waves of a shard
select no, programme, wave, opened, granted, refused, withdrawn, enrolled, issued, withdrawn_unissued,
       entitled_amount::bigint, issued_amount::bigint
from redress.wave
where shard = $1;

-- live_programme: programmes of a shard
select code, seen from redress.programme where shard = $1;

-- live_terms: versions of terms in a shard
select programme, version, data from redress.terms where shard = $1;

-- live_next_seq: the head's next seq
select next_seq from redress.head where shard = $1;

-- has_ledger: null where nothing was migrated
select to_regclass('redress.ledger');
