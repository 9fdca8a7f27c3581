"""Events that differ in a few places only: their JSON is written once, with blanks, and filled in for each of them.

To the byte what the encoder writes, as the encoder writes the template too, and a value that is filled in must need no
escape: ids, codes, numbers, times.
"""

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from orjson import Fragment

_FIRST: Final = 0xE000
"""Characters for private use. The contract's own texts are ASCII, so none of them is in an event."""
_BLANK: Final = re.compile("([\ue000-\uf8ff])")


def blank(number: int) -> str:
    """Stands for a text, or for part of one: `Template.fill` puts in the value of that number."""
    return chr(_FIRST + number)


def bare(number: int) -> Fragment:
    """Stands for what has no quotes of its own: a number, null, a list's items, or a text with its quotes."""
    return Fragment(blank(number).encode())


class Template:
    """A document with blanks, each of which may be in it several times."""

    def __init__(self, document: bytes) -> None:
        pieces = _BLANK.split(document.decode())
        self._text = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
        self._pick = itemgetter(*(ord(found) - _FIRST for found in pieces[1::2]))

    def fill(self, values: Sequence[object]) -> str:
        """The document with its values."""
        text: str = self._text % self._pick(values)
        return text
