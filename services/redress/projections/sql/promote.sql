-- drop_terms: make room
delete from redress.terms where shard = $1;

-- put_terms: the rebuilt rows
insert into redress.terms select * from rebuilt_terms;

-- drop_programme: make room
delete from redress.programme where shard = $1;

-- put_programme: the rebuilt rows
insert into redress.programme select * from rebuilt_programme;

-- drop_wave: make room
delete from redress.wave where shard = $1;

-- put_wave: the rebuilt rows
insert into redress.wave select * from rebuilt_wave;

-- drop_lot: make room
delete from redress.lot where shard = $1;

-- put_lot: the rebuilt rows
insert into redress.lot select * from rebuilt_lot;

-- drop_rollup: make room
delete from redress.rollup where shard = $1;

-- put_rollup: the rebuilt rows
insert into redress.rollup select * from rebuilt_rollup;

-- drop_tally: make room
delete from redress.tally where shard = $1;

-- put_tally: the rebuilt rows
insert into redress.tally select * from rebuilt_tally;

-- drop_redemption: of people of whom one is wrong
delete from redress.redemption
where shard = $1 and beneficiary in (select beneficiary from difference where name = 'redemption');

-- put_redemption: theirs, rebuilt
insert into redress.redemption
select * from rebuilt_redemption where beneficiary in (select beneficiary from difference where name = 'redemption');

-- drop_state: of people whose row is wrong
delete from redress.state where shard = $1 and beneficiary in (select beneficiary from difference where name = 'state');

-- put_state: theirs, rebuilt
insert into redress.state
select * from rebuilt_state where beneficiary in (select beneficiary from difference where name = 'state');

-- drop_seen_spill: with their rows
delete from redress.seen_spill where shard = $1 and beneficiary in (select beneficiary from difference where name = 'state');

-- put_seen_spill: theirs, rebuilt
insert into redress.seen_spill
select * from rebuilt_seen_spill where beneficiary in (select beneficiary from difference where name = 'state');

-- search_anew: issuance looked at rows that were wrong; what it publishes again has no effect
delete from redress.issue_cursor where shard = $1;
