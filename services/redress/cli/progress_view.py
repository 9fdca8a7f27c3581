"""How far a file was sent, as a bar on a terminal's standard error; elsewhere only what there is to say."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from redress.runtime.publish.lines import Place


class ProgressView:
    """A bar by bytes, with the line; `size` is None where nobody knows how much there is."""

    def __init__(self, title: str, size: int | None) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("line {task.fields[line]:,}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._progress.add_task(title, total=size, line=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, place: Place) -> None:
        """So much is acknowledged."""
        self._progress.update(self._task, completed=place.offset, line=place.line)

    def say(self, message: str) -> None:
        """A line above the bar."""
        if self._progress.disable:
            sys.stderr.write(message + "\n")
        else:
            self._console.print(message, markup=False, highlight=False)
