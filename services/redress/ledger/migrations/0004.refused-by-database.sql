-- depends: 0003.re-emission
-- A shard may stop because its database refuses what fell due.

alter table redress.stopped
    drop constraint stopped_reason_check,
    add constraint stopped_reason_check
        check (reason in ('unreadable_records', 'ledger_topic_ahead', 'refused_by_database'));
