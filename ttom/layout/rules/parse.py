"""From a prompt to what its layout must show: who moves where, who stands where, how many there are."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.cells import Cell, arrange
from ttom.layout.rules.leftout import things_left_out
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.motion import DIAGONAL, Mover, find_movers
from ttom.layout.rules.reading import REMEDY, Reading, is_object
from ttom.layout.rules.relations import Place, Relation, RelationKind, find_between, find_places, find_relations

_EXAMPLE = 'an English sentence, such as "A balloon moves to the left"'
_TO_AND_FRO = re.compile(r"\bback and forth\b|\bup and down\b|\bside to side\b|\b(?:left and right|right and left)\b")
_NEGATION = re.compile(r"\b(?:not|never|cannot|neither|nor)\b|\b\w+n['’]t\b")
_TWO_SIDES = re.compile(
    r"\b(?:above|below|under|beneath|over|behind)\s+and\s+(?:on\s+|to\s+)?(?:the\s+)?(?:left|right)(?:\s+side)?\s+of\b"
    r"|\b(?:left|right)\s+(?:of\s+)?and\s+(?:above|below|under|beneath|over|behind)\b"
)
_INVERSE: dict[RelationKind, RelationKind] = {
    "left": "right", "right": "left", "above": "below", "on": "below", "below": "above",
}  # fmt: skip
_CLAUSE_STARTS = (".", ";", "while", "and", "whereas", "but")


@dataclass(frozen=True)
class Scene:
    """What the layout must show. Every mention in it gets boxes; notes tell the reader where it was read.

    Attributes:
        movers: What moves.
        statics: What stays in place, in a scene with movers or without any relation.
        relations: Between these, the strongest first.
        cells: Where each object of a still scene stands in a grid, if a relation or a place says so.
        notes: Which words decided what.
        left_out: Things and words that the layout does not show.
    """

    movers: tuple[Mover, ...]
    statics: tuple[Mention, ...]
    relations: tuple[Relation, ...]
    cells: dict[Mention, Cell]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def parse(prompt: str) -> Scene:
    """Read a prompt.

    Raises:
        UserError: no known word, no object, too many objects, a negated thing, motion or place, relations that
            contradict each other, or a motion that is not one direction: to and fro, or diagonal.
    """
    reading = Reading(prompt)
    spelt = [token.text for token in reading.tokens if token.text[0].isalpha()]
    if spelt and not any(words.is_known(word) for word in spelt):
        raise UserError("the rules planner knows no word of the prompt", expected=_EXAMPLE, remedy=REMEDY)
    _refuse_negation(reading)
    for pattern, what, expected in (
        (_TO_AND_FRO, "a motion", "one direction an object"),
        (_TWO_SIDES, "a place", "one side of a thing: left, right, above or below"),
        (DIAGONAL, "a motion", "one direction an object: left, right, up or down"),
    ):
        found = pattern.search(reading.text)
        if found:
            raise UserError(f"cannot plan {what} {found.group()!r}", expected=expected, remedy=REMEDY)
    movers, notes, left_out = find_movers(reading)
    scene = _motion_scene(reading, movers) if movers else _static_scene(reading)
    return replace(scene, notes=(*notes, *scene.notes), left_out=(*left_out, *scene.left_out))


def _refuse_negation(reading: Reading) -> None:
    """Raise UserError for a negated thing, motion or place, which would be planned; not for "not wearing a hat"."""
    for index, token in enumerate(reading.tokens):
        if not _NEGATION.fullmatch(token.text) or reading.word(index + 1) == "far":
            continue
        after = reading.skip_adverbs(index + 1)
        word = reading.word(after)
        planned = words.verb_base(word) in words.MOVING or word in words.DIRECTIONS | words.PREPOSITIONS
        if planned or reading.in_mention(after):
            raise UserError(
                f"cannot plan what is negated: {f'{token.text} {word}'!r}",
                expected="a prompt that says what is to be seen, and where",
                remedy=REMEDY,
            )


def _motion_scene(reading: Reading, movers: list[Mover]) -> Scene:
    """Movers, what they pass, and other things that a number or a clause of their own brings in."""
    moving = [mover.mention for mover in movers]
    vertical = [mover.mention for mover in movers if mover.direction in ("up", "down")]
    relations = [
        relation
        for relation in _of_movers(reading, moving)
        # "climbs up on a tree": the tree is the way, not a place to stay above
        if not (relation.kind == "on" and relation.subject in vertical)
    ]
    statics = [relation.reference for relation in relations]
    statics += [reading.first_of(mention) for mention in reading.mentions if _stands(reading, mention)]
    statics = [mention for mention in dict.fromkeys(statics) if mention not in moving]
    notes = [_relation_note(relation) for relation in relations]
    notes += [f"{mention.phrase}: stays in place" for mention in statics] + _count_notes([*moving, *statics])
    left_out = [
        f'"{relation.text}", as {relation.subject.phrase} moves' for relation in find_between(reading, moving)[:1]
    ]
    left_out += things_left_out(reading, [*moving, *statics])
    return Scene(tuple(movers), tuple(statics), tuple(relations), {}, tuple(notes), tuple(left_out))


def _of_movers(reading: Reading, moving: list[Mention]) -> list[Relation]:
    """Relations from the movers' side: "a ship below a plane that flies left" is a plane above a ship."""
    subjects = [*moving, *(mention for mention in reading.subjects if not mention.is_camera)]
    found = []
    for relation in find_relations(reading, subjects, in_motion=True):
        if relation.subject in moving:
            found.append(relation)
        elif relation.reference in moving and relation.kind in _INVERSE:
            found.append(
                replace(relation, kind=_INVERSE[relation.kind], subject=relation.reference, reference=relation.subject)
            )
    return found


def _stands(reading: Reading, mention: Mention) -> bool:
    """Whether the thing has a box beside movers: it is counted, or the subject of a clause of its own."""
    if not is_object(mention):
        return False
    if mention.kind in ("definite", "bare"):
        known = mention.noun in english.KNOWN_NOUNS | words.COMPOUNDS
        return known and mention in reading.subjects and reading.word(mention.first - 1) in _CLAUSE_STARTS
    return mention.kind == "number" or mention in reading.subjects


def _static_scene(reading: Reading) -> Scene:
    """Objects that relations or places put somewhere, every counted thing and every subject of a clause."""
    objects = [mention for mention in reading.mentions if is_object(mention)]
    counted = [mention for mention in objects if mention.kind == "number"]
    standing = [m for m in reading.subjects if m.kind != "possessive" and not m.is_camera]
    shown = [mention for mention in objects if mention in standing and not _is_aside(reading, mention)]
    shown = _in_order(reading, [m for m in objects if m in shown or m in counted]) or objects[:1] or standing[:1]
    relations = find_between(reading, [*objects, *standing])
    relations += find_relations(reading, [*objects, *standing], in_motion=False)
    # "three cups on a table", "a cup and a plate on a table": they stand side by side, the table is left to the model
    on = [relation for relation in relations if relation.kind == "on"]
    crowded = {one.reference for one in on if sum(r.subject.count for r in on if r.reference == one.reference) >= 2}
    relations = [relation for relation in relations if not (relation.kind == "on" and relation.reference in crowded)]
    places = find_places(reading, objects)
    if relations or places:
        return _placed_scene(reading, relations, places, shown)
    if not shown:
        raise UserError(
            "the prompt names no object that the rules planner can lay out",
            expected='things with "a", "the" or a number, such as "a cat", "three red balloons"',
            remedy=REMEDY,
        )
    notes = [f"{mention.phrase}: stays in place (no direction word)" for mention in shown] + _count_notes(shown)
    return Scene((), tuple(shown), (), {}, tuple(notes), tuple(things_left_out(reading, shown)))


def _placed_scene(reading: Reading, relations: list[Relation], places: list[Place], shown: list[Mention]) -> Scene:
    """Objects in a grid, those of no relation or place beside the others."""
    placed = [mention for relation in relations for mention in (relation.subject, relation.reference)]
    unfit = [p for p in places if relations and (p.subject in placed or p.column == p.row == 0)]
    places = [place for place in places if place not in unfit]
    placed = list(dict.fromkeys([*placed, *(place.subject for place in places)]))
    others = [m for m in shown if not any(m.first <= known.first < m.end for known in placed)]
    others = [m for m in others if m.kind != "bare" or m.noun in english.KNOWN_NOUNS | words.COMPOUNDS]
    cells = arrange(relations, places, others)
    notes = [_relation_note(relation) for relation in relations]
    notes += [f'{place.subject.phrase}: in its part of the picture: "{place.text}"' for place in places]
    notes += [f"{mention.phrase}: stays in place, beside the others" for mention in others]
    notes += _count_notes([*placed, *others])
    left_out = [f'"{place.text}", as a relation places {place.subject.phrase}' for place in unfit]
    left_out += things_left_out(reading, list(cells))
    return Scene((), (), tuple(relations), cells, tuple(notes), tuple(left_out))


def _in_order(reading: Reading, mentions: list[Mention]) -> list[Mention]:
    """Each thing once, by its first name."""
    return list(dict.fromkeys(reading.first_of(mention) for mention in mentions))


def _is_aside(reading: Reading, mention: Mention) -> bool:
    """'as the sun sets', 'with the lights on': mood rather than an object, where the clause adds a known thing."""
    return mention.kind == "definite" and reading.word(mention.first - 1) in ("as", "when", "with", "where")


def _relation_note(relation: Relation) -> str:
    of = " of" if relation.kind in ("left", "right") else ""
    return f'{relation.subject.phrase}: {relation.kind}{of} {relation.reference.phrase}: "{relation.text}"'


def _count_notes(mentions: list[Mention]) -> list[str]:
    notes = []
    for mention in mentions:
        if mention.kind == "number" and mention.determiner:
            notes.append(f'{mention.phrase}: count {mention.count}: "{mention.determiner}"')
        elif mention.kind != "number" and english.is_plural(mention.phrase.split()[-1].lower()):
            notes.append(f"{mention.phrase}: no number, so one box for all")
    return notes
