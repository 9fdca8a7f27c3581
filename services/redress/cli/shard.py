"""`redress shard`: shards that stand still."""

from typing import Annotated

import typer

from redress.cli.output import AsJson, NotFoundError, WrongUseError, json_instant, show_instant, write, write_json
from redress.cli.session import Session, open_session
from redress.ledger.connection import connect
from redress.runtime.dead_letters import Stopped, resume_shard

app = typer.Typer(help="Shards that stand still.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="N", min=0, help="The shard's number.")]


@app.callback()
def root() -> None:
    """Nothing before the sub-command."""


@app.command("resume", epilog="Example: redress shard resume 3")
def resume_command(number: Number, *, json: AsJson = False) -> None:
    """Let a stopped shard go on. Exit status 1 if it was not stopped.

    A shard stops when most of what it reads cannot be read, when its database is behind what was published, or when
    it refuses what falls due. Find out why first: the shard goes on where it stood, and stops again if nothing has
    changed.
    """
    session = open_session()
    if number >= session.identity.shards:
        raise WrongUseError(f"the ledger has shards 0 to {session.identity.shards - 1}")
    stopped = session.run(_resume(session, number))
    if stopped is None:
        raise NotFoundError(f"shard {number} is not stopped")
    if json:
        since = json_instant(stopped.since)
        write_json({"shard": number, "since": since, "reason": stopped.reason, "detail": stopped.detail})
    else:
        write(f"shard {number} goes on; it stood since {show_instant(stopped.since)}: {stopped.detail}")


async def _resume(session: Session, number: int) -> Stopped | None:
    await session.check()
    connection = await connect(session.servers.postgres, application_name="redress-cli")
    try:
        return await resume_shard(connection, number)
    finally:
        await connection.close()
