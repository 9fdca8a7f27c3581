"""What goes out, as the contract's events, ready to be sent; entries and balances are in `row_writer`."""

from typing import Any

from redress.contracts.encode import encode_event
from redress.contracts.instants import format_instant
from redress.contracts.registry import OutTopic
from redress.domain.answer import answer
from redress.domain.entry import Entry, Lapsed, LotKey
from redress.domain.event import LotExtended, LotRevoked, ProgrammePublished, WaveOpened
from redress.domain.ids import Instant
from redress.domain.value import value

MARKER, LOT = "redress.batch.committed.v1", "redress.lot.state.v1"
DECISION, LETTER = "redress.redemption.decided.v1", "redress.record.dead_lettered.v1"


@value
class Outgoing:
    """A record to be sent. `topic` is without the prefix of an installation."""

    topic: OutTopic
    partition: int
    key: bytes
    value: bytes


class EventWriter:
    """Writes the events of one shard of a ledger."""

    def __init__(self, ledger: str, shard: int) -> None:
        self._ledger = ledger
        self._shard = shard

    def marker(self, row: Any) -> Outgoing:
        """`redress.batch.committed.v1`, from a row of `relay_batches`."""
        data = {
            "ledger": self._ledger,
            "shard": self._shard,
            "batch": row["batch"],
            "first_seq": row["first_seq"],
            "next_seq": row["next_seq"],
            "offsets": {name: row[f"{name}_offset"] for name in ("programme", "eligibility", "issuance", "redemption")},
            "recorded_at": format_instant(row["recorded_at"]),
            "rules_version": row["rules_version"],
            "digest": row["digest"].hex(),
        }
        key = f"shard/{self._shard}"
        name = f"{self._ledger}-{self._shard}-batch-{row['batch']}"
        return self._event(OutTopic.LEDGER, MARKER, name, key, row["recorded_at"], data)

    def decision(self, entry: Entry, order: str | None, recorded_at: Instant) -> Outgoing:
        """`redress.redemption.decided.v1`."""
        data = {
            "ledger": self._ledger,
            "shard": self._shard,
            "seq": entry.seq,
            "cause": {"source": entry.cause.source, "id": entry.cause.id, "type": entry.cause.type},
            "beneficiary": entry.beneficiary,
            "redemption": entry.redemption,
            "order": order,
            "outcome": entry.outcome,
            "reason": entry.reason,
            "lines": answer(entry),
        }
        return self._event(
            OutTopic.DECISION,
            DECISION,
            f"{self._name(entry.seq)}-decision",
            str(entry.beneficiary),
            recorded_at,
            data,
            entry.cause.traceparent,
        )

    def lot(self, row: Any, recorded_at: Instant) -> Outgoing:
        """`redress.lot.state.v1`, from a row of `relay_lots`; each shard says it in its own partition."""
        data = {
            "programme": row["programme"],
            "wave": row["wave"],
            "benefit": row["benefit"],
            "service": row["service"],
            "state": row["status"],
            "valid_from": format_instant(row["valid_from"]),
            "valid_until": format_instant(row["valid_until"]),
            "terms_version": row["terms_version"],
            "version": row["seq"],
            "shard": self._shard,
            "seq": row["seq"],
        }
        key = lot_key(LotKey(row["programme"], row["wave"], row["benefit"]))
        name = f"{self._name(row['seq'])}-{row['wave']}-{row['benefit']}"
        return self._event(OutTopic.BALANCE, LOT, name[:64], key, recorded_at, data, row["traceparent"])

    def dead_letter(self, row: Any, topic_prefix: str, recorded_at: Instant) -> Outgoing:
        """`redress.record.dead_lettered.v1`, from a row of `relay_dead_letters`."""
        data = {
            "reason": row["reason"],
            "detail": row["detail"],
            "topic": topic_prefix + row["topic"],
            "partition": row["record_partition"],
            "offset": row["record_offset"],
            "size": row["size"],
            "sha256": row["sha256"].hex(),
        }
        key = f"{data['topic']}/{data['partition']}/{data['offset']}"
        name = f"{self._shard}/{row['topic'].removeprefix('redress.')}/{data['partition']}/{data['offset']}"
        return self._event(OutTopic.DEAD_LETTER, LETTER, name, key, recorded_at, data, partition=0)

    def _name(self, seq: int) -> str:
        return f"{self._ledger}-{self._shard}-{seq}"

    def _event(
        self,
        topic: OutTopic,
        type_name: str,
        event_id: str,
        key: str,
        time: Instant,
        data: Any,
        traceparent: str | None = None,
        *,
        partition: int | None = None,
    ) -> Outgoing:
        value = encode_event(
            type_name=type_name,
            event_id=event_id,
            source=f"/redress/{self._ledger}",
            time=time,
            partitionkey=key,
            data=data,
            traceparent=traceparent,
        )
        return Outgoing(topic, self._shard if partition is None else partition, key.encode(), value)


def entry_key(entry: Entry) -> str:
    """The key of an entry: its beneficiary, or the lot or programme it is about."""
    happening = entry.happening
    if entry.beneficiary is not None:
        return entry.beneficiary
    match happening:
        case Lapsed(key):
            return lot_key(key)
        case LotExtended() | LotRevoked():
            return lot_key(LotKey(happening.programme, happening.wave, happening.benefit))
        case ProgrammePublished(terms):
            return f"programme/{terms.programme}"
        case WaveOpened(programme=programme):
            return f"programme/{programme}"
        case _:
            raise ValueError(f"entry {entry.seq} is about nobody and nothing")


def lot_key(key: LotKey) -> str:
    """The key of a lot's records."""
    return f"lot/{key.programme}/{key.wave}/{key.benefit}"
