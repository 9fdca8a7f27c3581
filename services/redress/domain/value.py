"""Values: compared by content, never changed once made."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A dataclass that the type checker holds frozen.

    Not frozen at run time: the rules make a dozen of these for each event, and a frozen dataclass takes three times as
    long to make.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
