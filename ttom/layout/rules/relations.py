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
        subject = reading.mention_until(start) or reading.subject_before(start)
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
        for match in re.finditer(rf"\b(?:{pattern})\b", reading.text):
            start = reading.token_at(match.start())
            references = _references(reading, match, kind, pattern, in_motion=in_motion)
            subject = reading.subject_before(start, after=references[-1].end) if references else None
            if subject is None or (pattern == _ON and not _is_on(reading, subject, start, references[0], in_motion)):
                continue
            # Without a direction nothing gets past another thing.
            shown: RelationKind = "beside" if kind in _MOTION_ONLY and not in_motion else kind
            for one in reading.joined_subjects(subject):
                if reading.first_of(one) in subjects:
                    pairs = [(reading.first_of(one), reading.first_of(other)) for other in references]
                    found += [(rank, match.start(), Relation(shown, *pair, match.group())) for pair in pairs]
    relations: list[Relation] = []
    for rank, _, relation in sorted(found, key=lambda item: item[:2]):
        pair = {relation.subject, relation.reference}
        known = any({other.subject, other.reference} == pair for other in relations)
        if len(pair) == 2 and not (known and rank == 2):  # "next to a cat, left of the cat"
            relations.append(relation)
    return relations


def _references(
    reading: Reading, match: re.Match[str], kind: RelationKind, pattern: str, *, in_motion: bool
) -> list[Mention]:
    """The things that the subject is related to; none where the words after the match name no such thing."""
    first = reading.mention_from(reading.token_at(match.end()))
    if first is None or not _can_be_reference(reading, first, kind, pattern, in_motion=in_motion):
        return []
    if kind in _MOTION_ONLY and not in_motion and first.kind == "definite":  # "swim past the reef"
        return []
    return _and_others(reading, first)


def _can_be_reference(reading: Reading, thing: Mention, kind: str, pattern: str, *, in_motion: bool) -> bool:
    if thing.is_frame or thing.kind == "possessive" or (thing.is_scenery and (in_motion or kind not in _SIDES)):
        return False
    if in_motion and pattern == _ON and not thing.is_known:
        return False  # "floats up on a cushion of air"
    many = thing.kind == "definite" and english.is_plural(reading.word(thing.end - 1))
    return not (in_motion and many)


def _is_on(reading: Reading, subject: Mention, on: int, reference: Mention, in_motion: bool) -> bool:
    """Whether the subject of "on" is on top of the reference.

    Not where another thing stands in between ("a cat left of a dog on a table": whose table is open). In a still scene
    not after an unlisted verb either, nor on an unlisted thing after what the subject does to something else: "casts
    light onto a bottle", "collaborate on a project", "shake hands on a deal", "stands on one leg".
    """
    between_thing = reading.mention_until(on)
    if between_thing is not None and between_thing != subject:
        return False
    if in_motion:
        return True
    between = [reading.word(index) for index in range(subject.end, on) if not reading.in_mention(index)]
    spelt = [word for word in between if words.is_content(word) and not words.is_adjective(word)]
    bases = [words.verb_base(word) for word in spelt]
    known = all(base not in (None, "turn") or word.endswith("ed") for base, word in zip(bases, spelt, strict=True))
    if not known or reference.is_known:
        return known
    return len(spelt) <= 1 and not (reference.kind == "number" and reference.count == 1)


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
            # Two objects of one phrase; each gets a position of its own to tell it from the other.
            ends = [replace(first, count=1, determiner="", first=start) for start in (first.first, first.words_first)]
        if subject is None or reading.first_of(subject) not in subjects or len(ends) != 2:
            continue
        left, right = (reading.first_of(end) for end in ends)
        relations.append(Relation("right", reading.first_of(subject), left, match.group()))
        relations.append(Relation("left", reading.first_of(subject), right, match.group()))
    return relations
