"""The files of deploy/local, from the wheel or, in an editable checkout, from the repository."""

from importlib.resources import files
from pathlib import Path
from string import Template

REPOSITORY_COPY = Path(__file__).parents[4] / "deploy" / "local"


def text(name: str) -> str:
    packaged = files("redress.runtime.local") / "data" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (REPOSITORY_COPY / name).read_text(encoding="utf-8")


def fill(name: str, values: dict[str, str]) -> str:
    """The template with every ${…} replaced; an unknown one is an error of ours (KeyError)."""
    return Template(text(name)).substitute(values)


def pairs(properties: str) -> dict[str, str]:
    """The `key = value` lines of a properties or postgresql.conf text, quotes taken off."""
    lines = (line.strip() for line in properties.splitlines())
    split = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("'") for key, _, value in split}
