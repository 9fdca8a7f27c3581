"""What is wrong with an event, in words that name field and rule and never repeat a value.

A field that is not known may be called anything, a person's name even: only the place where it stands is said.
"""

from pydantic import ValidationError

_BOUNDS = ("ge", "le", "min_length", "max_length", "pattern", "expected", "rule")


def detail(prefix: tuple[str, ...], error: ValidationError) -> str:
    """`field: rule` of the first error, such as `data.lines.0.amount: less_than_equal 1000000000000`."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = [*prefix, *map(str, first["loc"])]
    if first["type"] == "extra_forbidden":
        return f"{'.'.join(place[:-1])}: unknown field"
    bounds = [str(bound) for name, bound in first.get("ctx", {}).items() if name in _BOUNDS]
    return " ".join([f"{'.'.join(place)}:", first["type"], *bounds])
