"""Reading a file of prompts: what `ttom stream` makes, in which order, and into which folder."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttom.errors import UserError
from ttom.layout.limits import parse_json, read_text

FORMATS = (".txt", ".jsonl", ".csv")
SLUG_LENGTH = 48
"""Characters of a prompt in its folder's name."""
_OPTIONAL = ("id", "seed", "layout")


@dataclass(frozen=True)
class StreamPrompt:
    """One prompt of a file.

    Attributes:
        number: Its place among the prompts, from 1.
        text: The prompt.
        id: What the file calls it; None if it has no name.
        seed: Its own seed; None for that of the command.
        layout: Its layout file; None to plan one.
    """

    number: int
    text: str
    id: str | None = None
    seed: int | None = None
    layout: Path | None = None

    @property
    def slug(self) -> str:
        """A short name for files: "a-cat-moves-left", with the id in place of the prompt if there is one."""
        words = re.sub(r"[\W_]+", "-", (self.id or self.text).lower()).strip("-")
        if len(words) > SLUG_LENGTH:
            words = words[: SLUG_LENGTH + 1].rpartition("-")[0] or words[:SLUG_LENGTH]
        return words or "prompt"

    @property
    def folder(self) -> str:
        """The slug with the prompt's place in front: "0001-a-cat-moves-left"."""
        return f"{self.number:04d}-{self.slug}"


def read_prompts(path: Path) -> list[StreamPrompt]:
    """The prompts of a .txt, .jsonl or .csv file, in its order.

    A layout's path is relative to the file. In .txt, blank lines and lines that start with # are skipped.

    Raises:
        UserError: If the file cannot be read as what its name says, holds no prompt, or names two prompts alike.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UserError(f"{path} has the ending {path.suffix or 'none'}", expected=f"one of {', '.join(FORMATS)}")
    rows = {".txt": _text_rows, ".jsonl": _json_rows, ".csv": _csv_rows}[kind](
        path, read_text(path, "the prompts file", expected="a text file in UTF-8")
    )
    prompts = [_prompt(path, number, line, row) for number, (line, row) in enumerate(rows, start=1)]
    if not prompts:
        raise UserError(f"{path} holds no prompts", expected="at least one prompt")
    ids = [prompt.id for prompt in prompts if prompt.id is not None]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        names = ", ".join(map(repr, twice))
        raise UserError(f"{path} has more than one prompt with the id {names}", expected="ids that occur once")
    return prompts


def _text_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, words in enumerate(text.split("\n"), start=1):
        if words.strip() and not words.lstrip().startswith("#"):
            yield line, {"prompt": words}


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, words in enumerate(text.split("\n"), start=1):
        if not words.strip():
            continue
        try:
            row = parse_json(words)
        except ValueError as error:
            raise UserError(f"{path}, line {line} is not JSON: {error}", expected='{"prompt": "..."}') from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {line} is not a JSON object", expected='{"prompt": "..."}')
        yield line, row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        columns = reader.fieldnames or ()
        if columns and "prompt" not in columns:
            raise UserError(f"{path} has the columns {', '.join(columns)}", expected="a header line with prompt")
        for row in reader:
            if None in row:
                raise UserError(
                    f"{path}, line {reader.line_num} has more cells than the header",
                    remedy='quotes around a prompt with a comma: "A cat sits, and two dogs sit"',
                )
            yield reader.line_num, {name: cell for name, cell in row.items() if cell or name not in _OPTIONAL}
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num} is not CSV: {error}") from None


def _prompt(path: Path, number: int, line: int, row: dict[str, Any]) -> StreamPrompt:
    """A row as a prompt; its optional fields may be missing or null."""
    where, text = f"{path}, line {line}", row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{where} has no prompt", expected='a text under "prompt"')
    name, seed, layout = (row.get(key) for key in _OPTIONAL)
    try:
        f"{text}{name}{layout}".encode()
    except UnicodeEncodeError:  # JSON can spell half a character: "\\ud800"
        raise UserError(f"{where} has characters that are not valid Unicode", remedy="save it as UTF-8") from None
    if not isinstance(layout, str | None):
        raise UserError(f"{where} has the layout {layout!r}", expected="the path of a layout file")
    if not isinstance(name, str | int | None) or isinstance(name, bool):
        raise UserError(f"{where} has the id {name!r}", expected="a text or a whole number")
    return StreamPrompt(
        number,
        text.strip(),
        id=None if name is None else str(name).strip() or None,
        seed=None if seed is None else _seed(where, seed),
        layout=None if layout is None else path.parent / os.path.expanduser(layout),
    )


def _seed(where: str, value: Any) -> int:
    is_whole = type(value) is int or (isinstance(value, str) and re.fullmatch(r"\s*\d{1,19}\s*", value, re.ASCII))
    if not is_whole or not 0 <= int(value) < 2**63:
        raise UserError(f"{where} has the seed {value!r}", expected="a whole number from 0 to 2^63 - 1")
    return int(value)
