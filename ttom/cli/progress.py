"""What the command line shows while it works, and the tables it prints afterwards."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ttom.types import STAGE_LABELS, Stage


class ProgressDisplay:
    """One bar per stage on standard error; nothing when quiet, or where that is not a terminal.

    Use as a context manager; hand it to `TTOM.generate` as ``progress``.

    Args:
        prompts: Number of prompts, shown in a bar above the stages of the current one; `next_prompt` counts them.
        quiet: Show nothing.
        stream: In place of standard error.
    """

    def __init__(self, *, prompts: int | None = None, quiet: bool = False, stream: TextIO | None = None) -> None:
        console = Console(file=stream or sys.stderr)
        self._bars = Progress(
            TextColumn("{task.description:<10}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[loss]}"), console=console, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self._prompts = self._bars.add_task("prompts", total=prompts, loss="") if prompts is not None else None
        self._stages: dict[Stage, TaskID] = {}

    def __enter__(self) -> ProgressDisplay:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def __call__(self, stage: Stage, done: int, total: int, loss: float | None = None) -> None:
        if stage not in self._stages:
            self._stages[stage] = self._bars.add_task(STAGE_LABELS[stage], total=total, loss="")
        shown = f"loss {loss:.4f}" if loss is not None else ""
        self._bars.update(self._stages[stage], completed=done, total=total, loss=shown)

    def advance(self, stage: Stage) -> None:
        """Count one more unit of a stage."""
        self._bars.advance(self._stages[stage])

    def next_prompt(self) -> None:
        """Count a prompt, and clear its stages."""
        if self._prompts is not None:
            self._bars.advance(self._prompts)
        while self._stages:
            self._bars.remove_task(self._stages.popitem()[1])


def print_table(table: Table) -> None:
    """Print a table to standard output; into a file or a pipe at its full width, one line a row."""
    console = Console(file=sys.stdout, highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    console.width = 10_000
    with console.capture() as shown:
        console.print(table)
    print("\n".join(line.rstrip() for line in shown.get().splitlines()))
