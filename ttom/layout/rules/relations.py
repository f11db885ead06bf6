"""Where a prompt puts one object in relation to another, or in the picture."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import ABSOLUTE, Reading

RelationKind = Literal["left", "right", "above", "below", "on", "in front of", "behind", "beside", "past", "toward"]

_ON = "on|onto|upon"
_RELATIONS: tuple[tuple[str, RelationKind, int], ...] = (  # pattern, kind, rank: the lowest rank wins, then the first
    (r"(?:(?:on|to|at)\s+the\s+)?left(?:[- ]hand)?(?:\s+side)?\s+of", "left", 0),
    (r"(?:(?:on|to|at)\s+the\s+)?right(?:[- ]hand)?(?:\s+side)?\s+of", "right", 0),
    (r"(?:on|at)\s+(?:the\s+)?top\s+of|atop", "on", 0),
    (r"above", "above", 0),
    (r"(?:on|at)\s+the\s+bottom\s+of|below|underneath|under|beneath", "below", 0),
    (r"in\s+front\s+of", "in front of", 1),
    (r"behind", "behind", 1),
    (r"over", "above", 1),
    (_ON, "on", 1),
    (r"(?:hangs?|hanging|hung|suspended|dangles?|dangling)\s+from", "below", 1),
    (r"beside|next\s+to|near|alongside|close\s+to", "beside", 2),
    (r"past", "past", 2),
    (r"towards?", "toward", 2),
)
_BETWEEN = re.compile(r"\bbetween\b")
_SIDES = ("left", "right", "in front of", "behind")
_MOTION_ONLY = ("past", "toward")
_COLUMNS = {"left": -1, "right": 1}
_ROWS = {"top": -1, "upper": -1, "bottom": 1, "lower": 1}


@dataclass(frozen=True)
class Relation:
    """``subject`` is ``kind`` of ``reference``. ``text``: the prompt's words."""

    kind: RelationKind
    subject: Mention
    reference: Mention
    text: str


@dataclass(frozen=True)
class Place:
    """``subject`` is in a part of the picture: column and row are -1 (left, top), 0 or 1 (right, bottom)."""

    subject: Mention
    column: int
    row: int
    text: str


def find_places(reading: Reading, objects: list[Mention]) -> list[Place]:
    """'on the left' without 'of', 'in the middle', 'in the top right corner': one place an object, in reading order."""
    places: dict[Mention, Place] = {}
    for match in ABSOLUTE.finditer(reading.text):
        start = reading.token_at(match.start())
        # "a man waves at a woman on the right": what stands right before it
        subject = next((m for m in reading.mentions if m.end == start), None) or reading.subject_before(start)
        subject = reading.first_of(subject) if subject is not None else None
        of_thing = any(m.first < reading.token_at(match.end()) < m.end for m in reading.mentions)
        if subject is None or subject not in objects or subject in places or of_thing:  # "on the left shoe"
            continue
        words_of = [word for word in match.groups() if word]
        column = next((_COLUMNS[word] for word in words_of if word in _COLUMNS), 0)
        row = next((_ROWS[word] for word in words_of if word in _ROWS), 0)
        places[subject] = Place(subject, column, row, match.group().strip())
    return list(places.values())


def find_relations(reading: Reading, subjects: list[Mention], *, in_motion: bool) -> list[Relation]:
    """Relations whose subject is among ``subjects`` and whose reference is a thing, the strongest first.

    "Above a cat and a dog" is two relations, and so is "a cat and a dog above a bird".
    """
    found: list[tuple[int, int, Relation]] = []
    for pattern, kind, rank in _RELATIONS:
        if kind in _MOTION_ONLY and not in_motion:
            continue
        for match in re.finditer(rf"\b(?:{pattern})\b", reading.text):
            reference = reading.mention_from(reading.token_at(match.end()))
            if reference is None or not _can_be_reference(reading, reference, kind, pattern, in_motion=in_motion):
                continue
            references = _and_others(reading, reference)
            start = reading.token_at(match.start())
            subject = reading.subject_before(start, after=references[-1].end)
            if subject is None:
                continue
            if pattern == _ON and any(m.end == start and m != subject for m in reading.mentions):
                continue  # "a cat left of a dog on a table": whose table is open
            for one in reading.joined_subjects(subject):
                if reading.first_of(one) not in subjects:
                    continue
                for other in references:
                    relation = Relation(kind, reading.first_of(one), reading.first_of(other), match.group())
                    found.append((rank, match.start(), relation))
    relations: list[Relation] = []
    for rank, _, relation in sorted(found, key=lambda item: item[:2]):
        pair = {relation.subject, relation.reference}
        known = any({other.subject, other.reference} == pair for other in relations)
        if len(pair) == 2 and not (known and rank == 2):  # "next to a cat, left of the cat"
            relations.append(relation)
    return relations


def _can_be_reference(reading: Reading, thing: Mention, kind: str, pattern: str, *, in_motion: bool) -> bool:
    if thing.is_frame or thing.kind == "possessive" or (thing.is_scenery and (in_motion or kind not in _SIDES)):
        return False
    if in_motion and pattern == _ON and thing.noun not in english.KNOWN_NOUNS | words.COMPOUNDS:
        return False  # "floats up on a cushion of air"
    many = thing.kind == "definite" and english.is_plural(reading.word(thing.end - 1))
    return not (in_motion and many)


def _and_others(reading: Reading, reference: Mention) -> list[Mention]:
    """The reference and what "and" adds to it, unless that starts a clause: "below a kite and a bird"."""
    others = [reference]
    while reading.word(others[-1].end) == "and":
        thing = reading.mention_from(others[-1].end + 1)
        if thing is None or thing in reading.subjects or thing.is_scenery or thing.is_frame:
            break
        others.append(thing)
    return others


def find_between(reading: Reading, subjects: list[Mention]) -> list[Relation]:
    """'between a cat and a dog', 'between two trees': right of the one and left of the other."""
    relations = []
    for match in _BETWEEN.finditer(reading.text):
        first = reading.mention_from(reading.token_at(match.end()))
        if first is None or first.is_frame:
            continue
        ends = _and_others(reading, first)
        subject = reading.subject_before(reading.token_at(match.start()), after=ends[-1].end)
        if first.kind == "number" and first.count == 2 and len(ends) == 1:
            # Two objects of one phrase; each gets a position of its own by which it is told from the other.
            ends = [replace(first, count=1, determiner="", first=start) for start in (first.first, first.words_first)]
        if subject is None or reading.first_of(subject) not in subjects or len(ends) != 2:
            continue
        left, right = (reading.first_of(end) for end in ends)
        relations.append(Relation("right", reading.first_of(subject), left, match.group()))
        relations.append(Relation("left", reading.first_of(subject), right, match.group()))
    return relations
