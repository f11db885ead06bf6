"""Which objects a prompt moves, and where to: direction words, places and verbs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention, Token
from ttom.layout.rules.reading import CORNER, OPPOSITE, REMEDY, SIDE, Direction, Reading, is_object

# "top" and "sky" are here because they, too, say where a motion ends.
_SIDE_DIRECTION: dict[str, Direction] = {
    "left": "left", "right": "right", "top": "up", "bottom": "down", "up": "up", "down": "down", "sky": "up",
}  # fmt: skip
_INTENSIFIED = frozenset(  # "right next to"
    "next above below beside under behind in at by on near outside inside after before when as".split()
)
_WAY = frozenset("past over through into onto off along around toward towards".split())  # "down, right past a tree"
_FORTH = r"(?:up|down)(?:wards?)?"
_SIDEWAYS = r"(?:to\s+the\s+)?(?:left|right)(?:wards?)?"
DIAGONAL = re.compile(  # a motion on two axes
    rf"\bdiagonally\b|\b(?:from|to|towards?)\s+{CORNER}|\b{_FORTH}(?:\s*,?\s+and)?\s+{_SIDEWAYS}\b"
    rf"(?!\s+(?:of|{'|'.join(sorted(_INTENSIFIED | _WAY))})\b)"
    rf"|\b{_SIDEWAYS}(?:\s*,)?\s+and\s+{_FORTH}\b"
)
_FROM_TO = re.compile(rf"\b(?:from\s+)?{SIDE}\s+(?:\w+\s+)?(?:to|towards?)\s+{SIDE}")
_TO = re.compile(rf"\b(?:to|towards?)\s+{SIDE}")
_FROM = re.compile(rf"\bfrom\s+{SIDE}")
_WARDS = re.compile(r"\b(left|right|up|down|sky)(?:wards?|-moving|-going)\b")
_BARE = re.compile(r"(?<!-)\b(left|right|up|down)\b(?!-)")
_INTO_SKY = re.compile(
    r"\b(?:in)?to\s+(?:the\s+)?(?:\w+\s+)?(?:sky|air|heavens|clouds)\b|\b(?:tak|lift|blast)\w*\s+off\b"
)
_OFF_EDGE = re.compile(
    r"\boff\s+(?:of\s+)?(?:a|an|the)\s+(?:\w+\s+)?(?:shelf|table|desk|cliff|ledge|roof|branch|wall|counter|bridge|tree|edge)\b"
    r"|\b(?:on)?to\s+the\s+(?:ground|floor)\b"
)
_ALONG = frozenset(
    "street road highway path track corridor hallway aisle runway river stream lane trail avenue".split()
)
_NOT_A_MOVE = frozenset(
    """look light pick set wake curl pile stack tie wrap dress sit lie lay face gaze stare hang stand rest sleep nap
    doze wait stay remain perch lounge kneel crouch squat pose""".split()
)
_TOGETHER = frozenset("push pull drag carry tow drive ride chase follow".split())  # both move
_CHASE = frozenset("chase follow".split())


@dataclass(frozen=True)
class Mover:
    """An object, or several of a kind, with the direction of its motion."""

    mention: Mention
    direction: Direction


@dataclass(frozen=True)
class _Cue:
    """Words that tell a direction; strength 2 = said outright, 1 = implied by a place, 0 = by the verb alone."""

    direction: Direction
    token: int
    text: str
    strength: int
    mover: Mention | None = None


def find_movers(reading: Reading) -> tuple[list[Mover], list[str], list[str]]:
    """The objects that move, in reading order; a note on each that quotes its direction words; words left out.

    Raises:
        UserError: one object is said to move in two opposite directions.
    """
    best: dict[int, tuple[Mention, _Cue]] = {}
    aside: list[str] = []
    unmoved: list[_Cue] = []
    for cue in _cues(reading):
        moved = [reading.first_of(mention) for mention in _moved_by(reading, cue)]
        if not moved and cue.strength == 2:
            unmoved.append(cue)
        for mention in moved:
            known = best.get(mention.first)
            if known and cue.direction != known[1].direction:
                if cue.strength == 2 == known[1].strength:
                    raise _two_directions(mention, known[1], cue)
                weaker = min(known[1], cue, key=lambda one: one.strength)
                if cue.direction != OPPOSITE[known[1].direction]:  # "climbs downwards" is one direction
                    aside.append(f'"{weaker.text}", as {mention.phrase} goes one way only')
            if known is None or cue.strength > known[1].strength:
                best[mention.first] = (mention, cue)
    if not best:
        _check_unmoved(reading, unmoved)
    found = [best[first] for first in sorted(best)]
    notes = [f'{mention.phrase}: direction {cue.direction}: "{cue.text}"' for mention, cue in found]
    left_out = aside + [_unmoved(reading, cue) for cue in unmoved]
    return [Mover(mention, cue.direction) for mention, cue in found], notes, left_out


def _two_directions(mention: Mention, first: _Cue, second: _Cue) -> UserError:
    return UserError(
        f"{mention.phrase!r} is said to move both {first.direction} ({first.text!r}) and "
        f"{second.direction} ({second.text!r})",
        expected="one direction an object: left, right, up or down",
        remedy=REMEDY,
    )


def _unmoved(reading: Reading, cue: _Cue) -> str:
    subject = reading.subject_before(cue.token)
    if subject is not None and subject.is_camera:
        return f'"{cue.text}", which is the camera moving'
    if subject is not None and subject.is_scenery:
        return f'"{cue.text}", as {subject.phrase} is not moved'
    return f'"{cue.text}", as nothing with a box moves so'


def _check_unmoved(reading: Reading, cues: list[_Cue]) -> None:
    """Refuse a direction that nothing follows; the camera and the wind may go their way without a box."""
    lost = next((cue for cue in cues if reading.subject_before(cue.token) is None), None)
    if lost is not None and any(is_object(mention) for mention in reading.mentions):
        raise UserError(
            f"the rules planner cannot tell what moves {lost.direction} ({lost.text!r})",
            expected='the thing before its verb, such as "a cat runs left in a garden"',
            remedy=REMEDY,
        )


def _moved_by(reading: Reading, cue: _Cue) -> list[Mention]:
    """Whom a cue moves: the clause's subject with those joined to it, or what the subject throws or carries."""
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


def _cues(reading: Reading) -> list[_Cue]:
    """All direction words in order, no word read twice, then what the verbs alone imply."""
    found: list[tuple[re.Match[str], Direction, int]] = []
    for match in _FROM_TO.finditer(reading.text):
        if match.group(1) != match.group(2):
            found.append((match, _SIDE_DIRECTION[match.group(2)], 2))
    for pattern, away in ((_TO, False), (_FROM, True)):
        for match in pattern.finditer(reading.text):
            if not (_is_place_of_object(reading, match.end()) or _says_where(reading, match)):
                side = _SIDE_DIRECTION[match.group(1)]
                found.append((match, OPPOSITE[side] if away else side, 2))
    for match in _WARDS.finditer(reading.text):
        found.append((match, _SIDE_DIRECTION[match.group(1)], 2))
    for match in _BARE.finditer(reading.text):
        if _is_bare_direction(reading, reading.token_at(match.start())):
            found.append((match, _SIDE_DIRECTION[match.group(1)], 2))
    implied: tuple[tuple[re.Pattern[str], Direction], ...] = ((_INTO_SKY, "up"), (_OFF_EDGE, "down"))
    for pattern, direction in implied:
        for match in pattern.finditer(reading.text):
            if _follows_motion(reading, reading.token_at(match.start())):
                found.append((match, direction, 1))
    cues: list[_Cue] = []
    taken: list[tuple[int, int]] = []
    for match, direction, strength in found:
        if not any(match.start() < end and start < match.end() for start, end in taken):
            taken.append(match.span())
            cues.append(_Cue(direction, reading.token_at(match.start()), match.group().strip(), strength))
    return sorted(cues, key=lambda cue: cue.token) + _verb_cues(reading)


def _verb_cues(reading: Reading) -> list[_Cue]:
    cues = []
    for index, token in enumerate(reading.tokens):
        direction = _verb_direction(token)
        if direction and not reading.in_mention(index):
            cues.append(_Cue(direction, index, token.text, 0))
    for mention in reading.mentions:
        for index in range(mention.words_first, mention.end - 1):
            direction = _verb_direction(reading.tokens[index])
            if direction and words.is_participle(reading.word(index)) and mention in reading.subjects:
                cues.append(_Cue(direction, index, reading.word(index), 0, mention))
    return cues


def _is_place_of_object(reading: Reading, offset: int) -> bool:
    """Whether 'of a house' follows: then 'to the left' is where something is, not where it goes."""
    index = reading.token_at(offset)
    reference = reading.mention_from(index + 1)
    return reading.word(index) == "of" and (reference is None or is_object(reference))


def _says_where(reading: Reading, match: re.Match[str]) -> bool:
    """Whether "to the left" is where something is: "a cat sits to the left", "to the left, a dog barks"."""
    if match.group().startswith("from"):
        return False
    index = reading.token_at(match.start())
    subject = reading.subject_before(index)
    start = subject.end if subject is not None else index
    between = [reading.word(i) for i in range(start, index) if not reading.in_mention(i)]
    verbs = [word for word in between if words.is_content(word)]
    if verbs:
        return all(words.verb_base(word) in _NOT_A_MOVE for word in verbs)
    # No verb of its own: that of the clause before, "a cat runs to the left, a dog to the right".
    # Also in phrases: "a tortoise and a hare race to the right".
    spelt = [token.text for token in reading.tokens if token.text not in english.KNOWN_NOUNS]
    return not any(words.verb_base(word) in words.MOVING for word in spelt)


def _is_bare_direction(reading: Reading, index: int) -> bool:
    word, before, after = reading.word(index), reading.word(index - 1), reading.word(index + 1)
    base = words.verb_base(before)
    if reading.in_mention(index) or base in _NOT_A_MOVE or after == "of":
        return False
    if before in ("top", "upper", "bottom", "lower"):  # "in the top left corner"
        return False
    if before not in (".", "then") and not (words.is_content(before) or words.is_adverb(before)):
        return False
    if word == "left":
        return after not in english.DETERMINERS
    if word == "right":
        return after not in _INTENSIFIED or base in words.MOTION_VERBS
    place = reading.mention_from(index + 1)
    return not (place is not None and place.head in _ALONG)


def _follows_motion(reading: Reading, index: int) -> bool:
    """Whether the clause has a verb of motion between its subject and the token ('soars high into the sky')."""
    subject = reading.subject_before(index)
    start = subject.end if subject is not None else 0
    moving = words.MOVING | {"take", "tip", "blast"}
    span = [reading.word(i) for i in range(start, index + 2)]  # with the word after: "takes off" is a verb itself
    return "off" in span[-2:] or any(words.verb_base(word) in moving for word in span[:-1])


def _verb_direction(token: Token) -> Direction | None:
    base = words.verb_base(token.text)
    if base in words.UP_VERBS:
        return "up"
    return "down" if base in words.DOWN_VERBS else None
