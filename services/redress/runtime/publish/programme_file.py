"""A programme as a TOML file: one table [programme] with the terms, and a [[wave]] for each wave.

The fields are those of `redress.programme.published.v1` and `redress.wave.opened.v1`; what may be null there may be
left out here. A wave is of the file's programme, and of its version unless it names another.
"""

import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from redress.contracts import programme as contract
from redress.contracts.detail import detail
from redress.domain.event import ProgrammePublished, WaveOpened

FILE_BYTES_MAX: Final = 1024 * 1024
"""A hundred times what a programme with all its waves needs; a path given by mistake must not fill the memory."""

Model = TypeVar("Model", contract.ProgrammePublished, contract.WaveOpened)


class ProgrammeFileError(Exception):
    """The file cannot be used. The message names the file, the table and the field."""


def read_programme(path: Path) -> list[ProgrammePublished | WaveOpened]:
    """The events the file stands for, terms first.

    Raises:
        ProgrammeFileError: it cannot be read, or says something the contract does not take.
    """
    document = _load(path)
    unknown = sorted(document.keys() - {"programme", "wave"})
    if unknown:
        raise ProgrammeFileError(f"{path}: [{unknown[0]}]: only [programme] and [[wave]] are known")
    terms = document.get("programme")
    if not isinstance(terms, dict):
        raise ProgrammeFileError(f"{path}: [programme]: missing")
    published = _validate(path, "[programme]", contract.ProgrammePublished, {"vouchers_per_order": None, **terms})
    return [published.to_domain(), *_waves(path, document.get("wave", []), published)]


def _waves(path: Path, tables: Any, published: contract.ProgrammePublished) -> list[WaveOpened]:
    if not isinstance(tables, list):
        raise ProgrammeFileError(f"{path}: [wave]: write it as [[wave]], there may be several")
    given = {"programme": published.programme, "terms_version": published.version}
    opened: list[WaveOpened] = []
    for number, table in enumerate(tables, start=1):
        name = f"[[wave]] {number}"
        if not isinstance(table, dict):
            raise ProgrammeFileError(f"{path}: {name}: not a table")
        fields = {**given, "expected": None, "roster_sha256": None, **table}
        wave = _validate(path, name, contract.WaveOpened, fields)
        if wave.programme != published.programme:
            raise ProgrammeFileError(f"{path}: {name}: programme: not the one of [programme]")
        if wave.wave in {other.wave for other in opened}:
            raise ProgrammeFileError(f"{path}: {name}: wave: given twice")
        opened.append(wave.to_domain())
    return opened


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ProgrammeFileError(f"{path}: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ProgrammeFileError(f"{path}: more than {FILE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(raw.decode())
    except RecursionError:
        raise ProgrammeFileError(f"{path}: not TOML: nested too deep") from None
    except ValueError as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise ProgrammeFileError(f"{path}: not TOML: {error}") from None


def _validate(path: Path, table: str, model: type[Model], fields: dict[str, Any]) -> Model:
    try:
        return model.model_validate({name: _as_wire(value) for name, value in fields.items()})
    except ValidationError as error:
        raise ProgrammeFileError(f"{path}: {table}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """`field: rule`, or the rule alone where it is about several. As `detail`, but what the user wrote is named."""
    first = error.errors(include_url=False, include_input=False)[0]
    if not first["loc"]:
        return first["msg"]
    if first["type"] == "extra_forbidden":
        return f"{'.'.join(map(str, first['loc']))}: unknown field"
    return detail((), error)


def _as_wire(value: Any) -> Any:
    """TOML's own times as the text the contract takes; one without an offset is refused there."""
    return value.isoformat() if isinstance(value, datetime | date | time) else value
