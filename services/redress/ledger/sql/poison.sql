-- stop_shard: the shard stands still until somebody resumes it
insert into redress.stopped (shard, reason, detail) values ($1, $2, $3) on conflict (shard) do nothing;

-- is_stopped: whether the shard stands still
select exists (select from redress.stopped where shard = $1);

-- resume_shard: somebody looked, and lets the shard go on
delete from redress.stopped where shard = $1 returning since, reason, detail;

-- list_dead_letters: what could not be taken, newest first
select shard, topic, record_partition, record_offset, letter.batch, reason, detail, type, size,
       encode(sha256, 'hex') as sha256, erased_at, batch.recorded_at
from redress.dead_letter as letter
join redress.batch using (shard, batch)
where ($1::text is null or reason = $1) and ($2::smallint is null or shard = $2)
order by batch.recorded_at desc, topic, record_partition, record_offset desc
limit $3;

-- count_dead_letters_like: how many there are in all of those
select count(*) as letters
from redress.dead_letter
where ($1::text is null or reason = $1) and ($2::smallint is null or shard = $2);

-- show_dead_letter: one, with its bytes; a record is read by the shard of its partition's number
select shard, topic, record_partition, record_offset, letter.batch, reason, detail, type, size,
       encode(sha256, 'hex') as sha256, erased_at, batch.recorded_at, key, value
from redress.dead_letter as letter
join redress.batch using (shard, batch)
where shard = $1 and topic = $2 and record_offset = $3;

-- erase_dead_letter: the bytes go; that there was a record, and why it could not be taken, stays
update redress.dead_letter
set key = null, value = null, erased_at = now()
where shard = $1 and topic = $2 and record_offset = $3 and erased_at is null
returning erased_at;
