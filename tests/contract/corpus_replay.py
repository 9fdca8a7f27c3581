"""What becomes of a file of events, line by line, in words that can be kept beside it.

The files in `corpus/` are events as they were once published: they are never edited, only added to. What becomes of
them is pinned in `<file>.outcomes.txt`, made by `python -m tests.contract.corpus_replay --write` and read before it is
committed: a line that changes there changes what a ledger books when it is replayed.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from redress.contracts.decode import Rejected, decode
from redress.contracts.registry import INPUTS
from redress.domain.entry import Entry
from redress.domain.event import Topic
from redress.domain.shard import Results, Shard
from redress.domain.step import take_all

CORPUS: Final = Path(__file__).parent / "corpus"
PARKING_SECONDS: Final = 86_400


def files() -> list[Path]:
    """All of the corpus."""
    return sorted(CORPUS.glob("*.ndjson"))


def pinned(file: Path) -> Path:
    """Where the outcomes of a file are kept."""
    return file.with_suffix(".outcomes.txt")


def outcomes(file: Path) -> Iterator[str]:
    """One text for each line, then what is owed in the end, lot by lot."""
    shard = Shard(number=0, parking_seconds=PARKING_SECONDS, system_clock=False)
    offsets: Counter[Topic] = Counter()
    for line in file.read_bytes().splitlines():
        document = orjson.loads(line)
        known = INPUTS.get(document["type"])
        topic = known.topic if known else Topic.REDEMPTION
        event = decode(topic, 0, offsets[topic], document["partitionkey"].encode(), line, 1)
        offsets[topic] += 1
        name = f"{document['id']} {document['type']}"
        if isinstance(event, Rejected):
            yield f"{name}: rejected {event.reason}: {event.detail}"
            continue
        take_all(shard, event, event.data)
        yield f"{name}: {_show(shard.take_results())}"
    for lot in shard.lots():
        balances = " ".join(f"{account} {amount}" for account, amount in sorted(lot.balances.items()) if amount)
        yield f"{'/'.join(lot.key)} {lot.status}: {balances or 'nothing'}"


def _show(results: Results) -> str:
    parts = [_entry(entry) for entry in results.entries]
    parts += [f"dead letter {letter.reason}: {letter.detail}" for letter in results.dead_letters]
    parts += [f"parked, waits for {parked.wakes_on or 'another event'}" for parked in results.parked.values()]
    return " | ".join(parts) or ("duplicate" if results.duplicates else "no entry")


def _entry(entry: Entry) -> str:
    reason = f" {entry.reason}" if entry.reason else ""
    lines = "".join(
        f", {line.posting.movement} {line.amount} {line.lot.wave}/{line.lot.benefit}{' by lot' if line.by_lot else ''}"
        for line in entry.lines
    )
    return f"{entry.seq} {type(entry.happening).__name__} {entry.outcome}{reason}{lines}"


def main() -> int:
    """Write the outcomes anew."""
    if sys.argv[1:] != ["--write"]:
        sys.stderr.write("usage: python -m tests.contract.corpus_replay --write\n")
        return 2
    for file in files():
        pinned(file).write_text("".join(f"{outcome}\n" for outcome in outcomes(file)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
