"""The progress display of the command line."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from ttom.types import Stage

LABELS: dict[str, str] = {
    "plan": "planning",
    "load": "loading",
    "optimize": "optimising",
    "sample": "sampling",
    "decode": "decoding",
}


class ProgressDisplay:
    """One bar a stage on a terminal's standard error; nothing when quiet or when it is no terminal.

    Use as a context manager; hand it to `TTOM.generate` as ``progress``.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._off = quiet or not self._stream.isatty()
        self._bars: dict[str, tqdm] = {}

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for bar in self._bars.values():
            bar.close()

    def __call__(self, stage: Stage, done: int, total: int, loss: float | None = None) -> None:
        if self._off:
            return
        if stage not in self._bars:
            form = "{desc:<11}{bar:30} {n_fmt}/{total_fmt}  {elapsed}{postfix}"
            size = shutil.get_terminal_size()  # tqdm's own measure shows nothing on terminals that hide their size
            self._bars[stage] = tqdm(
                desc=LABELS[stage],
                total=total,
                file=self._stream,
                bar_format=form,
                ncols=size.columns,
                nrows=size.lines,
            )
        bar = self._bars[stage]
        if loss is not None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        bar.n = done
        bar.refresh()
