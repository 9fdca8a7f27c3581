"""A real Kafka and a real Postgres on this machine, for the demo, the tests and a first look."""

from redress.runtime.local.errors import StackError
from redress.runtime.local.options import Options
from redress.runtime.local.stack import External, Stack, down, running, status, up

__all__ = ["External", "Options", "Stack", "StackError", "down", "running", "status", "up"]
