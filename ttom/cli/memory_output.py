"""What the memory's commands print: tables and fields without anything that a terminal would obey."""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ttom.errors import UserError, cut_short

if TYPE_CHECKING:
    from ttom.memory.entries import Entry

_PIPE_WIDTH = 100_000  # where the output is no terminal, nothing is cut or folded


def printable(text: str) -> str:
    r"""With escapes in place of control codes (``\x1b``), line ends and the like: a memory may be somebody else's."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Aligned columns; on a terminal the last one is folded to its width."""
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
    """A line a field."""
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        print(f"{name + ':':<{width}}{printable(str(value))}")


def print_entries(entries: Iterable[Entry]) -> None:
    """One line an entry, for lists of what was found or is to go."""
    print_table(("id", "namespace", "uses", "loss", "key"), map(cells, entries))


def cells(entry: Entry) -> tuple[str, ...]:
    """An entry's line in such a table."""
    return str(entry.id), cut_short(entry.namespace, 40), str(entry.uses), losses(entry), cut_short(entry.key, 500)


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
    """Ask on a terminal whether to go on. Raises UserError if the answer is no, or if there is nobody to ask."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(f"{what}: this cannot be undone", expected="a yes", remedy="add `yes`")
    try:
        answer = input(f"{what}. Continue? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise UserError("nothing was deleted", expected="y or yes as the answer")
