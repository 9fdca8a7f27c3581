"""What an event says, in 32 bytes: how an honest retry is told from another event under the same id."""

from hashlib import sha256
from typing import Any

import orjson


def fingerprint(type_name: str, source: str, partitionkey: str, data: dict[str, Any]) -> bytes:
    """SHA-256 of the canonical JSON (RFC 8785) of `{"data", "partitionkey", "source", "type"}`.

    `data` is the event's own, as sent: `time`, `traceparent` and other attributes do not count (CONTRACT section 1).
    Sorted and compact orjson output *is* that canonical form for valid data: its keys are ASCII and its numbers
    integers below 2^53. A test holds it against the `rfc8785` package.
    """
    content = {"data": data, "partitionkey": partitionkey, "source": source, "type": type_name}
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
