"""Importers for existing layouts: the caches of TTOM's authors and of LVD, and a language model's raw answer.

All of them list six frames of ``{'id': 0, 'name': 'cat', 'box': [x, y, width, height]}`` in pixels. The raw text is
parsed with regular expressions and never evaluated; the result goes through the same checks as every plan from outside
(see drafts.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttom.config import VideoText
from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.drafts import Checked, Draft, DraftObject, Limits, Rectangle, check_draft
from ttom.layout.limits import parse_json, read_text
from ttom.layout.report import PlannerReport

TTOM_CANVAS = (720, 480)
LVD_CANVAS = (512, 512)
_EXPECTED = (
    'a JSON object of prompts with raw answers ("prompt": ["Frame 1: [...] ..."]), as in LVD\'s caches, or of entries '
    'with "original_prompt" or "prompt" and "layout", as in TTOM\'s; or one raw answer as text, together with PROMPT'
)
_FRAME = re.compile(r"^[ \t*#>-]*Frame[ _]*(\d{1,4})\**[ \t]*:", re.MULTILINE | re.IGNORECASE)
_QUOTED = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_COMMENT = re.compile(rf"({_QUOTED})|#[^\n]*")
_NUMBER = r"[-+]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_ID = re.compile(rf"['\"]id['\"]\s*:\s*(?:(\d{{1,9}})|({_QUOTED}))")
_NAME = re.compile(rf"['\"]name['\"]\s*:\s*({_QUOTED})")
_BOX = re.compile(rf"['\"]box['\"]\s*:\s*[\[(]\s*({_NUMBER}(?:\s*,\s*{_NUMBER}){{3}})\s*,?\s*[\])]")

Entry = tuple[str, str, Rectangle]
"""Id, name, and x, y, width, height in pixels."""


class _Unreadable(Exception):
    """An answer that does not follow the format; the text says why."""


@dataclass(frozen=True)
class ImportedPrompt:
    """One prompt of a file.

    Attributes:
        prompt: The text that the layout belongs to.
        checked: The first answer that passes the checks; if none does, the first answer, with its problems.
        answers: Answers that the file has for the prompt.
        taken: Number of the answer in ``checked``, from 1.
    """

    prompt: str
    checked: Checked
    answers: int
    taken: int

    @property
    def report(self) -> PlannerReport:
        """What the record of the plan says."""
        checked = self.checked
        return PlannerReport(
            planner="import",
            changes=checked.changes,
            boxes=checked.boxes,
            boxes_out_of_bounds=checked.out_of_bounds,
        )


@dataclass(frozen=True)
class _Source:
    """A prompt and its answers, as parsed JSON or as raw text, with the canvas they were drawn on.

    ``counted`` is the text whose numbers the objects must match; an enriched prompt may count what needs no box.
    """

    prompt: str
    counted: str
    answers: tuple[Any, ...]
    canvas: tuple[int, int]


def import_file(
    path: Path,
    limits: Limits,
    *,
    prompt: str | None = None,
    canvas: tuple[int, int] | None = None,
    text: VideoText = "original",
) -> list[ImportedPrompt]:
    """Read a cache of TTOM or LVD, or one raw answer.

    Args:
        path: The file.
        limits: Limits on boxes, as for every plan from outside.
        prompt: The prompt of a file that is one raw answer, which does not hold it.
        canvas: Width and height in pixels that the boxes were drawn on; by default 720 x 480 for TTOM's format, and
            512 x 512 for LVD's. A raw answer needs it.
        text: Which text the layouts belong to where TTOM's cache has an enriched one as well.

    Raises:
        UserError: the file cannot be read or is in none of these formats. What is wrong with single entries is in their
            ``checked.problems``.
    """
    content = read_text(path, "the file", expected=_EXPECTED)
    return import_text(content, str(path), limits, prompt=prompt, canvas=canvas, text=text)


def import_text(
    content: str,
    path: str,
    limits: Limits,
    *,
    prompt: str | None = None,
    canvas: tuple[int, int] | None = None,
    text: VideoText = "original",
) -> list[ImportedPrompt]:
    """`import_file` of a file's text; ``path`` is what messages call it."""
    try:
        data = parse_json(content)
    except ValueError:
        if not _FRAME.search(content):
            raise UserError(f"{path} holds neither JSON nor frames", expected=_EXPECTED) from None
        if prompt is None or canvas is None:
            raise UserError(
                f"{path} holds one raw answer",
                expected="also its prompt and the size of its canvas",
                remedy=f'ttom plan "PROMPT" --import {path} --canvas 720 480',
            ) from None
        return [_imported(_Source(prompt, prompt, (content,), canvas), limits)]
    if prompt is not None:
        raise UserError(f"{path} has prompts of its own", remedy="leave PROMPT out")
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can spell half a character: "\\ud800"
        raise UserError(f"{path} has characters that are not valid Unicode", expected=_EXPECTED) from None
    return [_imported(source, limits) for source in _sources(path, data, canvas, text)]


def _sources(path: str, data: Any, canvas: tuple[int, int] | None, text: VideoText) -> list[_Source]:
    if isinstance(data, list):
        data = {str(number): entry for number, entry in enumerate(data, start=1)}
    if not isinstance(data, dict) or not data:
        raise UserError(f"{path} holds {json.dumps(data)[:60]}", expected=_EXPECTED)
    sources = []
    for key, entry in data.items():
        answers = (entry,) if isinstance(entry, str) else entry
        if isinstance(answers, list | tuple) and answers and all(isinstance(answer, str) for answer in answers):
            sources.append(_Source(key, key, tuple(answers), canvas or LVD_CANVAS))
        elif isinstance(entry, dict) and (prompts := _prompts(entry, text)):
            forms = ("layout", "layout_with_reasoning")
            found = tuple(entry[form] for form in forms if entry.get(form) is not None)
            sources.append(_Source(*prompts, found, canvas or TTOM_CANVAS))
        else:
            raise UserError(f"{path}: the entry {key[:60]!r} is {json.dumps(entry)[:60]}", expected=_EXPECTED)
    return sources


def _prompts(entry: dict[str, Any], text: VideoText) -> tuple[str, str] | tuple[()]:
    """(the wanted text, the text whose numbers count), which is the original one; empty without any text."""
    names = ("original_prompt", "prompt", "enriched_prompt")
    found = [entry[name] for name in names if isinstance(entry.get(name), str) and entry[name].strip()]
    return (found[-1] if text == "enriched" else found[0], found[0]) if found else ()


def _imported(source: _Source, limits: Limits) -> ImportedPrompt:
    first: Checked | None = None
    for number, answer in enumerate(source.answers, start=1):
        checked = _checked(answer, source, limits)
        if checked.layout is not None:
            return ImportedPrompt(source.prompt, checked, len(source.answers), number)
        first = first or checked
    first = first or Checked(None, ("the entry has no layout",), ())
    return ImportedPrompt(source.prompt, first, len(source.answers), 1)


def _checked(answer: Any, source: _Source, limits: Limits) -> Checked:
    try:
        draft = _draft(_text_frames(answer) if isinstance(answer, str) else _json_frames(answer), source.canvas)
    except _Unreadable as error:
        return Checked(None, (str(error),), ())
    return check_draft(draft, source.prompt.strip(), limits, source="import", counted=source.counted)


def _draft(frames: list[list[Entry]], canvas: tuple[int, int]) -> Draft:
    """The frames in shares of the canvas. Ids that two things in one frame share are made unique by their names."""
    shared = any(len({name for name, _, _ in frame}) < len(frame) for frame in frames)
    objects: dict[str, DraftObject] = {}
    placed = []
    for number, frame in enumerate(frames, start=1):
        row = []
        for identity, name, (x, y, width, height) in frame:
            key = f"{english.singular(name)}-{identity}" if shared else identity
            known = objects.setdefault(key, DraftObject(key, name, english.singular(name).split()[-1]))
            if english.singular(known.phrase) != english.singular(name):
                raise _Unreadable(f"the id {identity!r} is {known.phrase!r} first and {name!r} in frame {number}")
            rectangle = (x / canvas[0], y / canvas[1], (x + width) / canvas[0], (y + height) / canvas[1])
            row.append((key, rectangle))
        placed.append(tuple(row))
    return Draft(tuple(objects.values()), tuple(placed))


# -- TTOM's parsed layouts ------------------------------------------------------------------------------------------


def _json_frames(layout: Any) -> list[list[Entry]]:
    frames = layout.get("frames") if isinstance(layout, dict) else None
    if not isinstance(frames, dict) or not all(str(key).isdecimal() for key in frames):
        raise _Unreadable('the layout has no "frames" with numbers as keys')
    numbered = {int(key): frame for key, frame in frames.items()}
    return [[_json_entry(number, item) for item in _list(number, frame)] for number, frame in _in_order(numbered)]


def _list(number: int, frame: Any) -> list[Any]:
    if not isinstance(frame, list):
        raise _Unreadable(f"frame {number} is not a list")
    return frame


def _json_entry(number: int, item: Any) -> Entry:
    if isinstance(item, dict):
        identity, name, box = item.get("id"), item.get("name"), item.get("box")
        named = isinstance(name, str) and name.strip() and isinstance(identity, int | str)
        if named and isinstance(box, list) and len(box) == 4 and all(type(side) in (int, float) for side in box):
            x, y, width, height = (min(max(float(side), -1e9), 1e9) for side in box)
            return str(identity), str(name).strip(), (x, y, width, height)
    raise _Unreadable(f"frame {number}: {json.dumps(item)[:80]} is not an object with id, name and box")


# -- raw text ----------------------------------------------------------------------------------------------------


def _text_frames(text: str) -> list[list[Entry]]:
    """The frames of "Frame 1: [{'id': 0, 'name': 'cat', 'box': [x, y, w, h]}]  # remark"."""
    text = _COMMENT.sub(lambda match: match.group(1) or "", text)
    heads = list(_FRAME.finditer(text))
    frames: dict[int, list[Entry]] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=False):
        number = int(head.group(1))
        section = text[head.end() : following.start() if following else len(text)]
        if not section.lstrip().startswith("["):  # "Frame 1: the cat enters", in the reasoning
            continue
        if number in frames:
            raise _Unreadable(f"frame {number} occurs twice")
        frames[number] = list(_text_entries(number, section.lstrip()))
    return [frame for _, frame in _in_order(frames)]


def _in_order(frames: dict[int, Any]) -> list[tuple[int, Any]]:
    if sorted(frames) != list(range(1, len(frames) + 1)) or len(frames) < 2:
        numbers = ", ".join(map(str, sorted(frames))) or "none"
        raise _Unreadable(f"the frames are numbered {numbers}, not 1, 2, 3 ...")
    return sorted(frames.items())


def _text_entries(number: int, section: str) -> Iterator[Entry]:
    """The objects of a frame: everything between its brackets must be one of them."""
    bare = re.sub(_QUOTED, lambda match: "." * len(match.group()), section)  # brackets in names do not count
    inside, start, depth = bare[1 : _closing(number, bare)], 0, 0
    rest = ""
    for position, character in enumerate(inside):
        if character == "{" and depth == 0:
            start = position
        depth += (character == "{") - (character == "}")
        if character == "}" and depth == 0:
            yield _text_entry(number, section[1 + start : 2 + position])
        elif depth == 0:
            rest += character
    if rest.strip(" \t\r\n,;"):
        raise _Unreadable(f"frame {number} holds {rest.strip()[:60]!r} beside its objects")


def _closing(number: int, text: str) -> int:
    """Place of the bracket that closes the one at the start."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "[{(") - (character in "]})")
        if depth == 0:
            return place
    raise _Unreadable(f"frame {number} is cut off")


def _text_entry(number: int, text: str) -> Entry:
    identity, name, box = _ID.search(text), _NAME.search(text), _BOX.search(text)
    if not (identity and name and box):
        raise _Unreadable(f"frame {number}: {text[:80]!r} is not an object with id, name and box")
    x, y, width, height = (float(side) for side in box.group(1).split(","))
    label = _unquoted(name.group(1))
    if not label:
        raise _Unreadable(f"frame {number} has an object without a name")
    return identity.group(1) or _unquoted(identity.group(2)), label, (x, y, width, height)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]).strip()
