-- differ_programme: what of the live rows is not as rebuilt
insert into difference (name, key, problem)
select 'programme', code,
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.programme where shard = $1) as l
full join rebuilt_programme as r using (shard, code)
where l is distinct from r;

-- differ_terms: what of the live rows is not as rebuilt
insert into difference (name, key, problem)
select 'terms', format('%s version %s', programme, version),
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.terms where shard = $1) as l
full join rebuilt_terms as r using (shard, programme, version)
where l is distinct from r;

-- differ_wave: what of the live rows is not as rebuilt
insert into difference (name, key, problem)
select 'wave', format('%s %s/%s', no, coalesce(l.programme, r.programme), coalesce(l.wave, r.wave)),
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.wave where shard = $1) as l
full join rebuilt_wave as r using (shard, no)
where l is distinct from r;

-- differ_lot: what of the live rows is not as rebuilt
insert into difference (name, key, problem)
select 'lot', format('%s %s/%s/%s', no, coalesce(l.programme, r.programme), coalesce(l.wave, r.wave), coalesce(l.benefit, r.benefit)),
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.lot where shard = $1) as l
full join rebuilt_lot as r using (shard, no)
where l is distinct from r;

-- differ_rollup: what of the live rows is not as rebuilt
insert into difference (name, key, problem)
select 'rollup', format('lot %s posting %s on %s, recorded %s', lot, posting, effective_day, recorded_day),
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.rollup where shard = $1) as l
full join rebuilt_rollup as r using (shard, lot, posting, effective_day, recorded_day)
where l is distinct from r;

-- differ_tally: what of the live rows is not as rebuilt
insert into difference (name, key, problem)
select 'tally', format('kind %s outcome %s reason %s', kind, outcome, reason),
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.tally where shard = $1) as l
full join rebuilt_tally as r using (shard, kind, outcome, reason)
where l is distinct from r;

-- differ_redemption: what of the live rows is not as rebuilt
insert into difference (name, key, beneficiary, problem)
select 'redemption', format('%s/%s of %s', programme, redemption, beneficiary), beneficiary,
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.redemption where shard = $1) as l
full join rebuilt_redemption as r using (shard, beneficiary, programme, redemption)
where (l.status, l."order", l.service, l.expires_at, l.seq, l.request::jsonb, l.lines::jsonb)
      is distinct from (r.status, r."order", r.service, r.expires_at, r.seq, r.request, r.lines);

-- differ_state: what of the live rows is not as rebuilt. Which of the events seen stand in the row and which are spilled may differ
insert into difference (name, key, beneficiary, problem)
select 'state', beneficiary::text, beneficiary,
       case when l is null then 'missing' when r is null then 'the journal knows of none' else 'not what the journal says' end
from (select * from redress.state where shard = $1) as l
full join rebuilt_state as r using (shard, beneficiary)
full join (
    select beneficiary, count(*) as events from redress.seen_spill where shard = $1 group by beneficiary
) as apart using (beneficiary)
where case
    -- a person of whom nothing is left but an empty row: what was parked ended as a dead letter
    when r is null and apart is null
        then l.last_seq <> 0 or l.grants <> '' or l.vouchers <> '' or l.seen <> '' or l.strays is not null
    when (l.last_seq, l.grants, l.vouchers, l.strays) is distinct from (r.last_seq, r.grants, r.vouchers, r.strays) then true
    when l.seen = r.seen and l.spilled = 0 and r.spilled = 0 and apart is null then false
    else coalesce(apart.events, 0) > l.spilled or (
        select array_agg(s order by s)
        from (
            select identity, fingerprint from redress.seen_of(l.seen)
            union
            select identity, fingerprint from redress.seen_spill as other
            where other.shard = $1 and other.beneficiary = l.beneficiary
        ) as s
    ) is distinct from (
        select array_agg(s order by s)
        from (
            select identity, fingerprint from redress.seen_of(r.seen)
            union
            select identity, fingerprint from rebuilt_seen_spill as other where other.beneficiary = r.beneficiary
        ) as s
    )
end;

-- read_differences: by table how many there are, and the first
select name, count(*) as wrong, (array_agg(key || ': ' || problem order by key))[1:$1::integer] as problems
from difference
group by name
order by name;
