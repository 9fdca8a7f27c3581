"""What the rules answer to an event."""

from typing import Final, NamedTuple


class Decision(NamedTuple):
    outcome: str
    reason: str | None


ACCEPTED: Final = Decision("accepted", None)

PARK: Final = None
"""The answer when the event cannot be decided yet."""


def refused(reason: str) -> Decision:
    return Decision("refused", reason)


def no_effect(reason: str) -> Decision:
    return Decision("no_effect", reason)
