"""Words of a prompt that give a direction: paths, sides and corners, "-wards" words, and verbs that imply one.

A direction needs a verb of motion or an explicit path: "cleans up", "burning down" and "looks left" move nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import CORNER, SIDE, Reading, is_object
from ttom.layout.rules.tokens import Token

Step = tuple[int, int]
"""A direction in the picture: x to the right, y downwards, each -1, 0 or 1."""

STEPS: dict[str, Step] = {
    "left": (-1, 0), "right": (1, 0), "top": (0, -1), "upper": (0, -1), "up": (0, -1), "sky": (0, -1),
    "bottom": (0, 1), "lower": (0, 1), "down": (0, 1),
}  # fmt: skip
BACK: Step = (0, 0)
"""The step of "back" in "left and then back": the previous step reversed."""
_INTENSIFIED = frozenset(  # "right next to"
    "next above below beside under behind in at by on near outside inside after before when as".split()
)
_WAY = frozenset("past over through into onto off along around toward towards".split())  # "down, right past a tree"
_PHRASAL = frozenset(
    "blow hurry pull speed throw turn".split()
)  # "speeds up" and "turns down" are not motion upward or downward
_PART = rf"(?:{CORNER}(?:[- ]hand)?(?:\s+corner)?|{SIDE})"
_FORTH = r"(up|down)(?:wards?)?"
_SIDEWAYS = r"(?:to\s+the\s+)?(left|right)(?:wards?)?"
_NO_THING = rf"(?!\s+(?:of|{'|'.join(sorted(_INTENSIFIED | _WAY))})\b)"
_ON_SIDE = rf"(?:to\s+the\s+(left|right)\b(?!\s+of\b)|(left|right)(?:wards?)?\b{_NO_THING})"
_FROM_TO = re.compile(rf"\b(?:from\s+)?{_PART}\s+(?:\w+\s+)?(?:to|towards?)\s+{_PART}")
_DIAGONAL = re.compile(
    rf"\b(?:diagonally\s+)?(?:{_FORTH}(?:\s*,?\s+and)?\s+{_ON_SIDE}|{_SIDEWAYS}(?:\s*,)?\s+and\s+{_FORTH}\b)"
)
_TO = re.compile(rf"\b(?:to|towards?|into)\s+{_PART}")
_FROM = re.compile(rf"\bfrom\s+{_PART}")
_WARDS = re.compile(r"\b(left|right|up|down|sky)(?:wards?|-moving|-going)\b")
_BARE = re.compile(r"(?<!-)\b(left|right|up|down)\b(?!-)")
_BACK = re.compile(r"\b(?:then|and)\s+(?:then\s+)?(?:\w+\s+)?back(?:\s+again)?\b(?!\s+(?:and|of)\b)")
_INTO_SKY = re.compile(
    r"\b(?:in)?to\s+(?:the\s+)?(?:\w+\s+)?(?:sky|air|heavens|clouds)\b|\b(?:tak|lift|blast)\w*\s+off\b"
)
_OFF_EDGE = re.compile(
    r"\boff\s+(?:of\s+)?(?:a|an|the)\s+(?:\w+\s+)?(?:shelf|table|desk|cliff|ledge|roof|branch|wall|counter|bridge|tree|edge)\b"
    r"|\b(?:on)?to\s+the\s+(?:ground|floor)\b"
)
_CHANGES = re.compile(r"\bfrom\b[^.;]*\binto\b")  # "the dough rises from a ball into a loaf" is a change, not motion
_ALONG = frozenset(
    "street road highway path track corridor hallway aisle runway river stream lane trail avenue".split()
)


@dataclass(frozen=True)
class Cue:
    """Words that give a direction.

    Attributes:
        step: The direction, or `BACK`.
        token: Index of the first of the words.
        end: Index after the last of them.
        text: The words.
        strength: 2 = stated, 1 = implied by a place, 0 = implied by the verb alone.
        mover: What moves, where the words themselves say it ("a falling leaf").
    """

    step: Step
    token: int
    end: int
    text: str
    strength: int
    mover: Mention | None = None


def find_cues(reading: Reading) -> list[Cue]:
    """All direction words in order, each word used once, then directions implied by verbs."""
    cues: list[Cue] = []
    taken: list[tuple[int, int]] = []
    for match, step, strength in _matches(reading):
        if not any(match.start() < end and start < match.end() for start, end in taken):
            taken.append(match.span())
            first, end = reading.token_at(match.start()), reading.token_at(match.end())
            cues.append(Cue(step, first, end, match.group().strip(), strength))
    return sorted(cues, key=lambda cue: cue.token) + _verb_cues(reading)


def _matches(reading: Reading) -> Iterator[tuple[re.Match[str], Step, int]]:  # noqa: C901
    """Matches that give a direction, the most specific patterns first."""
    for match in _FROM_TO.finditer(reading.text):
        step = _between(_place(match.groups()[:3]), _place(match.groups()[3:]))
        if step != (0, 0):
            yield match, step, 2
    for match in _DIAGONAL.finditer(reading.text):
        first = reading.token_at(match.start(_first_group(match)))
        if match.group().startswith("diagonally") or _is_direction(reading, first):
            yield match, _place(match.groups()), 2
    for pattern, away in ((_TO, False), (_FROM, True)):
        for match in pattern.finditer(reading.text):
            if not (_is_place_of_object(reading, match.end()) or _says_where(reading, match)):
                x, y = _place(match.groups())
                yield match, (-x, -y) if away else (x, y), 2
    for match in _WARDS.finditer(reading.text):
        yield match, STEPS[match.group(1)], 2
    for match in _BACK.finditer(reading.text):
        yield match, BACK, 2
    for match in _BARE.finditer(reading.text):
        if _is_direction(reading, reading.token_at(match.start())):
            yield match, STEPS[match.group(1)], 2
    for pattern, step in ((_INTO_SKY, STEPS["up"]), (_OFF_EDGE, STEPS["down"])):
        for match in pattern.finditer(reading.text):
            if _follows_motion(reading, match):
                yield match, step, 1


def _first_group(match: re.Match[str]) -> int:
    return next(number for number, text in enumerate(match.groups(), start=1) if text)


def _place(names: tuple[str | None, ...]) -> Step:
    """("top", "left", None) -> (-1, -1)."""
    steps = [STEPS[name] for name in names if name]
    return sum(x for x, _ in steps), sum(y for _, y in steps)


def _between(start: Step, end: Step) -> Step:
    """The step from one side or corner to another. An axis that only one of them names counts only if they name
    different axes ("from the left to the top").
    """
    common = any(a and b for a, b in zip(start, end, strict=True))
    x, y = ((b > a) - (b < a) if (a and b) or not common else 0 for a, b in zip(start, end, strict=True))
    return x, y


# -- words that are not directions ------------------------------------------------------------------------------------


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
    verbs = [i for i in range(start, index) if not reading.in_mention(i) and words.is_content(reading.word(i))]
    if verbs:
        return all(words.is_still(reading.word(i)) and reading.word(i + 1) != "off" for i in verbs)  # "takes off"
    # No verb of its own: that of the clause before, "a cat runs to the left, a dog to the right".
    # Also in phrases: "a tortoise and a hare race to the right".
    spelt = [token.text for token in reading.tokens if token.text not in english.KNOWN_NOUNS]
    return not any(words.verb_base(word) in words.MOVING for word in spelt)


def _is_direction(reading: Reading, index: int) -> bool:
    """Whether the bare "left", "right", "up" or "down" at index says where something goes."""
    word, before, after = (reading.word(index + k) for k in (0, -1, 1))
    if reading.in_mention(index) or after == "of" or before in ("top", "upper", "bottom", "lower"):
        return False
    spelt = words.is_content(before) or words.is_adverb(before)
    still = words.is_still(reading.word(reading.before_adverbs(index)))  # "looks quickly left"
    if still or not (spelt or before in (".", "then", "and")):
        return False
    if word in ("up", "down"):
        return _is_vertical(reading, index)
    if before == "and":
        return False
    if word == "left":
        return after not in english.DETERMINERS
    return after not in _INTENSIFIED or words.verb_base(before) in words.MOTION_VERBS


def _is_vertical(reading: Reading, index: int) -> bool:
    """Whether "up" or "down" is motion: after a verb of motion, or in a sequence ("right and then up")."""
    place = reading.mention_from(index + 1)
    if place is not None and place.head in _ALONG:  # "walks down the road"
        return False
    verb = reading.verb_before(index)
    base = words.verb_base(reading.word(verb)) if verb is not None else None
    if verb is None or base not in words.MOVING:
        return False
    goal = reading.mention_from(index + 2) if reading.word(index + 1) == "to" else None
    if (
        reading.word(index) == "up"
        and goal is not None
        and is_object(goal)
        and base not in words.FLYING | words.UP_VERBS
    ):
        return False  # "runs up to a man"
    between = reading.skip_adverbs(verb + 1)
    if between == index:
        return base not in _PHRASAL or base in words.UP_VERBS | words.DOWN_VERBS
    thing = reading.mention_from(verb + 1)
    return reading.word(index - 1) in ("then", "and") or (
        thing is not None and thing.end == index and base in words.CAUSE_VERBS
    )


def _follows_motion(reading: Reading, match: re.Match[str]) -> bool:
    """Whether the last verb before the match is a verb of motion ('soars high into the sky', 'takes off')."""
    first = reading.token_at(match.start())
    if "off" in match.group() and not match.group().startswith("off"):  # "takes off" is a verb itself
        return True
    verb = reading.verb_before(first)
    return verb is not None and words.verb_base(reading.word(verb)) in words.MOVING


def find_particles(reading: Reading, cues: Sequence[Cue]) -> dict[int, int]:
    """Bare direction words that move nothing, by the verb that they belong to: "burning down", "picks a ball up"."""
    particles: dict[int, int] = {}
    for index, token in enumerate(reading.tokens):
        if token.text not in words.DIRECTIONS or reading.in_mention(index):
            continue
        after = reading.word(index + 1)
        place = after == "of" or (token.text == "right" and after in _INTENSIFIED)
        thing = reading.mention_until(index)
        verb = reading.before_adverbs(index if thing is None else thing.first)
        moves = any(cue.token <= index < cue.end for cue in cues)
        if words.is_content(reading.word(verb)) and not (moves or place or reading.in_mention(verb)):
            particles[verb] = index
    return particles


# -- verbs ------------------------------------------------------------------------------------------------------------


def _verb_cues(reading: Reading) -> list[Cue]:
    cues: list[Cue] = []
    if _CHANGES.search(reading.text):
        return cues
    for index, token in enumerate(reading.tokens):
        step = verb_step(token)
        if step and not reading.in_mention(index) and is_predicate(reading, index):
            cues.append(Cue(step, index, index + 1, token.text, 0))
    for mention in reading.mentions:
        for index in range(mention.words_first, mention.end - 1):
            step = verb_step(reading.tokens[index])
            if step and words.is_participle(reading.word(index)) and mention in reading.subjects:
                cues.append(Cue(step, index, index + 1, reading.word(index), 0, mention))
    return cues


def verb_step(token: Token) -> Step | None:
    base = words.verb_base(token.text)
    if base in words.UP_VERBS:
        return STEPS["up"]
    return STEPS["down"] if base in words.DOWN_VERBS else None


def is_predicate(reading: Reading, index: int) -> bool:
    """Whether "rises", "falls" ... is a clause's verb about its subject: not the rose of "watering red rose", and not
    "lifts weights" or "falls asleep".
    """
    before = index - 1
    while words.is_adverb(reading.word(before)):
        before -= 1
    word = reading.word(before)
    if words.is_content(word) and not reading.in_mention(before) and not words.is_participle(reading.word(index)):
        return False
    after = reading.word(index + 1)
    return after != "away" and not (words.is_content(after) and reading.mention_from(index + 1) is None)
