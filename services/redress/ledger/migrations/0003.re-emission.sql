-- depends: 0002.finance
-- Balances that somebody wants published again, and how far the shard's relay is with it.

create table redress.re_emission (
    shard        smallint primary key,
    requested_at timestamptz not null default clock_timestamp(),
    reached      uuid        not null default '00000000-0000-0000-0000-000000000000',
    people       bigint      not null default 0,
    done_at      timestamptz
) with (fillfactor = 50);
comment on table redress.re_emission is 'Balances to be published again: asked for by whom may insert, done by the shard''s relay up to beneficiary `reached`.';

grant select, update on redress.re_emission to redress_writer;
