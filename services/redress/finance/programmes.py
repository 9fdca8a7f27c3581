"""Programmes, waves, lots, and a wave's funnel: what was expected, and what became of it."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from redress.domain.ids import Instant
from redress.finance.queries import query
from redress.ledger.connection import Connection

_GRANTED = "redress.eligibility.granted.v1"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class LotView:
    """A lot. `status` is "changing" while shards differ."""

    programme: str
    wave: str
    benefit: str
    service: str
    amount: int
    currency: str
    valid_from: Instant
    valid_until: Instant
    status: str
    terms_version: int


@dataclass(frozen=True, slots=True)
class ProgrammeView:
    """A programme: the terms by version and the waves, both as they were published."""

    programme: str
    versions: list[dict[str, Any]]
    waves: list[dict[str, Any]]
    lots: list[LotView]


@dataclass(frozen=True, slots=True)
class Funnel:
    """A wave's people: expected = granted + refused + dead_lettered + missing.

    granted = issued + not_issued + withdrawn. `expected` is None where nothing was; then nobody is missing.
    """

    programme: str
    wave: str
    expected: int | None
    expected_amount: int | None
    granted: int
    refused: int
    dead_lettered: int
    issued: int
    withdrawn: int
    enrolled: int
    entitled_amount: int
    issued_amount: int

    @property
    def missing(self) -> int | None:
        """Expected and never heard of; negative where more came than were expected."""
        if self.expected is None:
            return None
        return self.expected - self.granted - self.refused - self.dead_lettered

    @property
    def not_issued(self) -> int:
        """Granted, not withdrawn, and without vouchers yet."""
        return self.granted - self.issued - self.withdrawn


async def load_programme_views(connection: Connection, programme: str | None) -> list[ProgrammeView]:
    """All programmes, or one; none if it is not known."""
    views: dict[str, ProgrammeView] = {}
    for row in await connection.fetch(query("terms"), programme):
        code = row["programme"]
        views.setdefault(code, ProgrammeView(code, [], [], [])).versions.append(row["data"])
    for row in await connection.fetch(query("waves"), programme, 0, None):
        views[row["programme"]].waves.append(row["opened"])
    for row in await connection.fetch(query("lots"), programme, None):
        views[row["programme"]].lots.append(LotView(**dict(row)))
    return list(views.values())


async def load_programme_page(
    connection: Connection, programme: str, start: int, waves_max: int
) -> tuple[ProgrammeView, int | None] | None:
    """A programme with its waves from a number on, their lots, and where the next page begins; None if not known."""
    versions = [row["data"] for row in await connection.fetch(query("terms"), programme)]
    if not versions:
        return None
    found = await connection.fetch(query("waves"), programme, start, waves_max + 1)
    waves = found[:waves_max]
    lots = await connection.fetch(query("lots"), programme, [row["wave"] for row in waves])
    view = ProgrammeView(programme, versions, [row["opened"] for row in waves], [LotView(**dict(row)) for row in lots])
    return view, found[waves_max]["no"] if len(found) > waves_max else None


async def programmes_with_wave(connection: Connection, wave: str) -> list[str]:
    """Which programmes have a wave of this name."""
    return [row["programme"] for row in await connection.fetch(query("wave_programmes"), wave)]


async def load_funnel(connection: Connection, programme: str, wave: str) -> Funnel | None:
    """The wave's funnel; None if there is no such wave."""
    row = await connection.fetchrow(query("funnel"), programme, wave)
    if row is None:
        return None
    return Funnel(
        programme,
        wave,
        row["expected_beneficiaries"],
        row["expected_amount"],
        row["granted"],
        row["refused"],
        await _dead_lettered(connection, programme, wave),
        row["issued"],
        row["withdrawn"],
        row["enrolled"],
        row["entitled_amount"],
        row["issued_amount"],
    )


async def _dead_lettered(connection: Connection, programme: str, wave: str) -> int:
    """People of whom a grant of the wave was dead-lettered, and whose grant has not come by another event since."""
    people: set[str] = set()
    async for row in connection.cursor(query("grant_letters"), programme, wave):
        person = _person(row, programme, wave)
        if person is not None:
            people.add(person)
    ids = [person for person in people if _UUID.fullmatch(person)]
    granted = await connection.fetch(query("granted_among"), programme, wave, ids)
    return len(people) - len(granted)


def _person(letter: Any, programme: str, wave: str) -> str | None:
    """Whom a dead letter would have granted the wave to; None if it was about something else, or cannot be read."""
    event = _read(letter["value"])
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    if letter["type"] is None:
        named = event.get("type"), data.get("programme"), data.get("wave")
        if named != (_GRANTED, programme, wave):
            return None
    key = letter["key"]
    return str(data.get("beneficiary") or (key.decode(errors="replace") if key else "unknown"))


def _read(value: bytes | None) -> dict[str, Any]:
    try:
        event = orjson.loads(value or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}
