"""Batches of few entries, as nearly all are while people wait at a checkout: written by one statement.

Each statement costs a round trip and a plan, and COPY two round trips: for a handful of entries far more than writing
them. A large batch goes the other way, in which rows cost less and statements do not count.
"""

from operator import itemgetter
from typing import Any, Final

from redress.ledger.batch import BatchRows
from redress.ledger.entry_rows import COLUMNS
from redress.ledger.person_rows import REDEMPTION_COLUMNS, STATE_COLUMNS

JOURNAL_TYPE: Final = (
    "seq",
    "record_offset",
    "occurred_at",
    "effective_at",
    "prev_seq",
    "booked_at",
    "closed_at",
    "batch",
    "source",
    "terms_version",
    "shard",
    "kind",
    "outcome",
    "reason",
    "beneficiary",
    "cause_uuid",
    "cause_text",
    "fingerprint",
    "redemption",
    "traceparent",
    "strays",
    "balances",
    "detail",
    "lines",
)
"""Columns as the table has them, which a row given as a value follows."""
STATE_TYPE: Final = ("last_seq", "spilled", "shard", "beneficiary", "grants", "vouchers", "seen", "strays")
REDEMPTION_TYPE: Final = (
    "shard",
    "beneficiary",
    "programme",
    "redemption",
    "status",
    "order",
    "service",
    "expires_at",
    "request",
    "lines",
    "seq",
)
_as_entry: Final = itemgetter(*map(COLUMNS.index, JOURNAL_TYPE))
_as_state: Final = itemgetter(*map(STATE_COLUMNS.index, STATE_TYPE))
_as_redemption: Final = itemgetter(*map(("shard", *REDEMPTION_COLUMNS).index, REDEMPTION_TYPE))


def few_rows(work: BatchRows) -> list[tuple[str, list[list[Any]]]]:
    """What COPY writes of other batches, and the lines' sums, as statements with their parameters."""
    rolled_up = [("roll_up_few", work.rollups)] if work.rollups else []
    added = (
        ("add_entries", _as_entry, work.few_entries),
        ("add_states", _as_state, work.new_states),
        ("add_redemptions", _as_redemption, work.new_redemptions),
    )
    return [(name, [[turned(row) for row in rows]]) for name, turned, rows in added if rows] + rolled_up
