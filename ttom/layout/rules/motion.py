"""Which objects move, and along which path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ttom.errors import UserError
from ttom.layout.rules import words
from ttom.layout.rules.cues import BACK, Cue, Step, find_cues
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import REMEDY, Reading, is_object

MAX_LEGS = 3
"""Legs of a path: "right, then up, then left" has three."""
_TOGETHER = frozenset("push pull drag carry tow drive ride chase follow".split())  # both move
_CHASE = frozenset("chase follow".split())
_NAMES = {(-1, 0): "left", (1, 0): "right", (0, -1): "up", (0, 1): "down"}


@dataclass(frozen=True)
class Mover:
    """An object, or several of a kind, with the legs of its path in order.

    Attributes:
        mention: The object.
        legs: At least one step; each is a direction from one side of its part of the picture to the other.
        behind: The object it chases, if any.
    """

    mention: Mention
    legs: tuple[Step, ...]
    behind: Mention | None = None

    @property
    def axis(self) -> Literal["x", "y", "xy"]:
        """The axis it moves on, or both."""
        if all(y == 0 for _, y in self.legs):
            return "x"
        return "y" if all(x == 0 for x, _ in self.legs) else "xy"


@dataclass(frozen=True)
class Motion:
    """The motion in a prompt.

    Attributes:
        movers: The objects that move, in reading order.
        notes: For each of them the words of its direction.
        left_out: Directions of things without a box.
        cues: All direction words, followed or not.
    """

    movers: tuple[Mover, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    cues: tuple[Cue, ...]


def step_name(step: Step) -> str:
    """ "up", "down left" ..."""
    x, y = step
    return " ".join(_NAMES[part] for part in ((0, y), (x, 0)) if part != (0, 0))


def find_motion(reading: Reading) -> Motion:
    """The objects that move.

    Raises:
        UserError: one object is said to move in two directions at once, or on a path of too many pieces.
    """
    cues = find_cues(reading)
    followed: dict[Mention, list[Cue]] = {}
    chasers: dict[Mention, Mention] = {}
    unmoved: list[Cue] = []
    for cue in cues:
        moved = [reading.first_of(mention) for mention in _moved_by(reading, cue)]
        if not moved and cue.strength == 2:
            unmoved.append(cue)
        for mention in moved:
            followed.setdefault(mention, []).append(cue)
        if len(moved) == 2 and _chase_between(reading, moved):
            chasers[moved[0]] = moved[1]
    if not followed:
        _check_unmoved(reading, unmoved)
    movers, notes, left_out = [], [], []
    for mention in sorted(followed, key=lambda mention: mention.first):
        legs, aside = _legs(reading, mention, sorted(followed[mention], key=lambda cue: cue.token))
        if not legs:
            continue
        movers.append(Mover(mention, tuple(step for step, _ in legs), chasers.get(mention)))
        path = ", then ".join(step_name(step) for step, _ in legs)
        quoted = " ".join(f'"{cue.text}"' for _, cue in legs)
        notes.append(f"{mention.phrase}: direction {path}: {quoted}")
        left_out += [f'"{cue.text}", as {mention.phrase} goes one way only' for cue in aside]
    left_out += [_unmoved(reading, cue) for cue in unmoved]
    return Motion(tuple(movers), tuple(notes), tuple(left_out), tuple(cues))


def _legs(reading: Reading, mention: Mention, cues: list[Cue]) -> tuple[list[tuple[Step, Cue]], list[Cue]]:
    """The legs of the object's path with the words of each, and words that were not followed.

    Of the words of one leg ("climbs downwards", "takes off to the left") the most explicit decide. A new leg starts at
    "then", or at "and" with a verb of its own.
    """
    pieces: list[list[Cue]] = []
    for cue in cues:
        if pieces and not _starts_leg(reading, pieces[-1][-1], cue):
            pieces[-1].append(cue)
        else:
            pieces.append([cue])
    legs: list[tuple[Step, Cue]] = []
    aside: list[Cue] = []
    for piece in pieces:
        best = _outright(mention, piece)
        step = best.step
        if step == BACK:
            if not legs:
                continue
            step = (-legs[-1][0][0], -legs[-1][0][1])
        aside += [cue for cue in piece if cue.step not in (best.step, BACK) and _adds(cue.step, best.step)]
        if not legs or legs[-1][0] != step:
            legs.append((step, best))
    if len(legs) > MAX_LEGS:
        raise UserError(
            f"{mention.phrase!r} moves along {len(legs)} legs, {', '.join(cue.text for _, cue in legs)}",
            expected=f"at most {MAX_LEGS}",
            remedy=REMEDY,
        )
    return legs, aside


def _adds(step: Step, best: Step) -> bool:
    """Whether a step adds to the best one; "climbs downwards" is one direction although its verb implies up."""
    return step not in ((-best[0], -best[1]), (best[0], 0), (0, best[1]))


def _outright(mention: Mention, piece: list[Cue]) -> Cue:
    """The most explicit cue of one leg; the first of several."""
    best = max(piece, key=lambda cue: cue.strength)
    for cue in piece:
        if cue.strength == 2 == best.strength and cue.step != best.step and BACK not in (cue.step, best.step):
            raise UserError(
                f"{mention.phrase!r} is said to move both {step_name(best.step)} ({best.text!r}) and "
                f"{step_name(cue.step)} ({cue.text!r})",
                expected="one direction, or one after another: right, then up",
                remedy=REMEDY,
            )
    return best


def _starts_leg(reading: Reading, before: Cue, cue: Cue) -> bool:
    if cue.step == BACK:
        return True
    between = range(before.end, cue.token)
    spoken = [reading.word(index) for index in between]
    if "then" in spoken:
        return True
    verbs = [index for index in [*between, cue.token] if words.verb_base(reading.word(index)) in words.MOVING]
    if "before" in spoken and verbs:
        return True
    finite = [index for index in verbs if not reading.word(index).endswith("ing") and not reading.in_mention(index)]
    return bool(finite) and "and" in spoken


# -- who moves --------------------------------------------------------------------------------------------------------


def _moved_by(reading: Reading, cue: Cue) -> list[Mention]:
    """What a cue moves: the clause's subject and the things joined to it, or what the subject throws or carries."""
    if cue.mover is not None:
        return [cue.mover] if is_object(cue.mover) else []
    around = next((m for m in reading.mentions if m.first <= cue.token < m.end), None)
    if around is not None:  # "a leftwards moving car"
        return [around] if is_object(around) else []
    subject = reading.subject_before(cue.token)
    if subject is None:
        return []
    for index in range(subject.end, min(cue.token + 1, len(reading.tokens))):
        base, thing = words.verb_base(reading.word(index)), reading.mention_from(index + 1)
        if base not in words.CAUSE_VERBS | _CHASE or thing is None or reading.in_mention(index):
            continue
        if not thing.is_scenery:  # "sweeps the floor" moves the sweeper
            carried = [subject, thing] if base in _TOGETHER else [thing]
            return [mention for mention in carried if is_object(mention)]
    return [mention for mention in reading.joined_subjects(subject) if is_object(mention)]


def find_chases(reading: Reading) -> Iterator[tuple[Mention, Mention, str]]:
    """Who chases or follows whom, and the verb."""
    for index, token in enumerate(reading.tokens):
        if words.verb_base(token.text) not in _CHASE or reading.in_mention(index):
            continue
        start = index + 2 if reading.word(index + 1) == "after" else index + 1
        subject, thing = reading.subject_before(index), reading.mention_from(start)
        if subject is not None and thing is not None and is_object(subject) and is_object(thing):
            first, second = reading.first_of(subject), reading.first_of(thing)
            if first != second:
                yield first, second, token.text


def _chase_between(reading: Reading, pair: list[Mention]) -> bool:
    return any([first, second] == pair for first, second, _ in find_chases(reading))


# -- what nothing follows ---------------------------------------------------------------------------------------------


def _unmoved(reading: Reading, cue: Cue) -> str:
    subject = reading.subject_before(cue.token)
    if subject is not None and subject.is_camera:
        return f'"{cue.text}", which is the camera moving'
    if subject is not None and subject.is_scenery:
        return f'"{cue.text}", as {subject.phrase} is not moved'
    return f'"{cue.text}", as nothing with a box moves so'


def _check_unmoved(reading: Reading, cues: list[Cue]) -> None:
    """Raise UserError for a direction without a mover; the camera and the wind may move without a box."""
    lost = next((cue for cue in cues if reading.subject_before(cue.token) is None and cue.step != BACK), None)
    if lost is not None and any(is_object(mention) for mention in reading.mentions):
        raise UserError(
            f"the rules planner cannot tell what moves {step_name(lost.step)} ({lost.text!r})",
            expected='the thing before its verb, such as "a cat runs left in a garden"',
            remedy=REMEDY,
        )
