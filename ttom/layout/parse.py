"""From a prompt to what its layout must show: who moves where, who stands where, how many there are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ttom.errors import UserError
from ttom.layout import words
from ttom.layout.mentions import Mention
from ttom.layout.motion import Mover, find_movers
from ttom.layout.reading import REMEDY, Reading, is_object
from ttom.layout.relations import Relation, find_absolute_relation, find_relation

_EXAMPLE = 'an English sentence, such as "A balloon moves to the left"'
_TO_AND_FRO = re.compile(r"\bback and forth\b|\bup and down\b|\bside to side\b|\b(?:left and right|right and left)\b")


@dataclass(frozen=True)
class Scene:
    """What the layout must show. Every mention in it gets boxes; notes tell the reader where it was read."""

    movers: tuple[Mover, ...]
    statics: tuple[Mention, ...]
    relation: Relation | None
    notes: tuple[str, ...]


def parse(prompt: str) -> Scene:
    """Read a prompt.

    Raises:
        UserError: no known word, no object, too many objects, or a motion to and fro, which is not one direction.
    """
    reading = Reading(prompt)
    spelt = [token.text for token in reading.tokens if token.text[0].isalpha()]
    if spelt and not any(words.is_known(word) for word in spelt):
        raise UserError("the rules planner knows no word of the prompt", expected=_EXAMPLE, remedy=REMEDY)
    to_and_fro = _TO_AND_FRO.search(reading.text)
    if to_and_fro:
        raise UserError(
            f"cannot plan a motion {to_and_fro.group()!r}", expected="one direction an object", remedy=REMEDY
        )
    movers, notes = find_movers(reading)
    return _motion_scene(reading, movers, notes) if movers else _static_scene(reading)


def _motion_scene(reading: Reading, movers: list[Mover], notes: list[str]) -> Scene:
    """Movers, what they pass, and other things that a number or a clause of their own brings in."""
    moving = [mover.mention for mover in movers]
    relation = find_relation(reading, moving, in_motion=True)
    vertical = [mover.mention for mover in movers if mover.direction in ("up", "down")]
    if relation is not None and relation.kind == "on" and relation.subject in vertical:
        relation = None  # "climbs up on a tree": the tree is the way, not a place to stay above
    statics = [] if relation is None or relation.reference is None else [relation.reference]
    for mention in reading.mentions:
        counted = mention.kind == "number" or (mention.kind == "indefinite" and mention in reading.subjects)
        if counted and is_object(mention) and mention not in statics:
            statics.append(mention)
    statics = [mention for mention in statics if mention not in moving]
    notes = notes + ([_relation_note(relation)] if relation is not None else [])
    notes += [f"{mention.phrase}: stays in place" for mention in statics] + _count_notes([*moving, *statics])
    return Scene(tuple(movers), tuple(statics), relation, tuple(notes))


def _static_scene(reading: Reading) -> Scene:
    """A relation if one says it all, else every counted thing and every subject of a clause."""
    objects = [mention for mention in reading.mentions if is_object(mention)]
    counted = [mention for mention in objects if mention.kind == "number"]
    standing = [mention for mention in reading.subjects if mention.kind != "possessive"]
    relation = find_relation(reading, [*objects, *standing], in_motion=False)
    relation = relation or find_absolute_relation(reading, objects)
    if relation is not None:
        pair = [relation.subject] + ([relation.reference] if relation.reference is not None else [])
        told = all(mention in pair for mention in counted if mention in standing)
        several_on_thing = relation.kind == "on" and relation.subject.count >= 2  # the count is what is asked for
        if told and not several_on_thing:
            return Scene((), tuple(pair), relation, (_relation_note(relation), *_count_notes(pair)))
    subjects = [mention for mention in objects if mention in standing and not _is_aside(reading, mention)]
    shown = [mention for mention in objects if mention in subjects or mention in counted] or objects[:1]
    shown = shown or standing[:1]
    if not shown:
        raise UserError(
            "the prompt names no object that the rules planner can lay out",
            expected='things with "a", "the" or a number, such as "a cat", "three red balloons"',
            remedy=REMEDY,
        )
    notes = [f"{mention.phrase}: stays in place (no direction word)" for mention in shown]
    return Scene((), tuple(shown), None, (*notes, *_count_notes(shown)))


def _is_aside(reading: Reading, mention: Mention) -> bool:
    """'as the sun sets', 'with the lights on': mood rather than an object, where the clause adds a known thing."""
    return mention.kind == "definite" and reading.word(mention.first - 1) in ("as", "when", "with", "where")


def _relation_note(relation: Relation) -> str:
    reference = relation.reference.phrase if relation.reference is not None else "the picture"
    return f'{relation.subject.phrase}: {relation.kind} {reference}: "{relation.text}"'


def _count_notes(mentions: list[Mention]) -> list[str]:
    notes = []
    for mention in mentions:
        if mention.kind == "number":
            notes.append(f'{mention.phrase}: count {mention.count}: "{mention.determiner}"')
        elif words.is_plural(mention.phrase.split()[-1].lower()):
            notes.append(f"{mention.phrase}: no number, so one box for all")
    return notes
