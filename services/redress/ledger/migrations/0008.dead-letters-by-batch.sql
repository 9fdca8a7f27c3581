-- depends: 0004.refused-by-database
-- The relay asks of each batch whether it has dead letters, and of those that have for theirs.
create index dead_letter_batch on redress.dead_letter (shard, batch);
