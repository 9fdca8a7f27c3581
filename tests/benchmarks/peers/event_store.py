"""The `eventsourcing` library: `python -m tests.benchmarks.peers.event_store FIRST END`.

An aggregate per person, its four vouchers in the JSON of one event; fifty aggregates to a save. No balances, no double
entry. It says `ready`, waits for a line, and says `done` when it has saved all. Settings are in the
environment: POSTGRES_…
"""

import sys
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from tests.benchmarks import people
from tests.benchmarks.peers.events import IssuedEvent, decode

AGGREGATES_OF_A_SAVE = 50
PROCESSES = 4


class Issue(Aggregate):
    """What one person was issued."""

    @event("Issued")
    def __init__(self, beneficiary: str, vouchers: list[list[str | int]]) -> None:
        self.beneficiary = beneficiary
        self.vouchers = vouchers


class Issues(Application[UUID]):
    """Keeps them."""


def _issue(issued: IssuedEvent) -> Issue:
    return Issue(str(issued.data.beneficiary), [[str(v.voucher), v.benefit, v.amount] for v in issued.data.vouchers])


def run(first: int, end: int) -> None:
    """Save the issues of these people."""
    issues = [decode(record.value) for record in people.issued(first, end)]
    application = Issues()
    print("ready", flush=True)  # noqa: T201 - the protocol
    sys.stdin.readline()
    for begin in range(0, len(issues), AGGREGATES_OF_A_SAVE):
        application.save(*map(_issue, issues[begin : begin + AGGREGATES_OF_A_SAVE]))
    print("done", flush=True)  # noqa: T201
    application.close()


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
