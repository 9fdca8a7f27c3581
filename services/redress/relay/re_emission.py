"""Balances published again on purpose: by the shard's own relay, in bounded groups between its others.

No other process may write them. Here no older balance can follow a newer one: this relay reads a group only after it
has published the one before, and an earlier owner was fenced before this one read anything.
"""

import time
from dataclasses import dataclass
from typing import Any

from redress.domain.ids import BeneficiaryId, Instant
from redress.ledger.connection import Connection
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import Checkpoint
from redress.relay.events import Outgoing
from redress.relay.group import GroupReader

PEOPLE_MAX = 500
"""Beneficiaries of a group: half a megabyte, and some 40 ms in which the worker's loop does nothing else."""
LOOK_SECONDS = 1
"""How often a relay looks whether somebody asked."""
NOBODY = BeneficiaryId("00000000-0000-0000-0000-000000000000")
"""Before the first beneficiary."""


@dataclass(frozen=True, slots=True)
class Again:
    """A group of balances, and where it leads."""

    requested_at: Instant
    reached: BeneficiaryId
    """The last beneficiary of the group."""
    people: int
    done: bool
    outgoing: list[Outgoing]


class ReEmission:
    """What was asked for of one shard. A crash repeats a group at most, which changes nothing."""

    def __init__(
        self, identity: LedgerIdentity, prefix: str, shard: int, connection: Connection, reached: Checkpoint
    ) -> None:
        self._identity = identity
        self._prefix = prefix
        self._shard = shard
        self._connection = connection
        self._reached = reached
        self._look_at = 0.0

    async def next_group(self, published: int) -> Again | None:
        """The next group, read in one snapshot; None: nobody asks. `published`: the last batch that is."""
        if time.monotonic() < self._look_at:
            return None
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            asked = await self._connection.fetchrow(query("re_emission_asked"), self._shard)
            if asked is not None:
                return await self._read(asked["requested_at"], asked["reached"], published)
        self._look_at = time.monotonic() + LOOK_SECONDS
        return None

    async def sent(self, group: Again) -> None:
        """Note that Kafka has it."""
        self._reached("re_emission_sent")
        await self._connection.execute(
            query("move_re_emission"), self._shard, group.requested_at, group.reached, group.people, group.done
        )
        self._reached("re_emission_moved")

    async def _read(self, requested_at: Instant, after: BeneficiaryId, published: int) -> Again:
        """Of those only whose last entry is published. The others come with their entries: told before them, a balance
        could be ahead of what a recovery from the topic finds.
        """
        batch = await self._connection.fetchrow(query("published_batch"), self._shard, published)
        if batch is None:
            return Again(requested_at, after, 0, done=True, outgoing=[])
        end, recorded_at = batch["next_seq"], batch["recorded_at"]
        rows: list[Any] = await self._connection.fetch(query("re_emission_people"), self._shard, after, end, PEOPLE_MAX)
        reader = GroupReader(self._identity, self._prefix, self._shard, self._connection)
        lots = await reader.lots(0, end, recorded_at) if after == NOBODY else []
        balances = await reader.balances(rows, recorded_at)
        self._reached("re_emission_read")
        return Again(
            requested_at,
            rows[-1]["beneficiary"] if rows else after,
            len(balances),
            done=len(rows) < PEOPLE_MAX,
            outgoing=[*lots, *balances],
        )
