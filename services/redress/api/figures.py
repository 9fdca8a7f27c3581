"""Reads about programmes: terms, waves, what is owed and how it came about."""

import re
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from redress.api import models
from redress.api.context import MayRead, The, good, instant_text, json_response, problems
from redress.api.problems import Kind, ProblemError
from redress.contracts import scalars as s
from redress.contracts.instants import InstantError, parse_instant
from redress.domain.ids import Instant
from redress.domain.lot import LOTS_MAX
from redress.finance.liability import BY_ALL, By, Owed, load_liability
from redress.finance.moments import Moment
from redress.finance.movements import Period, PeriodError
from redress.finance.positions import Position
from redress.finance.programmes import LotView, load_funnel, load_programme_page
from redress.finance.roll_forward import load_roll_forward

router = APIRouter(prefix="/v1/programmes", tags=["programmes"])

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SPACED_OFFSET = re.compile(r" (\d{2}:\d{2})$")
_PATTERN = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[ +-]\d{2}:\d{2}))?$"
_MOMENT = "RFC 3339 with an offset, or a date: its midnight in the programme's time zone."
_EXAMPLES = ["2026-02-01", "2026-02-01T00:00:00+09:00"]

PAGE: Final = 100
PAGE_MAX: Final = 500
"""Waves of one page."""
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Waves of one page.")]
From = Annotated[
    int,
    Query(alias="from", ge=0, le=LOTS_MAX, description="Where the page begins: take it from `next`, as it is."),
]
MomentText = Annotated[str | None, Query(max_length=40, pattern=_PATTERN, description=_MOMENT, examples=_EXAMPLES)]
ByText = Annotated[
    str | None,
    Query(
        max_length=40,
        pattern=r"^(wave|benefit)(,(wave|benefit))?$",
        description="Tell rows apart by `wave`, `benefit`, or both, with a comma between.",
        examples=["wave,benefit"],
    ),
]


@router.get(
    "/{p}",
    operation_id="getProgramme",
    summary="Terms, waves and lots",
    response_model=None,
    responses={200: good(models.ProgrammeState), **problems(404, 422)},
)
async def get_programme(p: s.Programme, api: The, _caller: MayRead, limit: Limit = PAGE, start: From = 0) -> Response:
    """Every version of the terms and the waves as they were published, the waves' lots as they stand.

    Waves are in the order in which they were opened, page by page along `next`: a new one is on the last page.
    """
    async with api.reader.snapshot(api.reader.gates.figures) as connection:
        found = await load_programme_page(connection, p, start, limit)
    if found is None:
        raise _no_programme()
    view, beyond = found
    return json_response(
        {
            "programme": p,
            "versions": view.versions,
            "waves": view.waves,
            "lots": [_lot(lot) for lot in view.lots],
            "next": None if beyond is None else f"/v1/programmes/{p}?from={beyond}&limit={limit}",
        }
    )


@router.get(
    "/{p}/liability",
    operation_id="getLiability",
    summary="What is owed",
    response_model=None,
    responses={200: good(models.LiabilityView), **problems(404, 422)},
)
async def get_liability(
    p: s.Programme,
    api: The,
    _caller: MayRead,
    as_of: MomentText = None,
    known_at: MomentText = None,
    by: ByText = None,
) -> Response:
    """What is owed now, or as of a moment, as the ledger knew it at a moment. All of one snapshot."""
    period = Period(None, _moment(as_of, "as_of"), _moment(known_at, "known_at"))
    async with api.reader.snapshot(api.reader.gates.figures) as connection:
        found = await load_liability(connection, period, _by(by), p)
    if p not in found.sources:
        raise _no_programme()
    return json_response(
        {
            "programme": p,
            "as_of": _moment_text(period.end),
            "known_at": _moment_text(period.known_at),
            "final": found.final,
            "source": found.sources[p],
            "rows": [
                {
                    "programme": row.programme,
                    "wave": row.wave,
                    "benefit": row.benefit,
                    "currency": row.currency,
                    **_owed(row.owed),
                }
                for row in found.rows
            ],
            "totals": {currency: _owed(owed) for currency, owed in found.totals.items()},
            "position": _positions(found.positions),
        }
    )


@router.get(
    "/{p}/roll-forward",
    operation_id="getRollForward",
    summary="How what is owed came about",
    response_model=None,
    responses={200: good(models.RollForwardView), **problems(404, 422)},
)
async def get_roll_forward(
    p: s.Programme,
    api: The,
    _caller: MayRead,
    start: Annotated[
        str | None, Query(alias="from", max_length=40, pattern=_PATTERN, description=_MOMENT, examples=_EXAMPLES)
    ] = None,
    to: Annotated[str | None, Query(max_length=40, pattern=_PATTERN, description=_MOMENT, examples=_EXAMPLES)] = None,
    by: ByText = None,
) -> Response:
    """Opening, movements, closing, and the proof: closing less what the balances say is 0 on every row."""
    period = Period(_moment(start, "from"), _moment(to, "to"))
    async with api.reader.snapshot(api.reader.gates.figures) as connection:
        try:
            statement = await load_roll_forward(connection, period, _by(by), p)
        except PeriodError as error:
            raise ProblemError(Kind.INVALID, str(error), errors=[("query.to", "is before query.from")]) from None
    if p not in statement.sources:
        raise _no_programme()
    return json_response(
        {
            "programme": p,
            "from": _moment_text(period.start),
            "to": _moment_text(period.end),
            "proved": statement.is_proved,
            "source": statement.sources[p],
            "rows": [
                {
                    "programme": row.programme,
                    "wave": row.wave,
                    "benefit": row.benefit,
                    "currency": row.currency,
                    "opening": row.opening,
                    "movements": row.movements,
                    "closing": row.closing,
                    "outstanding": row.outstanding,
                    "difference": row.difference,
                }
                for row in statement.rows
            ],
            "position": _positions(statement.positions),
        }
    )


@router.get(
    "/{p}/waves/{w}",
    operation_id="getWave",
    summary="What became of a wave's people",
    response_model=None,
    responses={200: good(models.WaveState), **problems(404, 422)},
)
async def get_wave(p: s.Programme, w: s.Wave, api: The, _caller: MayRead) -> Response:
    """Expected = granted + refused + dead-lettered + missing; granted = issued + not issued + withdrawn."""
    async with api.reader.snapshot(api.reader.gates.figures) as connection:
        funnel = await load_funnel(connection, p, w)
    if funnel is None:
        raise ProblemError(Kind.NOT_FOUND, "the programme has no such wave")
    return json_response({name: getattr(funnel, name) for name in models.WaveState.model_fields})


def _no_programme() -> ProblemError:
    return ProblemError(Kind.NOT_FOUND, "there is no such programme in this ledger")


def _moment(text: str | None, name: str) -> Moment | None:
    """Reads a moment. A `+` that was not escaped has come as a space."""
    if text is None:
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return parse_instant(_SPACED_OFFSET.sub(r"+\1", text))
    except ValueError as error:
        reason = str(error) if isinstance(error, InstantError) else "no such date"
        raise ProblemError(Kind.INVALID, f"{name} is no moment", errors=[(f"query.{name}", reason)]) from None


def _moment_text(moment: Moment | None) -> str | None:
    return moment.isoformat() if isinstance(moment, date) else instant_text(_instant(moment))


def _instant(moment: Moment | None) -> Instant | None:
    return None if moment is None or isinstance(moment, date) else moment


def _by(text: str | None) -> By:
    return frozenset((text or "").split(",")) & BY_ALL


def _owed(owed: Owed) -> dict[str, Any]:
    return {name: getattr(owed, name) for name in models.Owed.model_fields}


def _positions(positions: list[Position]) -> list[dict[str, Any]]:
    return [
        {
            "shard": p.shard,
            "batch": p.batch,
            "next_seq": p.next_seq,
            "recorded_at": instant_text(p.recorded_at),
            "now": instant_text(p.now),
        }
        for p in positions
    ]


def _lot(lot: LotView) -> dict[str, Any]:
    return {
        "wave": lot.wave,
        "benefit": lot.benefit,
        "service": lot.service,
        "amount": lot.amount,
        "currency": lot.currency,
        "state": lot.status,
        "valid_from": instant_text(lot.valid_from),
        "valid_until": instant_text(lot.valid_until),
        "terms_version": lot.terms_version,
    }
