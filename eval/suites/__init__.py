"""Suites: a file that yields cases.

A suite is a function from `Options` to `Suite` under the decorator `suite("name")`, in a module of this package;
nothing else has to know of it. What a case is depends on the case alone: its seed comes from its id (`case_seed`), and
ids do not depend on which other cases were asked for, so a run can be resumed after the suite has grown.

Suites of EmojiWorld's vocabulary give these facts, by noun names, each only where the prompt states it: "nouns"
[name, ...], "directions" [[name, "left"], ...], "relation" [first, second, "above"], "counts" [[name, number], ...];
those of whole scenes give "subjects" and "relations" (`ttom.emojiworld.facts.Facts.as_json`).
The official suites give the official metadata's fields as they are.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from eval.types import Case
from ttom.errors import UserError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_NAME_BYTES = 255  # what file systems allow


@dataclass(frozen=True)
class Options:
    """What a user may ask of a suite.

    Attributes:
        data: Folder or file that the suite reads.
        categories: Only these categories (VBench: dimensions); all if empty.
        limit: The first cases of each category; all if None.
        samples: Videos of each prompt, where a suite has several.
        layouts: Whose layouts the cases get: the suite's, where it has true ones, or the planner's.
    """

    data: Path | None = None
    categories: tuple[str, ...] = ()
    limit: int | None = None
    samples: int | None = None
    layouts: Literal["suite", "planner"] = "suite"


@dataclass(frozen=True)
class Dropped:
    """A prompt that a suite leaves out, and why."""

    category: str
    prompt: str
    reason: str


@dataclass(frozen=True)
class Suite:
    """The cases of a suite, in its order.

    Attributes:
        revision: Of the suite's data or definition; the same whatever subset was asked for.
        source: Where the data came from, for the record.
        dropped: Prompts that were left out.
    """

    name: str
    revision: str
    cases: tuple[Case, ...]
    source: str = ""
    dropped: tuple[Dropped, ...] = field(default=())


Builder = Callable[[Options], Suite]
_SUITES: dict[str, Builder] = {}


def suite(name: str) -> Callable[[Builder], Builder]:
    """Register a function that builds a suite under a name."""

    def register(builder: Builder) -> Builder:
        _SUITES[name] = builder
        return builder

    return register


def names() -> list[str]:
    """All registered suites."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_SUITES)


def load_suite(name: str, options: Options) -> Suite:
    """Build a suite and choose the cases that the options ask for.

    Raises:
        UserError: There is no such suite or category, its data cannot be used, or no case is left.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise UserError(
            f"there is no suite {name!r}",
            expected=f"one of {', '.join(known)}",
            remedy=f"{near[0]!r}" if near else None,
        )
    for field_name, least in (("limit", options.limit), ("samples", options.samples)):
        if least is not None and least < 1:
            raise UserError(f"`{field_name}` is {least}", expected="a whole number of at least 1")
    built = _SUITES[name](options)
    _check(built)
    if options.layouts == "planner" and any(case.layout is not None for case in built.cases):
        plain = tuple(case.model_copy(update={"layout": None}) for case in built.cases)
        built = replace(built, cases=plain, revision=f"{built.revision}-planned")
    cases = tuple(_chosen(built, options))
    if not cases:
        raise UserError(f"the suite {name} has no cases", expected="at least one case")
    return replace(built, cases=cases)


def case_seed(case_id: str) -> int:
    """The seed of a case: 31 bits of its id's hash."""
    return int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:4]) & 0x7FFFFFFF


def categories_of(case: Case) -> tuple[str, ...]:
    """The category of a case; of VBench's, which several dimensions may share, all dimensions."""
    return tuple(dict.fromkeys((case.category, *case.facts.get("dimension", ()))))


def _chosen(built: Suite, options: Options) -> Iterator[Case]:
    known = dict.fromkeys(category for case in built.cases for category in categories_of(case))
    for category in options.categories:
        if category not in known:
            raise UserError(
                f"the suite {built.name} has no category {category!r}", expected=f"some of {', '.join(known)}"
            )
    wanted, taken = set(options.categories), Counter[str]()
    for case in built.cases:
        if wanted and not wanted & set(categories_of(case)):
            continue
        taken[case.category] += 1
        if options.limit is None or taken[case.category] <= options.limit:
            yield case


def _check(built: Suite) -> None:
    """Raise UserError unless ids and video paths can be file names and none occurs twice."""
    for what, values in (("id", [c.id for c in built.cases]), ("video", [c.video for c in built.cases])):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise UserError(f"the suite {built.name} has the {what} {twice[0]!r} more than once")
    for case in built.cases:
        if not _ID.fullmatch(case.id):
            raise UserError(
                f"the suite {built.name} has the case id {case.id!r}",
                expected="up to 120 letters, digits, dots, dashes and underscores",
            )
        path = PurePosixPath(case.video)
        safe = not path.is_absolute() and path.suffix == ".mp4" and len(path.parts) > 1 and "\\" not in case.video
        if not safe or any(part.startswith(".") or len(part.encode()) > _NAME_BYTES for part in path.parts):
            raise UserError(
                f"the suite {built.name} names the video {case.video!r}",
                expected="FOLDER/NAME.mp4, with names of at most 255 bytes that do not start with a dot",
            )
