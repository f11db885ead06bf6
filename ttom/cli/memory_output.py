"""Output of the memory commands: tables and fields, without control characters that a terminal would execute."""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ttom.errors import UserError, cut_short

if TYPE_CHECKING:
    from ttom.layout.model import Layout
    from ttom.memory.entries import Entry

_PIPE_WIDTH = 100_000  # if the output is not a terminal, nothing is cut or wrapped


def printable(text: str) -> str:
    r"""Escape control characters and line breaks (``\x1b``): the text may come from somebody else's memory."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print aligned columns; on a terminal, the last one wraps."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for name in head[:-1]:
        table.add_column(name, no_wrap=True)
    table.add_column(head[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one field per line."""
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        print(f"{name + ':':<{width}}{printable(str(value))}")


def print_entries(entries: Iterable[Entry]) -> None:
    """Print one line per entry."""
    print_table(("id", "namespace", "uses", "loss", "key"), map(cells, entries))


def cells(entry: Entry) -> tuple[str, ...]:
    """The cells of an entry's line."""
    return str(entry.id), cut_short(entry.namespace, 40), str(entry.uses), losses(entry), cut_short(entry.key, 500)


def drawn(prompt: str, layout: Layout) -> str:
    """The layout at the start, in the middle and at the end, side by side; each object as the letter in its key.

    Raises UserError if the layout belongs to another prompt.
    """
    import numpy as np

    from ttom.memory.abstraction import groups_in_order

    columns, rows, groups = 28, 10, groups_in_order(prompt, layout)
    pictures = []
    for at in (0.0, 0.5, 1.0):
        picture = np.full((rows, columns), ".")
        for number, group in enumerate(groups):
            for box in filter(None, (item.box_at(at) for item in group.objects)):
                inside = _inside(box.y0, box.y1, rows), _inside(box.x0, box.x1, columns)
                picture[inside] = chr(ord("A") + number % 26)
        pictures.append(["".join(row) for row in picture])
    return "\n".join("  ".join(line) for line in zip(*pictures, strict=True))


def _inside(start: float, end: float, count: int) -> slice:
    """The cells of `count` between two shares of the picture; at least one."""
    first = min(int(start * count), count - 1)
    return slice(first, max(first + 1, round(end * count)))


def counted(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def losses(entry: Entry) -> str:
    before, after = ("?" if loss is None else f"{loss:.3f}" for loss in (entry.loss_before, entry.loss_after))
    return f"{before} -> {after}"


def when(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s after 1970"


def confirm(what: str, *, yes: bool) -> None:
    """Ask for confirmation on a terminal. Raises UserError if the answer is no or there is no terminal."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(f"{what}, which cannot be undone", expected="confirmation", remedy="add `yes`")
    try:
        answer = input(f"{what}. Continue? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise UserError("nothing was deleted", expected="y or yes as the answer")
