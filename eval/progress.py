"""One line of progress for all workers: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 60.0


class CaseProgress:
    """Counts cases of a run as they are done; use as a context manager.

    Args:
        what: What is counted, such as "videos".
        total: Cases to do.
        quiet: Show nothing.
    """

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        self._what, self._total, self._quiet = what, total, quiet
        console = Console(stderr=True)
        self._lines = not quiet and not console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=console, disable=quiet or self._lines,
        )  # fmt: skip
        self._task = self._bar.add_task(what, total=total, note="")
        self._done, self._start, self._said = 0, time.monotonic(), time.monotonic()

    def __enter__(self) -> CaseProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def one_more(self, note: str = "") -> None:
        """Count a case; the note stands behind the bar."""
        self._done += 1
        self._bar.update(self._task, advance=1, note=note)
        now = time.monotonic()
        if self._lines and now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            left = (now - self._start) / self._done * (self._total - self._done)
            print(f"{self._done} of {self._total} {self._what}, about {_spelled(left)} left {note}", file=sys.stderr)


def _spelled(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
