"""What a scene shows and a caption may state, as typed facts; and which split each combination of them belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ttom.emojiworld.nouns import INDEX, NOUNS
from ttom.types import Direction

Side = Literal["left", "right", "above", "below", "between"]
Size = Literal["big", "small"]
Passage = Literal["enters", "leaves"]
Split = Literal["train", "tune", "test"]
DIRECTIONS: tuple[Direction, ...] = ("left", "right", "up", "down")
RELATIONS: tuple[Side, ...] = ("left", "right", "above", "below")
SIDES: tuple[Side, ...] = (*RELATIONS, "between")
OPPOSITE_DIRECTION: dict[Direction, Direction] = {"left": "right", "right": "left", "up": "down", "down": "up"}
OPPOSITE_SIDE: dict[Side, Side] = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Subject:
    """What a caption names at once: one thing, or several of a kind that do the same.

    Attributes:
        noun: Index in NOUNS.
        count: How many there are.
        counted: Whether a full caption states the number; "a cat" states none, "one cat" does.
        color: Color word, or None for the sprite's natural colors.
        size: Size word, or None.
        path: Directions of its legs, one after the other; empty if it stays.
        zigzag: It moves along `path`, but up and down (or left and right) by turns on the way.
        passage: It comes into the picture or goes out of it.
    """

    noun: int
    count: int = 1
    counted: bool = False
    color: str | None = None
    size: Size | None = None
    path: tuple[Direction, ...] = ()
    zigzag: bool = False
    passage: Passage | None = None


@dataclass(frozen=True)
class Relation:
    """Where one subject is, seen from another.

    Attributes:
        first, second: Indices in Facts.subjects.
        side: The first is on this side of the second; "between": the second is two things on either side.
        loose: The caption only says that it is next to it.
    """

    first: int
    side: Side
    second: int
    loose: bool = False


@dataclass(frozen=True)
class Facts:
    """The facts of a scene.

    Attributes:
        subjects: In the order in which a full caption names them.
        together: The subjects form one combination: whether it is held out depends on all nouns at once.
    """

    subjects: tuple[Subject, ...] = ()
    relations: tuple[Relation, ...] = ()
    together: bool = False

    @property
    def nouns(self) -> tuple[int, ...]:
        """Noun indices, in the order of the subjects, each once."""
        return tuple(dict.fromkeys(subject.noun for subject in self.subjects))

    @property
    def directions(self) -> tuple[tuple[int, Direction], ...]:
        """(noun index, direction) of the subjects that move straight and stay in the picture."""
        straight = [s for s in self.subjects if len(s.path) == 1 and not s.zigzag and s.passage is None]
        return tuple((subject.noun, subject.path[0]) for subject in straight)

    @property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """(noun index, number) of the subjects whose number is stated."""
        return tuple((subject.noun, subject.count) for subject in self.subjects if subject.counted)

    @property
    def relation(self) -> tuple[int, int, Side] | None:
        """Noun indices and side of the first relation; None without one."""
        if not self.relations:
            return None
        first = self.relations[0]
        return self.subjects[first.first].noun, self.subjects[first.second].noun, first.side

    def as_json(self) -> dict[str, Any]:
        """Plain JSON with nouns by name and without what is as usual, such as {"subjects": [{"noun": "cat"}]}."""
        subjects = [_unusual(subject) | {"noun": NOUNS[subject.noun].name} for subject in self.subjects]
        relations = [_unusual(relation) for relation in self.relations]
        return {"subjects": subjects, **({"relations": relations} if relations else {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Facts:
        """What `as_json` gave; `together`, which no judge needs, is not in it.

        Raises:
            ValueError: It is something else.
        """
        try:
            subjects = tuple(
                Subject(**{**row, "noun": INDEX[row["noun"]], "path": tuple(row.get("path", ()))})
                for row in value["subjects"]
            )
            relations = tuple(Relation(**row) for row in value.get("relations", ()))
            if not all(0 <= i < len(subjects) for each in relations for i in (each.first, each.second)):
                raise ValueError("a relation of something that is not there")
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not the facts of a scene: {error}") from error
        return cls(subjects, relations)

    def combinations(self) -> list[tuple]:
        """The combinations that a scene shows; all of them must be of one split for the scene to be of it."""
        return list(self._combinations())

    def _combinations(self) -> Iterator[tuple]:
        for subject in self.subjects:
            name = NOUNS[subject.noun].name
            yield from ((name, direction) for direction in dict.fromkeys(subject.path))
            if subject.counted:
                yield name, subject.count
            if subject.color is not None:
                yield name, subject.color
        for relation in self.relations:
            first, second = (NOUNS[self.subjects[i].noun].name for i in (relation.first, relation.second))
            yield first, second, relation.side
        if self.together:
            yield "together", *sorted(NOUNS[subject.noun].name for subject in self.subjects)


def _unusual(part: Subject | Relation) -> dict[str, Any]:
    """The fields that differ from their defaults, tuples as lists."""
    found = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if value != field.default:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def split_of(*combination: object) -> Split:
    """The split of a combination, such as (noun, direction), (noun, count), (noun, color) or (noun, noun, side).

    One fifth is "test", another "tune", the rest "train"; fixed forever by a hash of the words.
    """
    digest = hashlib.sha256("|".join(map(str, combination)).encode()).digest()
    return ("test", "tune", "train", "train", "train")[digest[0] % 5]
