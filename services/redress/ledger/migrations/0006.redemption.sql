-- depends: 0005.narrow-rows
-- Redemptions are written and read whole, and looked into by hand or by `verify` alone: text costs neither side a
-- conversion. Requests by place, not by name: [order, service, time, outcome, reason, [[voucher, amount], …]], with the
-- time in microseconds since 1970 UTC.

alter table redress.redemption
    alter column request type json using case when request is not null then json_build_array(
        request -> 'order', request -> 'service',
        (extract(epoch from (request ->> 'time')::timestamptz) * 1000000)::bigint,
        request -> 'outcome', request -> 'reason', request -> 'lines') end,
    alter column lines type json using lines::json;
