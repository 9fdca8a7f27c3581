"""`redress dead-letters`: what the ledger could not take."""

import unicodedata
from base64 import b64encode
from typing import Annotated, Any

import typer

from redress.cli.output import (
    AsJson,
    NotFoundError,
    WrongUseError,
    json_instant,
    note,
    plain_table,
    show_amount,
    show_instant,
    write,
    write_json,
    write_table,
)
from redress.cli.session import Session, open_session
from redress.domain.entry import DeadLetterReason
from redress.domain.event import Coordinates
from redress.ledger.connection import connect
from redress.runtime.dead_letters import (
    SHARD_MAX,
    CoordinatesError,
    DeadLetter,
    erase_dead_letter,
    list_dead_letters,
    parse_coordinates,
    show_dead_letter,
)

app = typer.Typer(help="What the ledger could not take: where it stands, why, and its bytes.", no_args_is_help=True)

LIST_MAX = 1_000
"""Dead letters of one list: what a terminal can show and a shard can have before its breaker stops it."""
LIST_DEFAULT = 50
_SPACES = frozenset("\n\t")

Where = Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The record, as the list names it.")]
Reason = Annotated[DeadLetterReason | None, typer.Option(help="Only those of this reason.")]
Shard = Annotated[int | None, typer.Option(min=0, max=SHARD_MAX, help="Only those of this shard.")]
Limit = Annotated[int, typer.Option(min=1, max=LIST_MAX, help="The newest so many.")]
Bytes = Annotated[bool, typer.Option("--bytes", help="Show the record's key and value, too.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list", epilog="Example: redress dead-letters list --reason malformed --limit 10")
def list_command(
    *, reason: Reason = None, shard: Shard = None, limit: Limit = LIST_DEFAULT, json: AsJson = False
) -> None:
    """The newest records that could not be taken."""
    session = open_session()
    letters, total = session.run(_list(session, reason, shard, limit))
    if json:
        write_json({"total": total, "dead_letters": [_as_json(session, letter) for letter in letters]})
        return
    if not letters:
        write("no dead letters" + (" like that" if reason or shard is not None else ""))
        return
    table = plain_table("record", "reason", "detail", "size", "recorded", "", numbers=("size",))
    for letter in letters:
        table.add_row(
            _name(session, letter.at),
            letter.reason.value,
            letter.detail,
            show_amount(letter.size),
            show_instant(letter.recorded_at),
            "erased" if letter.erased_at else "",
        )
    write_table(table)
    write(f"{len(letters):,} of {total:,}")


@app.command("show", epilog="Example: redress dead-letters show redress.redemption/3/1024 --bytes")
def show_command(where: Where, *, with_bytes: Bytes = False, json: AsJson = False) -> None:
    """One record that could not be taken. Exit status 1 if there is none there.

    With --bytes its key and value, as text where they are text, else in base64. They may say something about a person.
    """
    session = open_session()
    at = _coordinates(session, where)
    letter = session.run(_show(session, at))
    if letter is None:
        raise NotFoundError(f"no dead letter at {where}")
    if json:
        write_json(_as_json(session, letter) | (_bytes_as_json(letter) if with_bytes else {}))
        return
    shown = {
        "record": _name(session, letter.at),
        "reason": letter.reason.value,
        "detail": letter.detail,
        "type": letter.type or "-",
        "size": f"{letter.size:,} bytes",
        "sha256": letter.sha256,
        "shard": f"{letter.shard}, batch {letter.batch}, recorded {show_instant(letter.recorded_at)}",
    }
    if letter.erased_at is not None:
        shown["erased"] = show_instant(letter.erased_at)
    elif with_bytes:
        shown |= {"key": _text(letter.key), "value": _text(letter.value)}
    write("\n".join(f"{name:<8} {value}" for name, value in shown.items()))


@app.command("erase", epilog="Example: redress dead-letters erase redress.redemption/3/1024 --yes")
def erase_command(where: Where, *, yes: Yes = False, json: AsJson = False) -> None:
    """Erase the bytes of one record here; reason, size and SHA-256 stay. Exit status 1 if there is nothing to erase.

    The record on its topic is not touched.
    """
    session = open_session()
    at = _coordinates(session, where)
    letter = session.run(_show(session, at))
    if letter is None:
        raise NotFoundError(f"no dead letter at {where}")
    if letter.erased_at is not None:
        raise NotFoundError(f"the bytes of {where} were erased {show_instant(letter.erased_at)}")
    if not yes and not typer.confirm(f"Erase {letter.size:,} bytes of {where} for good?", err=True):
        note("nothing was erased")
        raise typer.Exit(1)
    if not session.run(_erase(session, at)):
        raise NotFoundError(f"the bytes of {where} were erased meanwhile")
    if json:
        write_json({"record": _name(session, at), "erased": True, "size": letter.size, "sha256": letter.sha256})
    else:
        write(f"erased {letter.size:,} bytes of {where}")
        note("the record on its topic is not touched, and a recovery from there brings these bytes back")


def _coordinates(session: Session, where: str) -> Coordinates:
    try:
        return parse_coordinates(where, session.settings.topic_prefix)
    except CoordinatesError as error:
        raise WrongUseError(str(error)) from None


async def _list(
    session: Session, reason: DeadLetterReason | None, shard: int | None, limit: int
) -> tuple[list[DeadLetter], int]:
    async with session.snapshot() as connection:
        return await list_dead_letters(connection, reason, shard, limit)


async def _show(session: Session, at: Coordinates) -> DeadLetter | None:
    async with session.snapshot() as connection:
        return await show_dead_letter(connection, at)


async def _erase(session: Session, at: Coordinates) -> bool:
    connection = await connect(session.servers.postgres, application_name="redress-cli")
    try:
        return await erase_dead_letter(connection, at)
    finally:
        await connection.close()


def _name(session: Session, at: Coordinates) -> str:
    """As Kafka names the topic, and as the key of the event on `redress.dead-letter`."""
    return f"{session.settings.topic_prefix}{at.topic}/{at.partition}/{at.offset}"


def _as_json(session: Session, letter: DeadLetter) -> dict[str, Any]:
    return {
        "record": _name(session, letter.at),
        "topic": session.settings.topic_prefix + letter.at.topic,
        "partition": letter.at.partition,
        "offset": letter.at.offset,
        "shard": letter.shard,
        "batch": letter.batch,
        "reason": letter.reason.value,
        "detail": letter.detail,
        "type": letter.type,
        "size": letter.size,
        "sha256": letter.sha256,
        "recorded_at": json_instant(letter.recorded_at),
        "erased_at": json_instant(letter.erased_at),
    }


def _bytes_as_json(letter: DeadLetter) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, raw in (("key", letter.key), ("value", letter.value)):
        text = _as_text(raw)
        found[name] = text if text is not None or raw is None else b64encode(raw).decode()
        found[f"{name}_encoding"] = None if raw is None else "utf-8" if text is not None else "base64"
    return found


def _text(raw: bytes | None) -> str:
    if raw is None:
        return "(none)"
    text = _as_text(raw)
    return text if text is not None else f"base64:{b64encode(raw).decode()}"


def _as_text(raw: bytes | None) -> str | None:
    """The bytes as text, if a terminal can show all of it: what moves its cursor or colours it cannot be shown."""
    try:
        text = raw.decode() if raw is not None else None
    except UnicodeDecodeError:
        return None
    if text is None or any(unicodedata.category(c) in {"Cc", "Cf"} and c not in _SPACES for c in text):
        return None
    return text
