"""From a prompt to what its layout must show: who moves where, who stands where, how many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules.cells import Cell, arrange
from ttom.layout.rules.heights import high_things
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.motion import Mover, find_chases, find_motion
from ttom.layout.rules.omissions import things_left_out, words_left_out
from ttom.layout.rules.reading import REMEDY, Reading, is_object
from ttom.layout.rules.refusals import refuse_unreadable, refuse_unsure, unplannable
from ttom.layout.rules.relations import Place, Relation, RelationKind, find_between, find_places, find_relations

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
        high: What flies, or is said to be overhead: it goes above the others where nothing else decides.
        notes: Which words decided what.
        left_out: Things and words that the layout does not show.
    """

    movers: tuple[Mover, ...] = ()
    statics: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    cells: dict[Mention, Cell] | None = None
    high: frozenset[Mention] = frozenset()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def parse(prompt: str) -> Scene:
    """Read a prompt.

    Raises:
        UserError: too few known words, no object, too many objects, a negated thing, motion or place, a part of a
            group, a thing without a noun of its own, relations that contradict each other, or a motion that a path of
            a few legs cannot show.
    """
    reading = Reading(prompt)
    refuse_unreadable(reading)
    motion = find_motion(reading)
    if "diagonally" in reading.text and not any(0 not in cue.step for cue in motion.cues):
        raise unplannable("a motion 'diagonally'", 'where to, such as "diagonally up and to the right"')
    high = high_things(reading, [mention for mention in reading.subjects if is_object(mention)])
    scene = _motion_scene(reading, motion.movers) if motion.movers else _static_scene(reading, high)
    shown = [*(mover.mention for mover in scene.movers), *scene.statics, *(scene.cells or ())]
    refuse_unsure(shown)
    return replace(
        scene,
        high=high if not high.issuperset(shown) else frozenset(),
        notes=(*motion.notes, *scene.notes),
        left_out=(*motion.left_out, *scene.left_out, *words_left_out(reading, motion, shown)),
    )


# -- scenes with motion -----------------------------------------------------------------------------------------------


def _motion_scene(reading: Reading, movers: tuple[Mover, ...]) -> Scene:
    """Movers, what they pass, and other things that a number or a clause of their own brings in."""
    moving = [mover.mention for mover in movers]
    vertical = [mover.mention for mover in movers if mover.axis != "x"]
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
    unplanned = [
        f'"{relation.text}", as {relation.subject.phrase} moves' for relation in find_between(reading, moving)[:1]
    ]
    unplanned += things_left_out(reading, [*moving, *statics])
    return Scene(movers, tuple(statics), tuple(relations), notes=tuple(notes), left_out=tuple(unplanned))


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
        starts = reading.word(mention.first - 1) in _CLAUSE_STARTS
        return mention.is_known and mention in reading.subjects and starts
    return mention.kind == "number" or mention in reading.subjects


# -- still scenes -----------------------------------------------------------------------------------------------------


def _static_scene(reading: Reading, high: frozenset[Mention]) -> Scene:
    """Objects that relations or places put somewhere, every counted thing and every subject of a clause."""
    objects = [mention for mention in reading.mentions if is_object(mention)]
    counted = [m for m in objects if m.kind == "number" and (m.count > 1 or m.is_known or m in reading.subjects)]
    standing = [m for m in reading.subjects if is_object(m) and not m.is_camera]
    shown = [mention for mention in objects if mention in standing and not _is_aside(reading, mention)]
    shown = _in_order(reading, [m for m in objects if m in shown or m in counted]) or standing[:1]
    if not shown and any(mention.is_camera for mention in reading.subjects):  # "the camera pans over a cat"
        shown = objects[:1]
    related = [*objects, *(m for m in reading.subjects if m.is_scenery)]  # "clouds above a balloon"
    relations = find_between(reading, related) + find_relations(reading, related, in_motion=False)
    # "three cups on a table", "a cup and a plate on a table": they stand side by side, the table is left to the model
    on = [relation for relation in relations if relation.kind == "on"]
    crowded = {one.reference for one in on if sum(r.subject.count for r in on if r.reference == one.reference) >= 2}
    relations = [relation for relation in relations if not (relation.kind == "on" and relation.reference in crowded)]
    relations += [Relation("beside", *chase) for chase in find_chases(reading)]
    places = find_places(reading, objects)
    if relations or places:
        return _placed_scene(reading, relations, places, shown, high)
    if not shown:
        raise UserError(
            "the prompt names no object that the rules planner can lay out; scenery and styles get no box",
            expected='things with "a", "the" or a number, such as "a cat", "three red balloons"',
            remedy=REMEDY,
        )
    notes = [f"{mention.phrase}: stays in place (no direction word)" for mention in shown] + _count_notes(shown)
    return Scene(statics=tuple(shown), notes=tuple(notes), left_out=tuple(things_left_out(reading, shown)))


def _placed_scene(
    reading: Reading, relations: list[Relation], places: list[Place], shown: list[Mention], high: frozenset[Mention]
) -> Scene:
    """Objects in a grid, those of no relation or place beside the others."""
    placed = [mention for relation in relations for mention in (relation.subject, relation.reference)]
    unfit = [p for p in places if relations and (p.subject in placed or p.column == p.row == 0)]
    places = [place for place in places if place not in unfit]
    placed = list(dict.fromkeys([*placed, *(place.subject for place in places)]))
    others = [m for m in shown if not any(m.first <= known.first < m.end for known in placed)]
    others = [m for m in others if m.kind != "bare" or m.is_known]
    cells = arrange(relations, places, others, high)
    notes = [_relation_note(relation) for relation in relations]
    notes += [f'{place.subject.phrase}: in its part of the picture: "{place.text}"' for place in places]
    notes += [f"{mention.phrase}: stays in place, beside the others" for mention in others]
    notes += _count_notes([*placed, *others])
    unplanned = [f'"{place.text}", as a relation places {place.subject.phrase}' for place in unfit]
    unplanned += things_left_out(reading, list(cells))
    return Scene(relations=tuple(relations), cells=cells, notes=tuple(notes), left_out=tuple(unplanned))


def _in_order(reading: Reading, mentions: list[Mention]) -> list[Mention]:
    """Each thing once, by its first name."""
    return list(dict.fromkeys(reading.first_of(mention) for mention in mentions))


def _is_aside(reading: Reading, mention: Mention) -> bool:
    """'as the sun sets', 'with the lights on': mood rather than an object, where the clause adds a known thing."""
    return mention.kind == "definite" and reading.word(mention.first - 1) in ("as", "when", "with", "where")


# -- notes ------------------------------------------------------------------------------------------------------------


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
