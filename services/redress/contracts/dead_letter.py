"""`redress.dead-letter`: where what could not be taken stands, and why; never the bytes."""

from typing import Annotated

from pydantic import Field

from redress.contracts import scalars as s
from redress.domain.entry import DeadLetterReason

DETAIL_LENGTH_MAX = 200
"""Characters: a field and a rule. No value is ever said."""


class RecordDeadLettered(s.Out):
    """A record was not taken. Its bytes stay in Postgres, where they can be erased."""

    reason: Annotated[DeadLetterReason, Field(strict=False, description="The first test that failed.")]
    detail: Annotated[
        str,
        Field(
            max_length=DETAIL_LENGTH_MAX,
            description="Field and rule, never a value.",
            examples=["data.lines.0.amount: less_than_equal 1000000000000"],
        ),
    ]
    topic: Annotated[str, Field(description="As Kafka names it.", examples=["redress.redemption"])]
    partition: s.Partition
    offset: s.Offset
    size: Annotated[int, Field(strict=True, ge=0, le=s.INT32_MAX, description="Bytes of the record's value.")]
    sha256: Annotated[s.Sha256, Field(description="SHA-256 of the record's value, lower-case hex.")]
