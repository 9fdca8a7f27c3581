"""The scalar types all events share: bounds and patterns, with the descriptions that go into the schemas.

Patterns are anchored and ASCII, so that no control character, no free text and nothing about a person fits in.
"""

from abc import ABC, abstractmethod
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from redress.contracts.instants import RFC3339_PATTERN, InstantError, format_instant, parse_instant
from redress.domain.event import Data
from redress.domain.ids import Instant

AMOUNT_MAX = 10**12
"""Minor units of one amount: far above any voucher, and a person's 32 of them stay exact as JSON numbers."""
INT32_MAX = 2**31 - 1
"""What a column of type integer holds."""
SAFE_INTEGER_MAX = 2**53 - 1
"""The largest integer that canonical JSON (RFC 8785) can carry."""
SECONDS_PER_YEAR = 31_536_000
PEOPLE_MAX = 10**10
"""Beneficiaries that a wave may expect: more than there are people."""
LINES_MAX = 32
"""Lines of one event: an order is paid with a handful of vouchers."""
BENEFITS_MAX = 32
"""Benefits of a programme, therefore vouchers of one issue."""
VOUCHERS_PER_ORDER_MAX = 10_000
"""What terms may allow for one order; null allows any number."""

CODE_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,39}$"
SERVICE_PATTERN = r"^([a-z0-9][a-z0-9_-]{0,39}|\*)$"
OPAQUE_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
EVENT_ID_PATTERN = r"^[A-Za-z0-9._:/-]{1,64}$"
SOURCE_PATTERN = r"^([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$"
SOURCE_LENGTH_MAX = 128
"""Characters of a source; each is numbered once, and kept for ever."""
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
UUID4_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
LEDGER_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,39}$"


class In(BaseModel):
    """Data of an event that comes in: strict and closed, so that a misspelt field cannot vanish."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class InEvent(In, ABC):
    """Data of a whole event that comes in."""

    @abstractmethod
    def to_domain(self) -> Data:
        """The same as the rules see it."""


class Out(BaseModel):
    """Data of an event that goes out: a consumer ignores fields it does not know (they may be added)."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


class _InstantText:
    """RFC 3339 text on the wire, `Instant` in Python."""

    _text = core_schema.str_schema(strict=True, max_length=40)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        to_text = core_schema.plain_serializer_function_ser_schema(format_instant, when_used="json")
        return core_schema.no_info_after_validator_function(_instant, self._text, serialization=to_text)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": RFC3339_PATTERN}


def _instant(text: str) -> Instant:
    try:
        return parse_instant(text)
    except InstantError as error:
        raise PydanticCustomError("instant", "{rule}", {"rule": str(error)}) from None


@cache
def time_zones() -> frozenset[str]:
    """The IANA names of the pinned `tzdata` package: the same on every machine, which a replay needs."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def _known_zone(name: str) -> str:
    if name not in time_zones():
        raise PydanticCustomError("timezone", "not a name of the IANA time zone database")
    return name


_INTEGER_NOTE = "A JSON integer: 5000.0 and 5e3 are refused, though JSON Schema lets them pass."

Amount = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=AMOUNT_MAX,
        description=f"In the currency's minor unit (KRW has none: 50000 is 50,000 won). {_INTEGER_NOTE}",
        examples=[5000],
    ),
]
Total = Annotated[
    int,
    Field(strict=True, ge=0, le=SAFE_INTEGER_MAX, description=f"A sum, in the currency's minor unit. {_INTEGER_NOTE}"),
]
Count = Annotated[int, Field(strict=True, ge=0, le=PEOPLE_MAX, description=_INTEGER_NOTE)]
Version = Annotated[int, Field(strict=True, ge=1, le=INT32_MAX, description=_INTEGER_NOTE, examples=[1])]
Seconds = Annotated[
    int, Field(strict=True, ge=1, le=SECONDS_PER_YEAR, description=f"At most a year. {_INTEGER_NOTE}", examples=[900])
]
VouchersPerOrder = Annotated[
    int,
    Field(strict=True, ge=1, le=VOUCHERS_PER_ORDER_MAX, description=f"At most so many. {_INTEGER_NOTE}", examples=[1]),
]
Shard = Annotated[int, Field(strict=True, ge=0, le=INT32_MAX, description="Kafka partition number = shard.")]
Partition = Annotated[int, Field(strict=True, ge=0, le=INT32_MAX, description="A Kafka partition.")]
Offset = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1, description="A Kafka offset.")]
Sequence = Annotated[
    int, Field(strict=True, ge=0, le=2**63 - 1, description="Counts per shard, from 1 and without a gap.", examples=[1])
]
Figure = Annotated[
    int, Field(strict=True, ge=0, le=2**63 - 1, description="An amount that may be 0, in the currency's minor unit.")
]

Programme = Annotated[str, Field(pattern=CODE_PATTERN, description="Code of the programme.", examples=["relief-2026"])]
Wave = Annotated[str, Field(pattern=CODE_PATTERN, description="Code of the wave.", examples=["first"])]
Benefit = Annotated[str, Field(pattern=CODE_PATTERN, description="Code of the benefit.", examples=["travel"])]
Service = Annotated[str, Field(pattern=CODE_PATTERN, description="Code of the service.", examples=["travel"])]
ServiceScope = Annotated[
    str, Field(pattern=SERVICE_PATTERN, description="Code of a service, or `*` for any.", examples=["travel", "*"])
]
Reason = Annotated[str, Field(pattern=CODE_PATTERN, description="Code of the reason.", examples=["account_invalid"])]
Channel = Annotated[str, Field(pattern=CODE_PATTERN, description="Code of the channel.", examples=["app"])]
Redemption = Annotated[
    str,
    Field(
        pattern=OPAQUE_PATTERN,
        description="Id of the redemption, opaque: nothing about a person. Known by (beneficiary, programme, id).",
        examples=["r-7f3a91"],
    ),
]
Order = Annotated[
    str,
    Field(
        pattern=OPAQUE_PATTERN,
        description="Id of the order, opaque: nothing about a person.",
        examples=["o-20260201-1"],
    ),
]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.", examples=["KRW"])]
TimeZone = Annotated[
    str,
    Field(max_length=64, description="Name in the IANA time zone database.", examples=["Asia/Seoul"]),
    AfterValidator(_known_zone),
]
Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN, description="SHA-256, lower-case hex.")]
EventId = Annotated[
    str, Field(pattern=EVENT_ID_PATTERN, description="Unique per source and partition key; a UUID is recommended.")
]
Source = Annotated[
    str,
    Field(
        pattern=SOURCE_PATTERN,
        min_length=1,
        max_length=SOURCE_LENGTH_MAX,
        description="Who says it: characters of a URI reference.",
        examples=["/eligibility"],
    ),
]
Ledger = Annotated[str, Field(pattern=LEDGER_PATTERN, description="Name of the ledger.", examples=["main"])]
Beneficiary = Annotated[
    str,
    Field(
        pattern=UUID4_PATTERN,
        json_schema_extra={"format": "uuid"},
        description="Random reference to a person: lower-case UUID version 4.",
        examples=["3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f"],
    ),
]
Voucher = Annotated[
    str,
    Field(
        pattern=UUID_PATTERN,
        json_schema_extra={"format": "uuid"},
        description="Id of the voucher, computed (UUID version 8). Any other UUID is the id of no voucher, "
        "which the ledger says in its answer.",
    ),
]
Time = Annotated[
    Instant,
    _InstantText(),
    Field(
        description="RFC 3339 with an offset, microseconds at most, from 1970-01-01 to 9999-12-30 UTC.",
        examples=["2026-01-15T10:00:00+09:00"],
    ),
]
