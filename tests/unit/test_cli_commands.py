"""What all commands have in common, of the whole tree of them."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from redress.cli.main import app
from redress.cli.start import start


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


class CtrlC:
    """Comes while the commands are loaded."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "redress.cli.main":
            raise KeyboardInterrupt


def test_ctrl_c_while_the_commands_are_loaded_is_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "redress.cli.main")
    monkeypatch.setattr(sys, "meta_path", [CtrlC(), *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        start()

    assert (ended.value.code, capsys.readouterr().err) == (130, "redress: interrupted\n")
