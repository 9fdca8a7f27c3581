-- depends: 0006.redemption
-- What a rebuild needs to write state as sets: the inverse of `vouchers_of` and `grants_of`, and what else of it is bytes.

create function redress.whole_voucher(lot smallint, flags integer, account integer, amount bigint, version bigint,
                                      last_us bigint) returns bytea
    language sql immutable parallel safe
    return int4send(lot::integer * 65536 + flags * 256 + account) || int4send(amount::integer)
           || substring(int8send(version) from 4) || substring(int8send(last_us) from 2);
create function redress.split_voucher(lot smallint, flags integer, version bigint, last_us bigint,
                                      withdrawn_amount bigint, entitlement bigint, unclaimed bigint, available bigint,
                                      held bigint, redeemed bigint, forfeited bigint, cancelled bigint,
                                      declined bigint, revoked bigint) returns bytea
    language sql immutable parallel safe
    return int2send(lot) || set_byte('\x00', 0, flags)
           || int8send(version) || int8send(last_us) || int8send(withdrawn_amount) || int8send(entitlement)
           || int8send(unclaimed) || int8send(available) || int8send(held) || int8send(redeemed)
           || int8send(forfeited) || int8send(cancelled) || int8send(declined) || int8send(revoked);
create function redress.fits_whole(amount bigint, version bigint, last_us bigint, withdrawn_amount bigint) returns boolean
    language sql immutable parallel safe
    return amount between 1 and 2147483647 and version <= 1099511627775 and last_us between 0 and 36028797018963967
           and withdrawn_amount = 0;
comment on function redress.whole_voucher is 'A voucher whose whole amount stands in one account, as redress.vouchers_of opens it.';
comment on function redress.split_voucher is 'Any other voucher, as redress.vouchers_of opens it.';
comment on function redress.fits_whole is 'Whether a voucher that stands in one account fits the narrow form.';

create function redress.packed_grant(wave smallint, former_member boolean, refused boolean, enrolled boolean,
                                     withdrawn boolean, issued boolean, due_seq bigint, due_us bigint) returns bytea
    language sql immutable parallel safe
    return int2send(wave)
           || set_byte('\x00', 0, former_member::integer + refused::integer * 2 + enrolled::integer * 4
                                  + withdrawn::integer * 8 + issued::integer * 16)
           || int8send(coalesce(due_seq, 0)) || int8send(coalesce(due_us, -4611686018427387904));
comment on function redress.packed_grant is 'A grant as redress.grants_of opens it.';

-- Not immutable, as text to bytes is only stable: declared more than what it calls, it would not be inlined, and cost thrice.
create function redress.packed_seen(source text, cause_uuid uuid, cause_text text, fingerprint bytea) returns bytea
    language sql stable parallel safe
    return substring(sha256(convert_to(source || E'\n' || coalesce(cause_text, cause_uuid::text), 'UTF8')) from 1 for 8)
           || substring(fingerprint from 1 for 4);
create function redress.seen_of(seen bytea)
    returns table (identity bytea, fingerprint bytea)
    language sql immutable parallel safe rows 4
    as $$
        select substring(seen from n * 12 + 1 for 8), substring(seen from n * 12 + 9 for 4)
        from generate_series(0, octet_length(seen) / 12 - 1) as n
    $$;
comment on function redress.packed_seen is 'That an event was seen: 8 bytes of SHA-256 over its source and id, 4 of its fingerprint.';
comment on function redress.seen_of is 'The events seen, as redress.packed_seen wrote them, oldest first.';

create function redress.voucher_hash(programme text, wave text, beneficiary uuid, benefit text) returns bytea
    language sql stable parallel safe
    return sha256(convert_to(programme || '/' || wave || '/' || beneficiary::text || '/' || benefit, 'UTF8'));
create function redress.voucher_id_by_hash(beneficiary uuid, hash bytea) returns uuid
    language sql immutable parallel safe
    return encode(substring(uuid_send(beneficiary) from 1 for 6)
                  || set_byte(set_byte(substring(hash from 1 for 10), 0, 128 | (get_byte(hash, 0) & 15)),
                              2, 128 | (get_byte(hash, 2) & 63)), 'hex')::uuid;
comment on function redress.voucher_id_by_hash is
    'As redress.voucher_id, in two steps that are inlined, and cost a tenth: the hash must be a column, not an expression.';

create function redress.microseconds(at timestamptz) returns bigint
    language sql immutable parallel safe
    return timestamptz_send(at)::bigint + 946684800000000;
comment on function redress.microseconds is 'Since 1970: what packed bytes hold of an instant. Postgres counts from 2000.';

-- sum(bigint) is numeric, which costs five times as much.
create aggregate redress.total(bigint) (sfunc = int8pl, stype = bigint, initcond = '0', combinefunc = int8pl, parallel = safe);
comment on aggregate redress.total(bigint) is 'A sum that is an error where it leaves bigint.';
