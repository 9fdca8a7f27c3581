"""Guards the published contract: what was released stays readable, and nothing is declared by halves.

`python -m redress.contracts.compatibility schemas` compares `schemas/` with every release below `schemas/released/`,
and the registry of types with what lies in `schemas/`; exit status 1 and one line for each thing that is wrong. Within
a `vN` only optional fields may be added (CONTRACT section 1): anything else is another version. With `--release v0.2.0`
the current schemas are kept as that release.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from redress.contracts.registry import TYPES
from redress.contracts.topics import Topic, parse_topics

RELEASED: Final = "released"
TOPICS_FILE: Final = "topics.toml"
ANNOTATIONS: Final = frozenset({"title", "description", "examples", "$comment", "$defs", "$id", "$schema"})
"""What says something to a reader and nothing to a validator."""
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_TIMES: Final = ("retention.ms", "retention.bytes")

Schema = dict[str, Any]


def problems(root: Path) -> Iterator[str]:
    """Everything that is wrong, one line each."""
    current = _schemas(root)
    yield from _halves(root, current)
    topics = {topic.name: topic for topic in parse_topics((root / TOPICS_FILE).read_text(encoding="utf-8"))}
    releases = sorted(path for path in (root / RELEASED).glob("*") if path.is_dir())
    if not releases:
        yield f"{RELEASED}/: no release to compare with"
    for release in releases:
        for name, (topic, schema) in _schemas(release).items():
            yield from (f"{problem} (released in {release.name})" for problem in _type(name, topic, schema, current))
        for kept in parse_topics((release / TOPICS_FILE).read_text(encoding="utf-8")):
            now = topics.get(kept.name)
            yield from (f"{problem} (released in {release.name})" for problem in _topic(kept, now))


def broken(old: Schema, new: Schema) -> Iterator[tuple[str, str]]:
    """Where and how `new` breaks with `old`; both whole schemas."""
    return _compare(_Node(old, old), _Node(new, new), "")


class _Node:
    """A piece of a schema, with the whole it is resolved in."""

    def __init__(self, piece: Any, whole: Schema) -> None:
        while isinstance(piece, dict) and "$ref" in piece:
            piece = {**_resolve(piece["$ref"], whole), **{k: v for k, v in piece.items() if k != "$ref"}}
        self.piece = piece
        self.whole = whole

    def __getitem__(self, key: str | int) -> "_Node":
        return _Node(self.piece[key], self.whole)

    def rules(self) -> Schema:
        """What a validator looks at."""
        return {key: value for key, value in self.piece.items() if key not in ANNOTATIONS}


def _compare(old: _Node, new: _Node, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(old.piece, dict) or not isinstance(new.piece, dict):
        if old.piece != new.piece:
            yield where, f"was {_short(old.piece)}, is {_short(new.piece)}"
        return
    before, after = old.rules(), new.rules()
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key) and not _holds_schemas(key):
            continue
        yield from _rule(key, old, new, where)


def _rule(key: str, old: _Node, new: _Node, where: str) -> Iterator[tuple[str, str]]:
    before, after = old.piece.get(key), new.piece.get(key)
    match key:
        case "properties":
            yield from _fields(old, new, where)
        case "required":
            yield from _required(set(before or ()), set(after or ()), old, where)
        case "items" | "additionalProperties" | "propertyNames" if isinstance(before, dict) and isinstance(after, dict):
            yield from _compare(old[key], new[key], f"{where}[]" if key == "items" else where)
        case "anyOf" | "oneOf" | "allOf" | "prefixItems" if before and after and len(before) == len(after):
            for index in range(len(before)):
                yield from _compare(old[key][index], new[key][index], where)
        case _:
            yield where, _changed(key, before, after)


def _fields(old: _Node, new: _Node, where: str) -> Iterator[tuple[str, str]]:
    before, after = old.piece.get("properties", {}), new.piece.get("properties", {})
    for name in before:
        at = f"{where}.{name}" if where else name
        if name not in after:
            yield at, "the field was removed or renamed"
        else:
            yield from _compare(old["properties"][name], new["properties"][name], at)


def _required(before: set[str], after: set[str], old: _Node, where: str) -> Iterator[tuple[str, str]]:
    known = old.piece.get("properties", {})
    for name in sorted(after - before):
        at = f"{where}.{name}" if where else name
        yield at, "the field is required now" if name in known else "the field is new and required"
    for name in sorted(before - after):
        yield (f"{where}.{name}" if where else name), "the field is required no more"


def _changed(key: str, before: Any, after: Any) -> str:
    change = f"{key} was {_short(before)}, is {_short(after)}"
    if key == "type":
        return f"another type: {change}"
    if before is None:
        return f"tightened: {change}"
    if after is None:
        return f"loosened: {change}"
    if key in _LOWER | _UPPER:
        return f"{'tightened' if (after > before) == (key in _LOWER) else 'loosened'}: {change}"
    return change


def _type(name: str, topic: str, schema: Schema, current: dict[str, tuple[str, Schema]]) -> Iterator[str]:
    if name not in current:
        yield f"{name}: the type was removed"
        return
    moved_to, now = current[name]
    if moved_to != topic:
        yield f"{name}: was on topic {topic}, is on {moved_to}"
    yield from (f"{name}: {where or 'the event'}: {what}" for where, what in broken(schema, now))


def _topic(old: Topic, new: Topic | None) -> Iterator[str]:
    if new is None:
        yield f"{old.name}: the topic was removed"
        return
    for what in ("direction", "key", "partitions"):
        before, after = getattr(old, what), getattr(new, what)
        if before != after:
            yield f"{old.name}: {what} was {before!r}, is {after!r}"
    if old.config["cleanup.policy"] != new.config.get("cleanup.policy"):
        yield f"{old.name}: cleanup.policy was {old.config['cleanup.policy']}, is {new.config.get('cleanup.policy')}"
    for what in _TIMES:
        if _kept(new.config.get(what, 0)) < _kept(old.config[what]):
            yield f"{old.name}: {what} was {old.config[what]}, is {new.config.get(what)}: less is kept"


def _kept(setting: Any) -> float:
    return float("inf") if setting == -1 else float(setting)


def _halves(root: Path, current: dict[str, tuple[str, Schema]]) -> Iterator[str]:
    """Types without schema or example, schemas and examples without type, topics without types, types without topic."""
    examples = {path.name.removesuffix(".json") for path in (root / "examples").glob("*.json")}
    for name, known in TYPES.items():
        if name not in current:
            yield f"{name}: a model without schema in {known.topic.value}/"
        elif current[name][0] != known.topic.value:
            yield f"{name}: its schema lies in {current[name][0]}/, its topic is {known.topic.value}"
        if name not in examples:
            yield f"{name}: a model without example"
    for name in sorted(current.keys() - TYPES.keys()):
        yield f"{name}: a schema without model"
    for name in sorted(examples - TYPES.keys()):
        yield f"{name}: an example without model"
    declared = {topic.name for topic in parse_topics((root / TOPICS_FILE).read_text(encoding="utf-8"))}
    used = {known.topic.value for known in TYPES.values()}
    for topic in sorted(used - declared):
        yield f"{topic}: types without declared topic"
    for topic in sorted(declared - used):
        yield f"{topic}: a declared topic without types"


def _schemas(root: Path) -> dict[str, tuple[str, Schema]]:
    """By type: the folder it lies in, which is its topic, and the schema."""
    return {
        path.name.removesuffix(".schema.json"): (path.parent.name, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(root.glob("redress.*/*.schema.json"))
    }


def _resolve(reference: str, whole: Schema) -> Schema:
    found: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _holds_schemas(key: str) -> bool:
    """Whether equal text may mean different things, because it refers to definitions."""
    return key in {"properties", "items", "anyOf", "oneOf", "allOf", "prefixItems"}


def _short(value: Any) -> str:
    return "not there" if value is None else json.dumps(value, ensure_ascii=False)[:80]


def keep(root: Path, release: str) -> None:
    """Keep the current schemas as a release."""
    folder = root / RELEASED / release
    for path in (*root.glob("redress.*/*.schema.json"), root / "envelope.schema.json", root / TOPICS_FILE):
        kept = folder / path.relative_to(root)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m redress.contracts.compatibility", description="Guards schemas.")
    parser.add_argument("--release", metavar="VERSION", help="keep the current schemas as this release")
    parser.add_argument("root", type=Path, help="the folder `schemas`")
    options = parser.parse_args(arguments)
    if options.release is not None:
        keep(options.root, options.release)
    found = list(problems(options.root))
    sys.stdout.writelines(f"{options.root}: {problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
