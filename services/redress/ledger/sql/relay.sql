-- relay_hint: where the last published marker was seen
select batch, ledger_offset from redress.relay where shard = $1;

-- move_relay_hint: a marker was published there
insert into redress.relay (shard, batch, ledger_offset)
values ($1, $2, $3)
on conflict (shard) do update set batch = excluded.batch, ledger_offset = excluded.ledger_offset;

-- batch_digest: the digest of a batch
select digest from redress.batch where shard = $1 and batch = $2;

-- relay_lot_terms: what the numbers of lots in packed rows stand for
select no, programme, wave, benefit, service, currency from redress.lot where shard = $1;

-- relay_batches: batches not yet published, in order, and whether there are dead letters of one
select batch, first_seq, next_seq, programme_offset, eligibility_offset, issuance_offset, redemption_offset,
       recorded_at, rules_version, digest,
       exists (select from redress.dead_letter as letter where letter.shard = $1 and letter.batch = batch.batch) as letters
from redress.batch
where shard = $1 and batch > $2
order by batch
limit $3;

-- relay_entries: entries of those batches, in order, each with the vouchers of its beneficiary if it is the last one
select journal.*, source.source as source_text, person.last_seq, person.vouchers
from redress.journal
join redress.source on source.no = journal.source
left join lateral (
    select state.last_seq, state.vouchers
    from redress.state
    where state.shard = $1 and state.beneficiary = journal.beneficiary and state.last_seq = journal.seq
    offset 0  -- sought one by one by their key, whatever was thought of the number of entries
) as person on true
where journal.shard = $1 and journal.seq >= $2 and journal.seq < $3
order by journal.seq;

-- relay_orders: orders of redemptions that entries name without
select beneficiary, programme, redemption, "order"
from redress.redemption
where shard = $1
  and (beneficiary, programme, redemption) in (select * from unnest($2::uuid[], $3::text[], $4::text[]))
  and "order" is not null;

-- relay_lots: lots whose own state changed by those entries, as they are now
select programme, wave, benefit, service, status, valid_from, valid_until, terms_version, seq,
       (select traceparent from redress.journal where journal.shard = $1 and journal.seq = lot.seq) as traceparent
from redress.lot
where shard = $1 and seq >= $2 and seq < $3 and wave <> 'unknown'
order by no;

-- relay_dead_letters: what those batches could not take
select topic, record_partition, record_offset, reason, detail, size, sha256
from redress.dead_letter
where shard = $1 and batch > $2 and batch <= $3
order by batch, topic, record_offset;

-- request_re_emission: publish these shards' balances again; one that is under way goes on
insert into redress.re_emission (shard)
select unnest($1::smallint[])
on conflict (shard) do update
set requested_at = excluded.requested_at, reached = excluded.reached, people = 0, done_at = null
where re_emission.done_at is not null;

-- re_emissions: how far those are
select shard, requested_at, reached, people, done_at from redress.re_emission order by shard;

-- re_emission_asked: what is still to be done of one
select requested_at, reached from redress.re_emission where shard = $1 and done_at is null;

-- move_re_emission: a group was published; of another request, or one that is done, nothing is noted
update redress.re_emission
set reached = $3, people = people + $4, done_at = case when $5 then clock_timestamp() end
where shard = $1 and requested_at = $2 and done_at is null;

-- published_batch: where a batch ends
select next_seq, recorded_at from redress.batch where shard = $1 and batch = $2;

-- re_emission_people: the next beneficiaries by id, as they stand
select beneficiary, last_seq, vouchers
from redress.state
where shard = $1 and beneficiary > $2 and last_seq < $3
order by beneficiary
limit $4;
