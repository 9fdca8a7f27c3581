"""What is wrong with an event, in words that name field and rule and never repeat a value.

A field that is not known may be called anything, a person's name even: only the place where it stands is said.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_BOUNDS = ("ge", "le", "min_length", "max_length", "pattern", "expected", "rule")


def detail(prefix: tuple[str, ...], error: ValidationError) -> str:
    """`field: rule` of the first error, such as `data.lines.0.amount: less_than_equal 1000000000000`."""
    field, rule = field_and_rule(prefix, error.errors(include_url=False, include_input=False)[0])
    return f"{field}: {rule}"


def field_and_rule(prefix: tuple[str, ...], error: Mapping[str, Any]) -> tuple[str, str]:
    """Where an error stands, and which rule was broken, of one of pydantic's errors."""
    place = [*prefix, *map(str, error["loc"])]
    if error["type"] == "extra_forbidden":
        return ".".join(place[:-1]), "unknown field"
    bounds = [str(bound) for name, bound in error.get("ctx", {}).items() if name in _BOUNDS]
    return ".".join(place), " ".join([error["type"], *bounds])
