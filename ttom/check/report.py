"""What a check says: typed, for report.json, and in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from ttom.layout.english import is_plural
from ttom.types import Direction, ReportPart

Problem = Literal["missing", "still", "direction", "moves", "elsewhere"]


class ObjectCheck(ReportPart):
    """How one planned object is shown.

    Attributes:
        id: In the layout.
        phrase: Its words in the prompt.
        noun: In the singular.
        seen: Share of the frames with a planned box in which it is found.
        iou: Mean over these frames of the IoU with the planned box, 0 where it is not found.
        planned: Directions of the legs of its path, one after the other; empty if it stands still.
        moved: What is seen of them; None for a leg without a motion.
        problem: Why it does not follow the plan; None if it does.
    """

    id: str
    phrase: str
    noun: str
    seen: float
    iou: float
    planned: tuple[Direction, ...] = ()
    moved: tuple[Direction | None, ...] = ()
    problem: Problem | None = None


class Try(ReportPart):
    """One of several videos of a prompt: how many objects follow the plan, less those too many, and their IoU."""

    seed: int
    following: int
    iou: float


class CheckReport(ReportPart):
    """A video compared with its plan.

    Attributes:
        detector: "emojiworld", or the Hub id or folder of a GroundingDINO.
        objects: In the layout's order.
        extra: How many more of a noun are seen than planned, in the median frame.
        seed: Of the video.
        tries: All videos that were made for it, if there were several.
    """

    detector: str
    objects: tuple[ObjectCheck, ...]
    extra: dict[str, int]
    seed: int
    tries: tuple[Try, ...] = ()

    @property
    def following(self) -> int:
        """How many objects follow the plan."""
        return sum(item.problem is None for item in self.objects)

    @property
    def iou(self) -> float:
        """Mean over objects."""
        return sum(item.iou for item in self.objects) / len(self.objects)

    @property
    def score(self) -> tuple[int, float]:
        """What makes one video better than another: objects that follow the plan, less those too many; then IoU."""
        return self.following - sum(self.extra.values()), self.iou

    def as_try(self) -> Try:
        following, overlap = self.score
        return Try(seed=self.seed, following=following, iou=overlap)

    def __str__(self) -> str:
        """One line: "2 of 3 objects follow the plan: the balloon stands still"."""
        problems = [*_problems(self.objects), *(_too_many(*item, self.objects) for item in self.extra.items())]
        count, total = self.following, len(self.objects)
        if total == 1:
            told = f"the {self.objects[0].noun} follows the plan" if count else "the plan is not followed"
        elif count == total:
            told = f"all {total} objects follow the plan"
        else:
            told = f"{count or 'none'} of {total} objects {'follows' if count == 1 else 'follow'} the plan"
        if count == total and problems:
            told += ", but " + " and ".join(problems)
        elif problems:
            told += ": " + ", ".join(problems)
        return told


def _too_many(noun: str, number: int, objects: Sequence[ObjectCheck]) -> str:
    return f"there is one {noun} too many" if number == 1 else f"there are {number} {_plural(noun, objects)} too many"


def _plural(noun: str, objects: Sequence[ObjectCheck]) -> str:
    """As the prompt has it, where it has one."""
    phrases = (item.phrase for item in objects if item.noun == noun)
    return next((phrase for phrase in phrases if is_plural(phrase.split()[-1])), f"{noun}s")


def _problems(objects: Sequence[ObjectCheck]) -> list[str]:
    """The same problem of several objects of a noun is told once."""
    of_noun = Counter(item.noun for item in objects)
    grouped: dict[tuple[str, str, str], int] = {}
    for item in objects:
        if item.problem is not None:
            key = (item.noun, *_words(item, item.problem))
            grouped[key] = grouped.get(key, 0) + 1
    told = []
    for (noun, one, many), number in grouped.items():
        if number > 1:
            told.append(f"{number} {_plural(noun, objects)} {many}")
        else:
            told.append(f"{'the' if of_noun[noun] == 1 else 'one'} {noun} {one}")
    return told


def _words(item: ObjectCheck, problem: Problem) -> tuple[str, str]:
    """Of one object, and of several."""
    if problem == "missing":
        return "is missing", "are missing"
    if problem == "still":
        return "stands still", "stand still"
    if problem == "elsewhere":
        return "is elsewhere", "are elsewhere"
    if item.moved == item.planned:  # aslant
        return "moves another way", "move another way"
    where = " and ".join(direction for direction in item.moved if direction is not None) or "aside"
    instead = f" instead of {' and '.join(item.planned)}" if problem == "direction" else ""
    return f"moves {where}{instead}", f"move {where}{instead}"
