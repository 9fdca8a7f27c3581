"""Records that cannot be taken: every kind that a ledger must survive, and what becomes of each."""

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.conftest import TEST_LEDGER
from tests.harness.events import DAY, ELIGIBILITY, PROGRAMME, REDEMPTION, Events, people_of_shard
from tests.oracle import instant

SHARD = 1
PERSON, OTHER = people_of_shard(2, SHARD, TEST_LEDGER.shards)
"""Of `SHARD`. Bad records are made of a capture by the first; the second is somebody else."""
USED_ID = "t-used"
"""What `PERSON` must have sent before under this id is used again."""


class Bad(NamedTuple):
    """Bytes on a topic, and the dead letter they end as."""

    reason: str
    detail: str
    value: bytes | None
    key: bytes | None = PERSON.encode()
    topic: str = REDEMPTION
    partition: int = SHARD


def bad_records(events: Events) -> dict[str, Bad]:
    """Every kind by name. `events` published terms and opened a wave before, and says what time it is."""
    good = events.captured(PERSON, "r-bad", 5000)[1]
    text = json.dumps(good)

    def edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
        event = copy.deepcopy(good)
        edit(event)
        return json.dumps(event).encode()

    def amount(value: object) -> bytes:
        return edited(lambda event: event["data"]["lines"][0].update(amount=value))

    wave = json.dumps(events.opened(terms_version=9)[1]).encode()
    terms = json.dumps(events.published(vouchers_per_order=7)[1]).encode()
    programme = events.programme.encode()
    return {
        "broken line": Bad("malformed", "value: not JSON", text[:-7].encode()),
        "unknown type": Bad(
            "unknown_type", "type: not a type", edited(lambda e: e.update(type="redress.gift.sent.v1"))
        ),
        "type of another topic": Bad("unknown_type", "type: not a type", text.encode(), topic=ELIGIBILITY),
        "float": Bad("invalid", "data.lines.0.amount: int_type", amount(5000.0)),
        "negative": Bad("invalid", "data.lines.0.amount: greater_than_equal 1", amount(-1)),
        "too large": Bad("invalid", "data.lines.0.amount: less_than_equal 1000000000000", amount(10**12 + 1)),
        "key twice": Bad(
            "malformed", "value: a key is given twice", text.replace('"id"', '"id": "x", "id"', 1).encode()
        ),
        "control character": Bad("invalid", "data.redemption: ", edited(lambda e: e["data"].update(redemption="a\0b"))),
        "id used again": Bad("conflict", "id: used before", edited(lambda e: e.update(id=USED_ID))),
        "wrong partition": Bad("misrouted", "key: not the partition", text.encode(), partition=SHARD + 1),
        "key of another": Bad("invalid", "key: not the partitionkey", text.encode(), key=OTHER.encode()),
        "300 KB": Bad(
            "malformed", "value: more than 262144 bytes", edited(lambda e: e.update(padding="x" * 300 * 1024))
        ),
        "not UTF-8": Bad("malformed", "value: not UTF-8", text.encode().replace(b"r-bad", b"r-\xff\xfe")),
        "time without offset": Bad("malformed", "time: ", edited(lambda e: e.update(time="2026-01-10T00:00:00"))),
        "two days ahead": Bad(
            "invalid", "time: more than 24 h ahead", edited(lambda e: e.update(time=instant.write(events.at + 2 * DAY)))
        ),
        "no key": Bad("malformed", "key: missing", text.encode(), key=None),
        "no value": Bad("malformed", "value: missing", None),
        "nothing": Bad("malformed", "value: not JSON", b""),
        "rubbish for all shards": Bad("malformed", "value: not JSON", b"{", b"clock", PROGRAMME, 0),
        "unknown terms": Bad("invalid", "", wave, programme, PROGRAMME, 0),
        "terms changed": Bad("conflict", "", terms, programme, PROGRAMME, 0),
    }
