"""What all commands have in common, of the whole tree of them."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from redress.cli.main import app


def commands(command: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by what is typed for it."""
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)
    if not hasattr(command, "commands"):
        yield " ".join(names), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_json_and_says_how_it_is_used(name: str) -> None:
    command = COMMANDS[name]

    assert "--json" in [option for parameter in command.params for option in parameter.opts]
    assert f"redress {name}" in f"{command.epilog} {command.help}"
    assert all(getattr(parameter, "help", None) for parameter in command.params)
