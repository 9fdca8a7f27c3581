-- progress: how far every shard has come
select shard, programme_offset, eligibility_offset, issuance_offset, redemption_offset, falling_due, next_seq
from redress.head
order by shard;

-- outstanding_now: what is owed in all, in minor units
select coalesce(sum(outstanding), 0)::bigint as outstanding from finance.outstanding_liability;

-- awaiting_issue: people who are entitled and have no vouchers yet
select coalesce(sum(granted - issued - withdrawn), 0)::bigint as people from finance.wave;

-- movement_totals: everything that was ever moved, by movement
select movement, sum(amount)::bigint as amount from finance.roll_forward group by movement order by movement;

-- refusals: entries refused, by reason
select reason.name as reason, sum(tally.entries)::bigint as entries
from redress.tally
join redress.reason on reason.code = tally.reason
join redress.outcome on outcome.code = tally.outcome
where outcome.name = 'refused'
group by reason.name
order by reason.name;

-- granted_people: people granted, by wave
select wave, granted from finance.wave order by wave;

-- count_dead_letters: records that could not be taken
select count(*) as letters from redress.dead_letter;
