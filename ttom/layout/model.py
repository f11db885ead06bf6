"""What a layout is: named objects with key-framed boxes, read from and written to versioned JSON.

Coordinates are shares of the picture: x to the right, y downwards, both in [0, 1]. Times are shares of the video:
0 is the first picture frame, 1 the last.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ttom import files
from ttom.errors import UserError, cut_short
from ttom.layout.english import find_phrase, singular
from ttom.layout.limits import (
    MAX_KEY_FRAMES,
    MAX_NAME,
    MAX_NOTES,
    MAX_OBJECTS,
    MAX_PROMPT,
    MAX_TEXT,
    parse_json,
    read_text,
    text_problem,
)

LAYOUT_VERSION: Literal[1] = 1

Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.0, le=1.0)]


def _plain(text: str) -> str:
    problem = text_problem(text)
    if problem:
        raise ValueError(problem)
    return text


_WORDS = StringConstraints(strict=True, strip_whitespace=True, min_length=1)
Name = Annotated[str, _WORDS, Field(max_length=MAX_NAME), AfterValidator(_plain)]
Text = Annotated[str, _WORDS, Field(max_length=MAX_TEXT), AfterValidator(_plain)]
Prompt = Annotated[str, _WORDS, Field(max_length=MAX_PROMPT), AfterValidator(_plain)]
Notes = Annotated[tuple[Text, ...], Field(max_length=MAX_NOTES)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(_Frozen):
    """A rectangle in shares of the picture; x to the right, y downwards."""

    x0: Share
    y0: Share
    x1: Share
    y1: Share

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError("has zero or negative size: x0 < x1 and y0 < y1 are needed")
        return self

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


class KeyFrame(_Frozen):
    """Where an object is at one time."""

    time: Share
    box: Box


class LayoutObject(_Frozen):
    """One object: its words in the prompt and its boxes over time.

    Attributes:
        id: Unique in the layout.
        phrase: The words as they occur in the prompt ("red balloon", "dogs").
        noun: Head noun in the singular ("balloon", "dog").
        key_frames: At least one, in ascending time. Boxes are interpolated linearly, and held before the first and
            after the last.
        visible: First and last time at which the object is in the picture.
    """

    id: Name
    phrase: Name
    noun: Name
    key_frames: Annotated[tuple[KeyFrame, ...], Field(min_length=1, max_length=MAX_KEY_FRAMES)]
    visible: tuple[Share, Share] = (0.0, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        times = [frame.time for frame in self.key_frames]
        if any(later <= earlier for earlier, later in zip(times, times[1:], strict=False)):
            raise ValueError(f"has key frame times {cut_short(str(times), 80)}, which do not ascend")
        if self.visible[0] >= self.visible[1]:
            raise ValueError(f"has the visible interval {list(self.visible)}, whose end is not after its start")
        return self

    def box_at(self, time: float) -> Box | None:
        """The box at ``time`` in [0, 1], interpolated linearly; None outside the visible interval."""
        if not self.visible[0] <= time <= self.visible[1]:
            return None
        frames = self.key_frames
        if time <= frames[0].time:
            return frames[0].box
        for before, after in zip(frames, frames[1:], strict=False):
            if time <= after.time:
                share = (time - before.time) / (after.time - before.time)
                return Box(
                    **{
                        side: (1 - share) * getattr(before.box, side) + share * getattr(after.box, side)
                        for side in ("x0", "y0", "x1", "y1")
                    }
                )
        return frames[-1].box


@dataclass(frozen=True)
class ObjectGroup:
    """Objects that share their words, hence their attention map."""

    phrase: str
    noun: str
    objects: tuple[LayoutObject, ...]


class Layout(_Frozen):
    """A plan of one video.

    Attributes:
        version: Version of the file format.
        prompt: The text that was planned.
        objects: At least one, ids unique.
        source: Who made it: "rules", "llm", "import" (another project's file) or "file".
        notes: Which words of the prompt decided what, for the reader.
        left_out: Things and words of the prompt that the layout does not show; the video model may still draw them.
    """

    version: Literal[1] = LAYOUT_VERSION
    prompt: Prompt
    objects: Annotated[tuple[LayoutObject, ...], Field(min_length=1, max_length=MAX_OBJECTS)]
    source: Name = "file"
    notes: Notes = ()
    left_out: Notes = ()

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        ids = [item.id for item in self.objects]
        doubled = sorted({name for name in ids if ids.count(name) > 1})
        if doubled:
            raise ValueError(f"objects: the id {cut_short(doubled[0], 80)!r} occurs more than once")
        return self

    def groups(self) -> list[ObjectGroup]:
        """Objects with the same noun and phrase together, in order of first occurrence.

        Case and number of the phrase are ignored ("cat", "two cats"): its tokens are found in either form, so these
        objects share one attention map and need one mask.
        """
        groups: dict[tuple[str, str], list[LayoutObject]] = {}
        for item in self.objects:
            groups.setdefault((singular(item.noun), singular(item.phrase)), []).append(item)
        return [ObjectGroup(items[0].phrase, items[0].noun, tuple(items)) for items in groups.values()]


def layout_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a layout file, for editors and for LLM planners."""
    schema = Layout.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["required"] = ["version", *schema["required"]]
    return schema


_FORMS = {  # pydantic's own words name Python types
    "tuple_type": "a JSON list",
    "model_type": "a JSON object",
    "float_type": "a number",
    "string_type": "a string",
    "string_unicode": "Unicode text",
}


def _place(location: tuple[int | str, ...]) -> str:
    """('objects', 0, 'box') -> 'objects[0].box'."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).lstrip(".")


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """What is wrong and what was expected, for the first mistake that pydantic found."""
    first = error.errors()[0]
    place, received, kind = cut_short(_place(first["loc"]), 80), first["input"], first["type"]
    if kind == "extra_forbidden":
        return f"{place} is not a field of a layout", "only the fields of the layout format"
    if kind == "missing":
        return f"{place} is missing", "all fields without a default"
    if kind == "finite_number" or (isinstance(received, float) and not math.isfinite(received)):
        return f"{place} is {received}, not a finite number", "a number between 0 and 1"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"{place} is {received}, outside [0, 1]", "a share of the picture or of the video, between 0 and 1"
    if kind == "value_error":
        return f"{place} {first['ctx']['error']}".strip(), "plain text, boxes with area, ascending times and unique ids"
    if kind in ("too_long", "string_too_long"):
        return f"{place} is too long", f"at most {first['ctx']['max_length']} entries or characters"
    if kind in ("too_short", "string_too_short"):
        return f"{place} is empty", "at least one entry"
    text = json.dumps(received, default=str)
    return f"{place or 'the file'} is {text[:60]}", _FORMS.get(kind, f"a value of the layout format ({first['msg']})")


def load_layout(path: str | Path) -> Layout:
    """Read and check a layout file.

    Raises:
        UserError: the file is missing or unreadable, not JSON, of another version, or breaks a rule of the format
            (unknown or missing fields, NaN, boxes outside [0, 1] or without area, times that do not ascend ...).
    """
    path = Path(path)
    expected, remedy = "one JSON object", "write one with `ttom plan PROMPT --out layout.json`"
    text = read_text(path, "layout file", expected=expected, remedy=remedy)
    try:
        data = parse_json(text)
    except ValueError as error:  # also a whole number of thousands of digits
        raise UserError(f"layout file {path} is not JSON: {error}", expected=expected, remedy=remedy) from error
    return layout_of(data, f"layout file {path}")


def layout_of(data: Any, where: str) -> Layout:
    """A layout from parsed JSON.

    Args:
        data: What the JSON holds.
        where: What messages call it.

    Raises:
        UserError: It is of another version, or breaks a rule of the format.
    """
    remedy = "write one with `ttom plan PROMPT --out layout.json`"
    if not isinstance(data, dict):
        raise UserError(f"{where} holds {json.dumps(data)[:60]}", expected="one JSON object", remedy=remedy)
    version = data.get("version")
    if type(version) is not int or version != LAYOUT_VERSION:
        problem = "has no version" if "version" not in data else f"has version {cut_short(json.dumps(version), 40)}"
        raise UserError(f"{where} {problem}", expected=f'"version": {LAYOUT_VERSION}', remedy=remedy)
    try:
        return Layout.model_validate(data)
    except ValidationError as error:
        problem, expected = _first_problem(error)
        raise UserError(f"{where}: {problem}", expected=expected, remedy=remedy) from error


def check_layout(layout: Layout, prompt: str) -> None:
    """Raise UserError unless every object's phrase occurs in the prompt, so that its tokens can be found."""
    for item in layout.objects:
        if not find_phrase(prompt, item.phrase):
            phrase, name, text = (cut_short(words, 80) for words in (item.phrase, item.id, prompt))
            raise UserError(
                f"the layout's phrase {phrase!r} (object {name!r}) does not occur in the prompt {text!r}",
                expected="phrases in the prompt's own words, singular or plural",
                remedy="edit the phrase in the layout file, or use the prompt that the layout was made for",
            )


def save_layout(layout: Layout, path: str | Path) -> None:
    """Write the layout as JSON. A reader sees the old file or the new one, never half of it.

    Raises:
        UserError: the folder does not exist or cannot be written.
    """
    path = Path(path)
    try:
        files.write_json(path, layout.model_dump(mode="json"))
    except OSError as error:
        raise UserError(
            f"layout file {path} cannot be written: {error.strerror}",
            expected="an existing folder that you may write to",
            remedy="another path",
        ) from error
