-- announce: a worker is alive
insert into redress.worker (name, alive_until)
values ($1, now() + make_interval(secs => $2))
on conflict (name) do update set alive_until = excluded.alive_until;

-- leave: a worker stops, and its shards are free
with gone as (delete from redress.worker where name = $1)
update redress.lease set owner = null, lease_until = '-infinity' where owner = $1;

-- forget_dead: workers that have been gone for an hour
delete from redress.worker where alive_until < now() - interval '1 hour';

-- survey: how many workers are alive, what this one owns, and what is free
select (select count(*) from redress.worker where alive_until >= now()) as workers,
       (select count(*) from redress.lease) as shards,
       (select coalesce(array_agg(shard order by shard), '{}') from redress.lease
        where owner = $1 and lease_until >= now()) as own,
       (select coalesce(array_agg(shard order by shard), '{}') from redress.lease
        where lease_until < now()) as free;

-- take: one free shard, if it still is free; tells the backend its last owner wrote with
update redress.lease
set owner = $2,
    lease_until = now() + make_interval(secs => $3)
from (select shard, backend_pid, backend_start from redress.lease where shard = $1 and lease_until < now() for update)
     as before
where lease.shard = before.shard
returning before.backend_pid, before.backend_start;

-- terminate: a backend that an owner before us wrote with, and no other that got its pid since
select pg_terminate_backend(pid, 5000)
from pg_stat_activity
where pid = $1 and backend_start = $2 and pid <> pg_backend_pid();

-- bump_epoch: from here on only this owner's batches are taken
update redress.head set epoch = epoch + 1 where shard = $1 returning epoch;

-- write_backend: the connection this owner writes with
update redress.lease
set backend_pid = $3,
    backend_start = (select backend_start from pg_stat_activity where pid = $3)
where shard = $1 and owner = $2;

-- renew: keep the shards this worker still owns
update redress.lease
set lease_until = now() + make_interval(secs => $3)
where owner = $1 and shard = any($2::smallint[]) and lease_until >= now()
returning shard;

-- give_back: shards handed to others, at once
update redress.lease
set owner = null, lease_until = '-infinity'
where owner = $1 and shard = any($2::smallint[]);
