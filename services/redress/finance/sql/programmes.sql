-- terms: every version of a programme's terms, or of all; shard 0 has what every shard has
select programme, version, data
from redress.terms
where shard = 0 and ($1::text is null or programme = $1)
order by programme, version;

-- waves: waves with what was opened, in the order in which they came, which is that of their numbers; from one on, so many
select no, programme, wave, opened
from redress.wave
where shard = 0 and ($1::text is null or programme = $1) and no >= $2
order by no
limit $3::bigint;

-- lots: the state of each lot; extended or lapsed in some shards only while those are behind
select programme, wave, benefit, service, amount, currency, min(valid_from) as valid_from,
       min(valid_until) as valid_until,
       case when count(distinct status) = 1 then min(status) else 'changing' end as status, terms_version
from redress.lot
where wave <> 'unknown' and ($1::text is null or programme = $1) and ($2::text[] is null or wave = any($2))
group by programme, wave, benefit, service, amount, currency, terms_version
order by programme, wave, min(no);

-- funnel: a wave's people as the ledger has them
select granted, refused, withdrawn, enrolled, issued, entitled_amount::bigint as entitled_amount,
       issued_amount::bigint as issued_amount, expected_beneficiaries, expected_amount
from finance.wave
where programme = $1 and wave = $2;

-- grant_letters: dead letters that are grants of the wave, and those of their topic that could not be read so far as to know
select type, key, value
from redress.dead_letter
where topic = 'redress.eligibility'
  and (type is null or (type = 'redress.eligibility.granted.v1' and programme = $1 and wave = $2));

-- granted_among: of these people, those whom the wave has granted or refused
select state.beneficiary
from redress.head
join redress.state on state.shard = head.shard
cross join lateral redress.grants_of(state.grants) as g
join redress.wave on wave.shard = state.shard and wave.no = g.wave
where wave.programme = $1 and wave.wave = $2 and state.beneficiary = any($3::uuid[]);

-- programme_list: programmes with what every figure of theirs needs
select distinct programme, timezone, currency
from redress.lot
where shard = 0 and ($1::text is null or programme = $1)
order by programme;

-- wave_programmes: programmes that have a wave of this name
select programme from redress.wave where shard = 0 and wave = $1 order by programme;
