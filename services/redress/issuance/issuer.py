"""Issuance: an accepted entitlement becomes `voucher.issued` on Kafka. Source: RULES section 5, last paragraph.

At least once towards Kafka (the cursor moves after the acknowledgement), exactly once in the ledger (the event's id is
the entry's that made it due, and a second issue of the same vouchers has no effect).
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from redress.contracts.bulk import send_in_bulk
from redress.contracts.encode import encode_record
from redress.contracts.instants import format_instant
from redress.contracts.template import Template, blank
from redress.domain.event import Issued, IssuedVoucher, Topic
from redress.domain.ids import BeneficiaryId, Instant, VoucherId, voucher_id
from redress.domain.programme import Wave
from redress.domain.shard import Shard
from redress.ledger.appended import Appended
from redress.ledger.connection import Connection
from redress.ledger.control_rows import restore_programmes, restore_waves
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.packing import due_at
from redress.ledger.queries import query

SEARCH_SEQS = 5_000
"""Entries searched in one go: some megabytes of rows, and as many records in flight at most."""
IDLE_SECONDS = 0.3
"""Pause once all is searched: what issuance adds to the way from entitlement to voucher. Without it each batch would be
searched by itself, and each search ends in a commit that the next batch's waits beside."""


_SEQ, _TIME, _PERSON, _TRACE, _VOUCHERS = range(5)
"""Blanks of an issue; its vouchers are the last."""


class Issuer:
    """Issues for shards of one ledger through one producer."""

    def __init__(self, producer: AIOKafkaProducer, topic_prefix: str, identity: LedgerIdentity) -> None:
        self._producer = producer
        self._topic = topic_prefix + Topic.ISSUANCE.value
        self._identity = identity
        self._waves: dict[tuple[int, int], _WaveIssue] = {}

    async def prepare(self, shard: int, connection: Connection) -> None:
        """Nothing has to be true before the shard is served."""

    async def run(self, shard: int, epoch: int, connection: Connection, appended: Appended) -> None:  # noqa: ARG002
        """Issue what is due in the shard, until cancelled; looks now and then, as few batches make anything due.

        Under whatever epoch: a former owner that still issues does no harm, as a second issue has no effect.
        """
        while True:
            if await self.issue_due(shard, connection) < SEARCH_SEQS:
                await asyncio.sleep(IDLE_SECONDS)

    async def issue_due(self, shard: int, connection: Connection) -> int:
        """One search of each wave that may be issued; how many entries were searched."""
        searched = 0
        for row in await connection.fetch(query("issuable_waves"), shard):
            no = row["no"]
            if (shard, no) not in self._waves:  # what is known of a wave never changes
                await self._load(shard, connection)
            wave = self._waves[shard, no]
            upto = min(row["last_seq"], row["cursor"] + SEARCH_SEQS)
            found = await connection.fetch(query("due_candidates"), shard, row["cursor"], upto)
            records = [record for due in found if (record := _record(due, no, wave)) is not None]
            if records:
                await send_in_bulk(self._producer, self._topic, shard, records)
            await connection.execute(query("move_cursor"), shard, no, upto)
            searched += upto - row["cursor"]
        return searched

    async def _load(self, shard: int, connection: Connection) -> None:
        state = Shard(shard, self._identity.parking_seconds, self._identity.clock == "system")
        numbering = Numbering()
        restore_programmes(
            state,
            await connection.fetch(query("load_programmes"), shard),
            await connection.fetch(query("load_terms"), shard),
        )
        restore_waves(state, numbering, await connection.fetch(query("load_waves"), shard))
        source = f"/redress/{self._identity.name}/issuance"
        self._waves |= {
            (shard, no): _WaveIssue(shard, source, state.programmes[programme].waves[code])
            for no, (programme, code) in numbering.wave_keys.items()
        }


class _WaveIssue:
    """What the issues of a wave have in common."""

    def __init__(self, shard: int, source: str, wave: Wave) -> None:
        self._opened = wave.opened
        self._benefits = [benefit.code for benefit in wave.terms.benefits]
        vouchers = tuple(
            IssuedVoucher(VoucherId(blank(number)), benefit.code, benefit.amount)
            for number, benefit in enumerate(wave.terms.benefits, start=_VOUCHERS)
        )
        data = Issued(wave.opened.programme, wave.opened.wave, BeneficiaryId(blank(_PERSON)), vouchers)
        name, time = f"{shard}-{blank(_SEQ)}", blank(_TIME)
        plain = encode_record(data, event_id=name, source=source, time=time)
        traced = encode_record(data, event_id=name, source=source, time=time, traceparent=blank(_TRACE))
        self._plain, self._traced = Template(plain.value), Template(traced.value)

    def record(self, person: BeneficiaryId, seq: int, due: Instant, traceparent: str | None) -> tuple[bytes, bytes]:
        """Key and value of a person's issue, due by that entry since then."""
        opened = self._opened
        time = format_instant(max(due, opened.valid_from))
        vouchers = [voucher_id(opened.programme, opened.wave, person, benefit) for benefit in self._benefits]
        template = self._plain if traceparent is None else self._traced
        return person.encode(), template.fill((seq, time, person, traceparent, *vouchers)).encode()


def _record(row: Any, wave_no: int, wave: _WaveIssue) -> tuple[bytes, bytes] | None:
    """The event for an entry, if its beneficiary is due by just this entry in the wave."""
    due = due_at(row["grants"], wave_no, row["seq"])
    return None if due is None else wave.record(row["beneficiary"], row["seq"], due, row["traceparent"])
