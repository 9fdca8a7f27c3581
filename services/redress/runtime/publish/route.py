"""Where a line of a file goes. What it says is not judged here: the ledger does that, and says why."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from redress.contracts.registry import INPUTS
from redress.domain.event import Topic
from redress.runtime.wiring import REQUEST_BYTES_MAX

RECORD_BYTES_MAX = REQUEST_BYTES_MAX - 1_024
"""The longest line that is sent; the rest is room for key and headers."""


@dataclass(frozen=True, slots=True)
class Route:
    """`topic` is without the prefix of an installation."""

    topic: Topic
    key: bytes


class UnroutableError(ValueError):
    """The line has no topic or no key. The message never repeats what the line says."""


def route(line: bytes) -> Route:
    """Topic and key of a line.

    Raises:
        UnroutableError: it has none.
    """
    if len(line) > RECORD_BYTES_MAX:
        raise UnroutableError(f"more than {RECORD_BYTES_MAX} bytes, which no topic takes")
    event = _read(line)
    if not isinstance(event, dict):
        raise UnroutableError("not a JSON object")
    name = event.get("type")
    known = INPUTS.get(name) if isinstance(name, str) else None
    if known is None:
        raise UnroutableError("type: not one of an event that comes in")
    key = event.get("partitionkey")
    if not isinstance(key, str) or not key:
        raise UnroutableError("partitionkey: missing, or not text")
    try:
        return Route(known.topic, key.encode())
    except UnicodeEncodeError:
        raise UnroutableError("partitionkey: not UTF-8") from None


def _read(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    # orjson refuses some things that are JSON, such as a lone surrogate: such a line is for the ledger to judge.
    try:
        return json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise UnroutableError("not JSON") from None


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
