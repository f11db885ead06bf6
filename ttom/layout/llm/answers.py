"""What a language model may answer: one pydantic model a stage, their JSON schemas, and reading an answer's text.

Sizes and positions are pixels of a canvas with the video's proportions, as in appendix C of the paper: models place
boxes better on whole numbers of pixels than in shares.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from ttom.layout.drafts import Draft, DraftObject

FRAMES = 6
"""Key frames of a plan, evenly over the video (appendix C.3)."""
CANVAS_HEIGHT = 480
"""Pixels; the width follows from the video's proportions, 720 for 3:2 as in the paper."""
_MAX_PROBLEMS = 6  # of a schema violation: the first ones tell enough
_MAX_LENGTH = 200_000  # characters of an answer: far more than 48 objects in six frames take
_MAX_STARTS = 100  # braces that do not start a JSON object, after which the text is given up


class AnswerError(Exception):
    """An answer that is not what was asked for; its text explains why to the model."""


class _Answer(BaseModel):
    # In the schema nothing else is allowed, as Structured Outputs requires. Servers without them may add fields or give
    # a number for an id: no reason to ask again.
    model_config = ConfigDict(
        frozen=True, coerce_numbers_to_str=True, json_schema_extra={"additionalProperties": False}
    )


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    return number


def _six(frames: list[Any]) -> list[Any]:
    if len(frames) != FRAMES:
        raise ValueError(f"has {len(frames)} entries instead of {FRAMES}")
    return frames


Pixels = Annotated[float, AfterValidator(_finite)]


class EnrichAnswer(_Answer):
    """Stage "enrich": the prompt in more detail."""

    prompt: str


class ObjectAnswer(_Answer):
    """One thing: three dogs are three of these."""

    id: str
    phrase: str
    noun: str

    def draft(self) -> DraftObject:
        return DraftObject(self.id, self.phrase, self.noun)


class MetadataAnswer(_Answer):
    """Stages "metadata" and "check-metadata"."""

    objects: list[ObjectAnswer]


class BoxAnswer(_Answer):
    """Where the object of this id is in one frame; x to the right, y downwards, from the top left corner."""

    id: str
    x: Pixels
    y: Pixels
    width: Pixels
    height: Pixels


class FrameAnswer(_Answer):
    """The boxes of the objects that are in the picture."""

    boxes: list[BoxAnswer]


class LayoutAnswer(_Answer):
    """Stages "layout" and "check-layout". The reasoning comes first, so that the boxes follow from it."""

    object_motion: str
    camera_motion: str
    frames: Annotated[list[FrameAnswer], AfterValidator(_six)]

    def draft(self, objects: tuple[DraftObject, ...], canvas: tuple[int, int]) -> Draft:
        """The answer in shares of the canvas (width, height)."""
        return Draft(objects, tuple(tuple(_rectangle(box, canvas) for box in frame.boxes) for frame in self.frames))


class OneCallAnswer(LayoutAnswer):
    """Stage "one-call": objects and layout together."""

    objects: list[ObjectAnswer]


def _rectangle(box: BoxAnswer, canvas: tuple[int, int]) -> tuple[str, tuple[float, float, float, float]]:
    width, height = canvas
    return box.id, (box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height)


def response_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The ``response_format`` of Structured Outputs for this kind of answer."""
    return {
        "type": "json_schema",
        "json_schema": {"name": model.__name__, "strict": True, "schema": model.model_json_schema()},
    }


A = TypeVar("A", bound=BaseModel)
_THINK, _END_THINK = "<think>", "</think>"


def read_answer(text: str, model: type[A]) -> A:
    """The answer in a model's text: the whole text, or the JSON object in it (in a code fence, after some words).

    Reasoning that the model writes first (``<think>...</think>``) is dropped, up to the end if it never closes.

    Raises:
        AnswerError: there is no such object, or it is cut off or breaks the schema.
    """
    text = without_thoughts(text)
    if len(text) > _MAX_LENGTH:
        raise AnswerError(f"the answer has {len(text)} characters; a few thousand are enough")
    found, cut_off = _objects(text)
    problem = ""
    for data in sorted(found, key=lambda item: -len(item)):
        try:
            json.dumps(data, ensure_ascii=False).encode()
            return model.model_validate(data)
        except ValidationError as error:
            problem = problem or _schema_problem(error)
        except UnicodeEncodeError:  # JSON can spell half a character: "\\ud800"
            problem = problem or "the answer contains invalid Unicode"
    if cut_off or not found:
        raise AnswerError("the answer holds no complete JSON object; it may have been cut off")
    raise AnswerError(problem)


def without_thoughts(text: str) -> str:
    """The text outside of think tags, each character looked at once."""
    parts, position = [], 0
    while (start := text.find(_THINK, position)) >= 0:
        parts.append(text[position:start])
        end = text.find(_END_THINK, start)
        if end < 0:
            return "".join(parts)
        position = end + len(_END_THINK)
    return "".join(parts) + text[position:].rpartition(_END_THINK)[2]  # some servers swallow the opening tag


def _objects(text: str) -> tuple[list[dict[str, Any]], bool]:
    """The text's JSON objects that are not inside another one, and whether something began like one but is none."""
    decoder, found, position, broken = json.JSONDecoder(), [], 0, 0
    while broken < _MAX_STARTS and (position := text.find("{", position)) >= 0:
        try:
            data, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position, broken = position + 1, broken + 1
            continue
        found.append(data)
        position = end
    return found, broken > 0


def _schema_problem(error: ValidationError) -> str:
    lines = []
    for item in error.errors()[:_MAX_PROBLEMS]:
        place = ".".join(str(part) for part in item["loc"]) or "the answer"
        lines.append(f"{place}: {item['msg']}")
    return "the answer breaks the schema: " + "; ".join(lines)
