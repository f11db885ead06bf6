"""A layout planned elsewhere (by a language model, in a file of another project), checked and repaired.

What has one obvious fix is fixed and noted: boxes beyond the canvas, boxes that are too small, phrases that are not
quite the prompt's, objects that enter or leave. Everything else is a problem, worded so that its planner can act on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ttom.layout import english
from ttom.layout.limits import MAX_NAME, MAX_OBJECTS, text_problem
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.layout.phrases import count_problems, nearest_phrase

MAX_PHRASE_WORDS = 8
_SMALLEST = 0.001  # of the picture: a box keeps some area whatever the limit
_LEFT = 0.1  # an object with a smaller share inside the picture has left it

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the picture; unchecked, so perhaps outside of it or without area."""


@dataclass(frozen=True)
class DraftObject:
    """One object as its planner named it."""

    id: str
    phrase: str
    noun: str


@dataclass(frozen=True)
class Draft:
    """Objects, and for each key frame (evenly over the video) the ids and rectangles of those in the picture."""

    objects: tuple[DraftObject, ...]
    frames: tuple[tuple[tuple[str, Rectangle], ...], ...]


@dataclass(frozen=True)
class Limits:
    """Minimum side of a box in shares of the picture, and maximum speed of its center in pictures per video."""

    min_size: float
    max_speed: float


@dataclass(frozen=True)
class Checked:
    """What became of a draft.

    Attributes:
        layout: None if there are problems.
        problems: What only its planner can fix.
        changes: What was fixed.
        boxes: Boxes of the draft.
        out_of_bounds: How many of them were not wholly inside the picture.
    """

    layout: Layout | None
    problems: tuple[str, ...]
    changes: tuple[str, ...]
    boxes: int = 0
    out_of_bounds: int = 0


def check_draft(draft: Draft, prompt: str, limits: Limits, *, source: str, counted: str | None = None) -> Checked:
    """Check a draft against its prompt and make it a layout (checks of section 3.1 and appendix C.4, without a model).

    Ids, phrases, counts (those of the text ``counted``, by default of the prompt), bounds, size, speed. Never raises
    for anything that a draft may hold.
    """
    objects, problems, changes = check_objects(draft.objects, prompt, counted)
    problems = problems + _frame_problems(draft)
    if problems:
        return Checked(None, tuple(problems), tuple(changes))
    placed = []
    for item in objects:
        track = _Track(item, draft, limits)
        problems += track.problems
        if not track.problems:
            placed.append(track.placed())
        changes += track.changes
    rectangles = [rectangle for frame in draft.frames for _, rectangle in frame if _has_area(rectangle)]
    outside = sum(not _inside(rectangle) for rectangle in rectangles)
    layout = None
    if not problems:
        layout = Layout(prompt=prompt, objects=tuple(placed), source=source, notes=tuple(changes))
    return Checked(layout, tuple(problems), tuple(changes), len(rectangles), outside)


def check_objects(
    objects: tuple[DraftObject, ...], prompt: str, counted: str | None = None
) -> tuple[list[DraftObject], list[str], list[str]]:
    """The objects with phrases of the prompt, and numbers of the text ``counted``; problems; changes."""
    if not objects:
        return [], ["no object is listed"], []
    if len(objects) > MAX_OBJECTS:
        return [], [f"{len(objects)} objects are listed; at most {MAX_OBJECTS} fit a picture"], []
    problems, changes, fixed = [], [], []
    ids = [item.id for item in objects]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    problems += [f"the id {_short(name)} is given to more than one object" for name in twice]
    if any(not name.strip() for name in ids):
        problems.append("an object has no id")
    problems += [
        f"the id {_short(item.id)}, the noun {_short(item.noun)} or the phrase {_short(item.phrase)} is not plain text "
        f"of at most {MAX_NAME} characters"
        for item in objects
        if max(len(item.id), len(item.noun)) > MAX_NAME or text_problem(item.id + item.noun + item.phrase)
    ]
    for item in objects:
        if len(item.phrase.split()) > MAX_PHRASE_WORDS or len(item.phrase) > MAX_NAME:
            problems.append(f"the phrase {_short(item.phrase)} is a whole clause, not the name of a thing")
            continue
        phrase = nearest_phrase(prompt, item.phrase, item.noun)
        if phrase is None or len(phrase) > MAX_NAME:
            problems.append(f"the phrase {_short(item.phrase)} does not occur in the prompt; copy the prompt's words")
            continue
        if not item.phrase.strip() or english.singular(phrase) != english.singular(item.phrase):
            changes.append(f"{item.phrase or item.id}: called {phrase!r}, the prompt's words")
        fixed.append(DraftObject(item.id, phrase, _noun(phrase, item.noun)))
    if not problems:
        problems += count_problems(counted or prompt, [(item.phrase, item.noun) for item in fixed])
    return fixed, problems, list(dict.fromkeys(changes))


def _noun(phrase: str, noun: str) -> str:
    """The planner's noun if it is part of the phrase, else the phrase's last word; in the singular."""
    named = noun.strip() and english.find_phrase(phrase, noun)
    return english.singular(noun if named else phrase.split()[-1])


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _frame_problems(draft: Draft) -> list[str]:
    """Mistakes with ids and numbers that make the boxes unusable."""
    if len(draft.frames) < 2:
        return [f"{len(draft.frames)} frames are listed; at least 2 are needed"]
    known, problems = {item.id for item in draft.objects}, []
    for number, frame in enumerate(draft.frames, start=1):
        ids = [name for name, _ in frame]
        for name in dict.fromkeys(ids):
            if name not in known:
                problems.append(f"frame {number} has a box with the id {_short(name)}, which no object has")
            elif ids.count(name) > 1:
                problems.append(f"frame {number} has {ids.count(name)} boxes with the id {_short(name)}")
        if any(not math.isfinite(side) for _, rectangle in frame for side in rectangle):
            problems.append(f"frame {number} has a box with a side that is not finite")
    return problems


def _has_area(rectangle: Rectangle) -> bool:
    return rectangle[2] > rectangle[0] and rectangle[3] > rectangle[1]


def _inside(rectangle: Rectangle) -> bool:
    tolerance = 1e-9
    return min(rectangle) >= -tolerance and max(rectangle) <= 1 + tolerance


def _clamped(rectangle: Rectangle) -> Rectangle:
    left, top, right, bottom = (min(1.0, max(0.0, side)) for side in rectangle)
    return left, top, right, bottom


def _seen_share(rectangle: Rectangle) -> float:
    """Share of the rectangle's area that lies in the picture."""
    left, top, right, bottom = _clamped(rectangle)
    return (right - left) / (rectangle[2] - rectangle[0]) * ((bottom - top) / (rectangle[3] - rectangle[1]))


def _grown(low: float, high: float, minimum: float) -> tuple[float, float]:
    """The interval, grown around its middle to the minimum length if need be, and moved into [0, 1]."""
    length = max(high - low, minimum)
    start = min(max((low + high - length) / 2, 0.0), 1.0 - length)
    return start, start + length


class _Track:
    """One object's rectangles over the key frames, None where it is not in the picture."""

    def __init__(self, item: DraftObject, draft: Draft, limits: Limits) -> None:
        self.item, self.limits = item, limits
        self.problems: list[str] = []
        self.changes: list[str] = []
        given = [dict(frame).get(item.id) for frame in draft.frames]
        self.name = f"{item.phrase} ({item.id})"
        self.times = [index / (len(given) - 1) for index in range(len(given))]
        self.rectangles = [
            rectangle if rectangle is not None and _has_area(rectangle) and _seen_share(rectangle) >= _LEFT else None
            for rectangle in given
        ]
        self.present = [index for index, rectangle in enumerate(self.rectangles) if rectangle is not None]
        if not self.present:
            self.problems.append(f"{self.name} has no box with an area inside the picture in any frame")
            return
        self._check_speed()
        if self.present != list(range(self.present[0], self.present[-1] + 1)):
            self.changes.append(f"{self.name}: missing in frames between others, where it continues in a straight line")

    def _check_speed(self) -> None:
        """Check speed by the centers as planned: what clamping does to them is not the planner's mistake."""
        for before, after in zip(self.present, self.present[1:], strict=False):
            a, b = self.rectangles[before], self.rectangles[after]
            assert a is not None and b is not None
            moved = max(abs((b[0] + b[2]) - (a[0] + a[2])), abs((b[1] + b[3]) - (a[1] + a[3]))) / 2
            if moved > self.limits.max_speed * (self.times[after] - self.times[before]) + 1e-9:
                self.problems.append(
                    f"{self.name} jumps from frame {before + 1} to {after + 1} by {moved:.2f} of the picture; at most "
                    f"{self.limits.max_speed * (self.times[after] - self.times[before]):.2f} is smooth"
                )

    def placed(self) -> LayoutObject:
        frames = tuple(KeyFrame(time=self.times[index], box=self._box(index)) for index in self.present)
        return LayoutObject(
            id=self.item.id, phrase=self.item.phrase, noun=self.item.noun, key_frames=frames, visible=self._visible()
        )

    def _box(self, index: int) -> Box:
        rectangle = self.rectangles[index]
        assert rectangle is not None
        if not _inside(rectangle):
            self._note("cut off at the edge of the picture")
        left, top, right, bottom = _clamped(rectangle)
        if min(right - left, bottom - top) < self.limits.min_size - 1e-9:
            self._note("enlarged to the minimum size")
        minimum = max(self.limits.min_size, _SMALLEST)
        (left, right), (top, bottom) = _grown(left, right, minimum), _grown(top, bottom, minimum)
        return Box(x0=round(left, 4), y0=round(top, 4), x1=round(right, 4), y1=round(bottom, 4))

    def _note(self, text: str) -> None:
        note = f"{self.name}: {text}"
        if note not in self.changes:
            self.changes.append(note)

    def _visible(self) -> tuple[float, float]:
        """Halfway to the frames in which it is not there any more, or not yet."""
        first, last, end = self.present[0], self.present[-1], len(self.times) - 1
        start = 0.0 if first == 0 else (self.times[first - 1] + self.times[first]) / 2
        stop = 1.0 if last == end else (self.times[last] + self.times[last + 1]) / 2
        if (start, stop) != (0.0, 1.0):
            self._note(f"in the picture from {start:.2f} to {stop:.2f} of the video")
        return start, stop
