"""Where a prompt puts one object in relation to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ttom.layout import words
from ttom.layout.mentions import Mention
from ttom.layout.reading import ABSOLUTE, Reading

RelationKind = Literal["left", "right", "above", "below", "on", "in front of", "behind", "beside", "past", "toward"]

_ON = "on|onto|upon"
_RELATIONS: tuple[tuple[str, RelationKind, int], ...] = (  # pattern, kind, rank: the lowest rank wins, then the first
    (r"(?:(?:on|to|at)\s+the\s+)?left(?:[- ]hand)?(?:\s+side)?\s+of", "left", 0),
    (r"(?:(?:on|to|at)\s+the\s+)?right(?:[- ]hand)?(?:\s+side)?\s+of", "right", 0),
    (r"on\s+top\s+of|atop", "on", 0),
    (r"above", "above", 0),
    (r"below|underneath|under|beneath", "below", 0),
    (r"in\s+front\s+of", "in front of", 1),
    (r"behind", "behind", 1),
    (r"over", "above", 1),
    (_ON, "on", 1),
    (r"(?:hangs?|hanging|hung|suspended|dangles?|dangling)\s+from", "below", 1),
    (r"beside|next\s+to|near|alongside|close\s+to", "beside", 2),
    (r"past", "past", 2),
    (r"towards?", "toward", 2),
)
_SIDES = ("left", "right", "in front of", "behind")
_MOTION_ONLY = ("past", "toward")


@dataclass(frozen=True)
class Relation:
    """``subject`` is ``kind`` of ``reference``; without a reference, of the picture. ``text``: the prompt's words."""

    kind: RelationKind
    subject: Mention
    reference: Mention | None
    text: str


def find_absolute_relation(reading: Reading, objects: list[Mention]) -> Relation | None:
    """'on the left' without 'of': beside the other object, or in that half of the picture."""
    for match in ABSOLUTE.finditer(reading.text):
        subject = reading.subject_before(reading.token_at(match.start()))
        side = match.group(1)
        if subject in objects and subject is not None:
            others = [m for m in reading.subjects if m in objects and m != subject]
            kinds: dict[str, RelationKind] = {"left": "left", "right": "right", "top": "above", "bottom": "below"}
            return Relation(kinds[side], subject, others[0] if others else None, match.group().strip())
    return None


def find_relation(reading: Reading, subjects: list[Mention], *, in_motion: bool) -> Relation | None:
    """The strongest relation whose subject is among ``subjects`` and whose reference is a thing."""
    found: list[tuple[int, int, Relation]] = []
    for pattern, kind, rank in _RELATIONS:
        if kind in _MOTION_ONLY and not in_motion:
            continue
        for match in re.finditer(rf"\b(?:{pattern})\b", reading.text):
            reference = reading.mention_from(reading.token_at(match.end()))
            if reference is None or reference.is_frame or reference.kind in ("possessive", "bare"):
                continue
            if reference.is_scenery and (in_motion or kind not in _SIDES):
                continue
            known = reference.noun in words.KNOWN_NOUNS | words.COMPOUNDS
            if in_motion and pattern == _ON and not known:  # "floats up on a cushion of air"
                continue
            if in_motion and reference.kind == "definite" and words.is_plural(reading.word(reference.end - 1)):
                continue
            subject = reading.subject_before(reading.token_at(match.start()), after=reference.end)
            if subject in subjects and subject is not None:
                found.append((rank, match.start(), Relation(kind, subject, reference, match.group())))
    return min(found, key=lambda item: item[:2])[2] if found else None
