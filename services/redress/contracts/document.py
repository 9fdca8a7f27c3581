"""Bytes to a JSON object, exactly: what decoders let pass in silence is refused here.

orjson refuses what is not UTF-8, not JSON, NaN, Infinity, a lone surrogate, and nesting deeper than 1024. It takes a
key given twice (the last one wins), so that is looked for here.
"""

import re
from typing import Any

import orjson

_WHITESPACE = b" \t\n\r"
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*+")[ \t\n\r]*(:?)|[{}]')


class DocumentError(ValueError):
    """The bytes are no JSON object this contract takes. The message never repeats what they say."""


def read_object(value: bytes) -> dict[str, Any]:
    """The JSON object that the bytes are; raises `DocumentError`, whatever they are."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise DocumentError(_why_not_json(value, error.pos)) from None
    if not isinstance(document, dict):
        raise DocumentError("not a JSON object")
    if not _is_plain(value, document) and _has_key_twice(value):
        raise DocumentError("a key is given twice")
    return document


def _why_not_json(value: bytes, position: int) -> str:
    try:
        value.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return f"not JSON, at character {position}"


def _is_plain(value: bytes, document: dict[str, Any]) -> bool:
    """Whether the bytes are what orjson writes for the document, spaces apart. Then no key was dropped.

    Taking spaces away, also inside strings, neither merges nor splits tokens of valid JSON, so a dropped key
    would leave the two unequal.
    """
    try:
        written = orjson.dumps(document)
    except orjson.JSONEncodeError:  # nested deeper than orjson writes
        return False
    return value.translate(None, _WHITESPACE) == written.translate(None, _WHITESPACE)


def _has_key_twice(value: bytes) -> bool:
    """Whether any object of this valid JSON gives a key twice; exact, linear and without recursion."""
    open_objects: list[set[str]] = []
    for token in _TOKEN.finditer(value):
        string, colon = token.groups()
        if colon:
            keys = open_objects[-1]
            key = orjson.loads(string)
            if key in keys:
                return True
            keys.add(key)
        elif token[0] == b"{":
            open_objects.append(set())
        elif token[0] == b"}":
            open_objects.pop()
    return False
