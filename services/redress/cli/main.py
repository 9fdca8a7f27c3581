"""The root of `redress …`: sub-commands, and how an error reaches the user."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import orjson
import typer
from typer.exceptions import TyperException

from redress.cli import local
from redress.runtime.local import StackError
from redress.runtime.settings import SettingsError

EXIT_WRONG_USE_OR_UNREACHABLE = 2
EXIT_INTERRUPTED = 130

# Errors a user can do something about: one clear line (a server's log may follow), never a stack trace.
EXPECTED: tuple[type[Exception], ...] = (SettingsError, StackError)

app = typer.Typer(
    name="redress",
    pretty_exceptions_enable=False,
    help="The ledger for mass compensation. Exit status: 0 done, 1 a check failed, 2 wrong use or unreachable server.",
)
app.add_typer(local.app, name="local")


def _print_version(*, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"redress {version('redress')}\n")
        raise typer.Exit


@app.callback()
def root(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Nothing before the sub-command: each reads its settings itself."""


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit status of `redress ARGUMENTS…`."""
    in_json = "--json" in arguments
    try:
        status = int(app(args=list(arguments) or ["--help"], prog_name="redress", standalone_mode=False) or 0)
    except TyperException as error:
        return _fail(error.format_message(), in_json=in_json)
    except EXPECTED as error:
        return _fail(str(error), in_json=in_json)
    except (KeyboardInterrupt, typer.Abort):
        status = EXIT_INTERRUPTED
    if status == EXIT_INTERRUPTED:  # Typer turns Ctrl-C into this status by itself
        sys.stderr.write("redress: interrupted\n")
    return status


def _fail(message: str, *, in_json: bool) -> int:
    if in_json:
        sys.stdout.write(orjson.dumps({"error": message}).decode() + "\n")
    else:
        sys.stderr.write(f"redress: {message}\n")
    return EXIT_WRONG_USE_OR_UNREACHABLE


if __name__ == "__main__":
    main()
