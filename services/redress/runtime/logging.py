"""Log lines, configured once: `key=value` text, or JSON with REDRESS_LOG=json. Always on standard error.

Tracebacks are Python's own plain ones: a renderer that shows local variables would show the database's password.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogForm = Literal["text", "json"]

REPEAT_SECONDS: Final = 10.0
"""How long a line of a client library is not repeated: its retries come several times a second."""
_TEMPLATES_MAX: Final = 1_000
"""Lines that are remembered, so that none is repeated at once: the libraries have some dozens."""
_RETRYING: Final = (
    "Group Coordinator Request failed",
    "NotLeaderForPartition",
    "Got error produce response",
    "is not available during auto-create initialization",
    "Marking the coordinator dead",
    "Unable to update metadata",
)
"""What aiokafka says of things it tries again by itself, and which pass within a moment."""


def configure_logging(form: LogForm = "text", level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging alike. May be called again; the last call counts."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _ErrorStreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
        )
    )
    handler.addFilter(_Calm(time.monotonic))
    root = logging.getLogger()
    root.handlers = [*(each for each in root.handlers if not isinstance(each, _ErrorStreamHandler)), handler]
    root.setLevel(level)
    # What a client library says of its normal course is no news to an operator.
    logging.getLogger("aiokafka").setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)


class _ErrorStreamHandler(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at the moment: a live view may stand in for it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Calm(logging.Filter):
    """Keeps aiokafka's retries out of the log (they are its own business), and its other lines from repeating."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        message = record.getMessage()
        if any(part in message for part in _RETRYING):
            return logging.getLogger().level <= logging.DEBUG
        key = record.name, str(record.msg)
        now = self._clock()
        if now - self._said.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        if len(self._said) >= _TEMPLATES_MAX:
            self._said.clear()
        self._said[key] = now
        return True


def _renderer(form: LogForm) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return _render_text


def _render_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """`time level event key=value …`, a traceback on lines of its own."""
    event = dict(event)
    traceback = event.pop("exception", None)
    head = " ".join(str(event.pop(key, "-")) for key in ("timestamp", "level", "event"))
    line = " ".join([head, *_pairs(event)])
    return f"{line}\n{traceback}" if traceback else line


def _pairs(event: Mapping[str, Any] | MutableMapping[str, Any]) -> list[str]:
    return [f"{key}={_quoted(value)}" for key, value in event.items()]


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text and not any(character.isspace() or character in '"=' for character in text)
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
