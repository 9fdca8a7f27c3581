"""Writes what is generated under `schemas/`: a JSON Schema and an example per type of event, the envelope's, and the
AsyncAPI document of all topics.

`python -m redress.contracts.generate [--check] schemas`; with `--check` nothing is written, and exit status 1 says
that files differ from what would be.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import GenerateJsonSchema

from redress.contracts.asyncapi import asyncapi_document
from redress.contracts.envelope import ATTRIBUTE_PATTERN, Envelope
from redress.contracts.examples import example_events
from redress.contracts.registry import TYPES, InputType, OutputType

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_GENERATED: Final = ("*.schema.json", "*/*.schema.json", "examples/*.json")


class _Untitled(GenerateJsonSchema):
    """Titles made from field names say nothing that the names do not."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature is pydantic's
        return False


def event_schema(known: InputType | OutputType) -> dict[str, Any]:
    """JSON Schema of a whole event of that type, in itself complete."""
    fields: dict[str, Any] = {
        "type": Annotated[Literal[known.name], Field(description="Name and version of the event.")],
        "data": known.model,
    }
    event = create_model(known.name, __base__=Envelope, **fields)
    about = f"{known.model.__doc__} On topic `{known.topic.value}`."
    return _schema(event, known.name, about)


def envelope_schema() -> dict[str, Any]:
    """JSON Schema of what stands around the data of any event."""
    return _schema(Envelope, "envelope", Envelope.__doc__ or "")


def generated_files() -> dict[Path, str]:
    """All generated files, by their path under `schemas/`."""
    files = {
        Path("envelope.schema.json"): _text(envelope_schema()),
        Path("asyncapi.json"): _text(asyncapi_document()),
    }
    for known in TYPES.values():
        files[Path(known.topic.value) / f"{known.name}.schema.json"] = _text(event_schema(known))
    for name, event in example_events().items():
        files[Path("examples") / f"{name}.json"] = _text(event)
    return files


def differing(root: Path) -> list[Path]:
    """Paths under `root` that are missing, differ, or were generated once and are no more."""
    files = generated_files()
    wrong = [path for path, text in files.items() if _read(root / path) != text]
    return sorted({*wrong, *_orphans(root, files)})


def write(root: Path) -> list[Path]:
    """Makes the files agree; returns the paths that differed."""
    files = generated_files()
    wrong = differing(root)
    for path in wrong:
        if path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
        else:
            (root / path).unlink()
    return wrong


def _schema(model: type[BaseModel], name: str, about: str) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_Untitled)
    head = {"$schema": DIALECT, "$id": f"urn:redress:schema:{name}", "title": name, "description": about}
    return {
        **head,
        **{k: v for k, v in schema.items() if k not in head},
        "propertyNames": {"pattern": ATTRIBUTE_PATTERN},
    }


def _orphans(root: Path, files: dict[Path, str]) -> set[Path]:
    return {path.relative_to(root) for pattern in _GENERATED for path in root.glob(pattern)} - files.keys()


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m redress.contracts.generate", description="Generates schemas.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if files differ")
    parser.add_argument("root", type=Path, help="the folder `schemas`")
    options = parser.parse_args(arguments)
    wrong = differing(options.root) if options.check else write(options.root)
    verb = "differs from what is generated" if options.check else "written"
    sys.stdout.writelines(f"{options.root / path}: {verb}\n" for path in wrong)
    return 1 if options.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
