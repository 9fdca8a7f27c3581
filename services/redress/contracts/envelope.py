"""The CloudEvents 1.0 envelope, structured mode, as this contract takes it (CONTRACT section 1)."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from redress.contracts import scalars as s

CONTENT_TYPE: Final = b"application/cloudevents+json"
"""The `content-type` header of every record."""
DATA_CONTENT_TYPE: Final = "application/json"
SPEC_VERSION: Final = "1.0"
ATTRIBUTE_PATTERN = r"^[a-z0-9]+$"
"""How CloudEvents lets an attribute be named."""

_ATTRIBUTE = re.compile(r"[a-z0-9]+")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Envelope(BaseModel):
    """What stands around `data`. Extension attributes are allowed and ignored, but for `traceparent`."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    specversion: Annotated[Literal["1.0"], Field(description="Version of CloudEvents.")]
    id: s.EventId
    type: Annotated[str, Field(min_length=1, description="Name and version of the event.")]
    source: s.Source
    time: Annotated[s.Time, Field(description="When it happened in the world.")]
    partitionkey: Annotated[str, Field(min_length=1, description="The record's key, as text.")]
    datacontenttype: Annotated[Literal["application/json"] | None, Field(description="JSON only.")] = None
    traceparent: Annotated[
        Any,
        WithJsonSchema({}),
        Field(description="W3C trace context, carried through to everything the event causes; ignored if not valid."),
    ] = None
    data: Annotated[Any, Field(description="By the schema of the type.")]


_KNOWN = frozenset(Envelope.model_fields)


def misnamed_attribute(document: dict[str, Any]) -> bool:
    """Whether an attribute has a name that CloudEvents does not allow, such as `partitionKey` or `data_base64`."""
    extensions = document.keys() - _KNOWN
    return bool(extensions) and not all(_ATTRIBUTE.fullmatch(name) for name in extensions)


def valid_traceparent(value: Any) -> str | None:
    """The trace parent, or None where it is none: a bad trace header never costs an event."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None
