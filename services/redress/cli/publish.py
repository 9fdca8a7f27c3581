"""`redress publish`: events of a file to their topics."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from redress.cli.output import AsJson, WrongUseError, note, write, write_json
from redress.cli.progress_view import ProgressView
from redress.cli.session import Session, open_session
from redress.runtime.publish.barrier import LedgerProgress
from redress.runtime.publish.bookmark import Bookmark
from redress.runtime.publish.bookmark import Progress as Kept
from redress.runtime.publish.feed import Feed, Report
from redress.runtime.publish.lines import Place, Unrouted, skip
from redress.runtime.topics import check_topics

EXIT_UNROUTED = 1
BOOKMARK_SECONDS = 0.5
"""How often the place in the file is kept: what is sent again after a crash is a duplicate to the ledger."""
UNROUTED_SHOWN_MAX = 1_000
"""Lines that could not be routed, told one by one; the rest is counted."""

File = Annotated[str, typer.Argument(metavar="FILE", help="NDJSON, one event per line; `-` reads standard input.")]
FromLine = Annotated[
    int | None, typer.Option(min=1, help="Begin with this line, whatever was sent before.", show_default=False)
]
Barriers = Annotated[
    bool,
    typer.Option(
        "--barriers/--no-barriers",
        help="From the ledger's first tick on, have it take everything before a control event first.",
    ),
]


def publish_command(file: File, *, from_line: FromLine = None, barriers: Barriers = True, json: AsJson = False) -> None:
    """Send the events of a file to their topics, unchanged, each by its type and its partitionkey.

    The same command goes on where it was interrupted. A line without a known type or a partitionkey is reported as
    file:line, and the exit status is 1; any other is sent, and the ledger says what is wrong with it.
    """
    session = open_session()
    publishing = _Publishing(session, file, barriers=barriers)
    publishing.run(from_line)
    report = publishing.report
    if json:
        write_json(
            {
                "file": file,
                "lines": report.place.line,
                "sent": sum(report.sent.values()),
                "by_topic": dict(report.sent),
                "unrouted": report.unrouted,
                "unrouted_lines": publishing.unrouted,
                "barriers": report.barriers,
                "seconds": round(report.seconds, 3),
            }
        )
    else:
        topics = ", ".join(f"{topic} {count:,}" for topic, count in sorted(report.sent.items()))
        write(
            f"sent {sum(report.sent.values()):,} events in {report.seconds:.1f} s" + (f": {topics}" if topics else "")
        )
    if report.unrouted:
        note(f"{file}: {report.unrouted:,} lines could not be routed")
        raise typer.Exit(EXIT_UNROUTED)


class _Publishing:
    """One run of the command."""

    def __init__(self, session: Session, file: str, *, barriers: bool) -> None:
        self.report = Report(Place())
        self.unrouted: list[Unrouted] = []
        self._session = session
        self._file = file
        self._barriers = barriers
        self._bookmark: Bookmark | None = None
        self._view: ProgressView
        self._kept_at = 0.0

    def run(self, from_line: int | None) -> None:
        """Send the file from where it stands to its end."""
        with self._opened() as opened:
            self.report.place = self._begin(opened, from_line)
            try:
                self._session.run(self._send(opened))
            except BaseException:
                self._say_how_to_go_on()
                raise
        if self._bookmark is not None:
            self._bookmark.forget()

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self._file == "-":
            yield sys.stdin.buffer
            return
        path = Path(self._file)
        try:
            with path.open("rb") as opened:
                self._bookmark = Bookmark(self._session.settings.state, path, self._session.servers)
                yield opened
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise WrongUseError(f"{error.filename}: {error.strerror}") from None

    def _begin(self, opened: BinaryIO, from_line: int | None) -> Place:
        if from_line is not None:
            return skip(opened, from_line - 1)
        kept = self._bookmark.read() if self._bookmark is not None else None
        if kept is None:
            return Place()
        opened.seek(kept.place.offset)
        self.report.unrouted = kept.unrouted
        note(f"{self._file}: going on after line {kept.place.line:,}, where it was interrupted")
        return kept.place

    async def _send(self, opened: BinaryIO) -> None:
        servers, shards = self._session.servers, self._session.identity.shards
        _cancel_on_sigterm()
        await check_topics(servers.kafka, servers.topic_prefix, shards)
        if self._barriers:
            await self._session.check()
        with ProgressView(self._file, _size_of(opened)) as view:
            self._view = view
            ledger = LedgerProgress(servers, shards, self._tell) if self._barriers else None
            feed = Feed(servers, shards, ledger, unrouted=self._cannot_route, moved=self._acknowledged, tell=self._tell)
            try:
                await feed.send(opened, self.report)
            finally:
                if ledger is not None:
                    await ledger.stop()

    def _tell(self, message: str) -> None:
        self._view.say(f"redress: {message}")

    def _cannot_route(self, unrouted: Unrouted) -> None:
        if len(self.unrouted) < UNROUTED_SHOWN_MAX:
            self.unrouted.append(unrouted)
        self._view.say(f"{self._file}:{unrouted.line}: {unrouted.reason}")

    def _acknowledged(self, report: Report) -> None:
        self._view.show(report.place)
        if self._bookmark is not None and time.monotonic() - self._kept_at >= BOOKMARK_SECONDS:
            self._kept_at = time.monotonic()
            self._bookmark.write(Kept(report.place, report.unrouted))

    def _say_how_to_go_on(self) -> None:
        place = self.report.place
        if place.line == 0:
            return
        if self._bookmark is not None:
            self._bookmark.write(Kept(place, self.report.unrouted))
            note(f"{self._file}: sent up to line {place.line:,}; the same command goes on there")
        else:
            note(f"sent up to line {place.line:,}; go on with --from-line {place.line + 1}")


def _size_of(opened: BinaryIO) -> int | None:
    """Bytes of a regular file; None for a pipe."""
    stat = os.fstat(opened.fileno())
    return stat.st_size or None


def _cancel_on_sigterm() -> None:
    """SIGTERM ends the command as Ctrl-C does: with the place kept. Signals reach the main thread only."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
