"""The generated files are what the models say, and they agree with the decoder."""

from pathlib import Path

from jsonschema import Draft202012Validator

from redress.contracts.generate import event_schema
from redress.contracts.registry import TYPES

SCHEMAS = Path(__file__).parents[2] / "schemas"
VALIDATORS = {name: Draft202012Validator(event_schema(known)) for name, known in TYPES.items()}
