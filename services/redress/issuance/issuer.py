"""Issuance: an accepted entitlement becomes `voucher.issued` on Kafka. Source: RULES section 5, last paragraph.

At least once towards Kafka (the cursor moves after the acknowledgement), exactly once in the ledger (the event's id is
the entry's that made it due, and a second issue of the same vouchers has no effect).
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer

from redress.contracts.encode import Record, encode_record
from redress.domain.event import Issued, IssuedVoucher
from redress.domain.ids import BeneficiaryId, voucher_id
from redress.domain.programme import Wave
from redress.domain.shard import Shard
from redress.ledger.connection import Connection
from redress.ledger.control_rows import restore_programmes, restore_waves
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.packing import unpack_grants
from redress.ledger.queries import query

SEARCH_SEQS = 5_000
"""Entries searched in one go: some megabytes of rows, and as many records in flight at most."""
IDLE_SECONDS = 0.3
"""Pause once all is searched: what issuance adds to the way from entitlement to voucher. Without it each batch would be
searched by itself, and each search ends in a commit that the next batch's waits beside."""


class Issuer:
    """Issues for shards of one ledger through one producer."""

    def __init__(self, producer: AIOKafkaProducer, topic_prefix: str, identity: LedgerIdentity) -> None:
        self._producer = producer
        self._prefix = topic_prefix
        self._identity = identity

    async def prepare(self, shard: int, connection: Connection) -> None:
        """Nothing has to be true before the shard is served."""

    async def run(self, shard: int, epoch: int, connection: Connection, appended: asyncio.Event) -> None:  # noqa: ARG002
        """Issue what is due in the shard, until cancelled; looks now and then, as few batches make anything due.

        Under whatever epoch: a former owner that still issues does no harm, as a second issue has no effect.
        """
        while True:
            if await self.issue_due(shard, connection) < SEARCH_SEQS:
                await asyncio.sleep(IDLE_SECONDS)

    async def issue_due(self, shard: int, connection: Connection) -> int:
        """One search of each wave that may be issued; how many entries were searched."""
        searched = 0
        waves = await connection.fetch(query("issuable_waves"), shard)
        if not waves:
            return 0
        state, numbering = await _load_waves(shard, connection, self._identity)
        for row in waves:
            programme, code = numbering.wave_keys[row["no"]]
            wave = state.programmes[programme].waves[code]
            upto = min(row["last_seq"], row["cursor"] + SEARCH_SEQS)
            found = await connection.fetch(query("due_candidates"), shard, row["cursor"], upto)
            records = [record for due in found if (record := self._record(shard, due, wave, numbering)) is not None]
            await self._publish(records)
            await connection.execute(query("move_cursor"), shard, row["no"], upto)
            searched += upto - row["cursor"]
        return searched

    def _record(self, shard: int, row: Any, wave: Wave, numbering: Numbering) -> Record | None:
        """The event for an entry, if its beneficiary is due by just this entry in the wave."""
        grant = unpack_grants(row["grants"], numbering).get((wave.opened.programme, wave.opened.wave))
        if grant is None or grant.due_seq != row["seq"]:
            return None
        return encode_record(
            _issue(BeneficiaryId(row["beneficiary"]), wave),
            event_id=f"{shard}-{row['seq']}",
            source=f"/redress/{self._identity.name}/issuance",
            time=max(grant.due_at, wave.opened.valid_from),
            traceparent=row["traceparent"],
        )

    async def _publish(self, records: Iterable[Record]) -> None:
        sent = [
            await self._producer.send(
                self._prefix + record.topic.value, record.value, key=record.key, headers=list(record.headers)
            )
            for record in records
        ]
        await asyncio.gather(*sent)


def _issue(person: BeneficiaryId, wave: Wave) -> Issued:
    programme, code = wave.opened.programme, wave.opened.wave
    vouchers = tuple(
        IssuedVoucher(voucher_id(programme, code, person, benefit.code), benefit.code, benefit.amount)
        for benefit in wave.terms.benefits
    )
    return Issued(programme, code, person, vouchers)


async def _load_waves(shard: int, connection: Connection, identity: LedgerIdentity) -> tuple[Shard, Numbering]:
    state = Shard(shard, identity.parking_seconds, identity.clock == "system")
    numbering = Numbering()
    restore_programmes(
        state,
        await connection.fetch(query("load_programmes"), shard),
        await connection.fetch(query("load_terms"), shard),
    )
    restore_waves(state, numbering, await connection.fetch(query("load_waves"), shard))
    return state, numbering
