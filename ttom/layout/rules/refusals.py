"""What the rules planner refuses, because it would otherwise be planned wrongly."""

from __future__ import annotations

import re

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.cues import verb_step
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import REMEDY, Reading
from ttom.layout.rules.tokens import determiner_at

_EXAMPLE = 'an English sentence, such as "A balloon moves to the left"'
_KNOWN_SHARE = 1 / 3  # of the words: with fewer, reading is guesswork, or the prompt is in another language
_SHORT = 5  # words of a prompt that need no article: "dog above cat"
_TO_AND_FRO = re.compile(r"\bback and forth\b|\bup and down\b|\bside to side\b|\b(?:left and right|right and left)\b")
_NEGATION = re.compile(r"\b(?:not|never|cannot|neither|nor|nobody|nothing|none)\b|\b\w+n['’]t\b")
_TWO_SIDES = re.compile(
    r"\b(?:above|below|under|beneath|over|behind)\s+and\s+(?:on\s+|to\s+)?(?:the\s+)?(?:left|right)(?:\s+side)?\s+of\b"
    r"|\b(?:left|right)\s+(?:of\s+)?and\s+(?:above|below|under|beneath|over|behind)\b"
)
_CLAUSE_ENDS = frozenset(".,;:!?") | {"and", "but", "while", "as"}
_EACH = 'a noun for each thing that has a place or a path of its own: "a red balloon and a blue balloon"'
_PART_OF_GROUP = re.compile(
    rf"\b(?:{'|'.join(english.NUMBERS)}|some|few|half|most|many|several|first|last|other)\s+of\s+(?:which|whom|them|the|these|those)\b"
)


def refuse_unreadable(reading: Reading) -> None:
    """Raise UserError for a prompt with too few known words, and for words that would be planned wrongly: a negation,
    "to and fro", two places at once, a part of a group and a thing without a noun.
    """
    _refuse_unknown(reading)
    _refuse_negation(reading)
    _refuse_unplannable(reading)
    _refuse_part_of_group(reading)
    _refuse_shared_noun(reading)


def _refuse_unknown(reading: Reading) -> None:
    spelt = [token.text for token in reading.tokens if token.text[-1].isalpha()]
    known = sum(words.is_known(word) or words.is_participle(word) for word in spelt)
    articles = any(mention.kind != "bare" for mention in reading.mentions)
    least = _KNOWN_SHARE * len(spelt) + (0 if articles or len(spelt) < _SHORT else 0.5)
    if spelt and known < least:
        count = f"only {known} of the {len(spelt)} words" if known else "no word"
        raise UserError(f"the rules planner knows {count} of the prompt", expected=_EXAMPLE, remedy=REMEDY)


def _refuse_negation(reading: Reading) -> None:
    """Raise UserError for a negated thing, motion or place, and for "nobody", which would be planned; not for "not
    wearing a hat".
    """
    for index, token in enumerate(reading.tokens):
        no_longer = (token.text, reading.word(index + 1)) == ("no", "longer")
        if not (no_longer or _NEGATION.fullmatch(token.text)) or reading.word(index + 1) == "far":
            continue
        after = reading.skip_adverbs(index + (2 if no_longer else 1))
        word = reading.word(after)
        nobody = token.text in ("nobody", "nothing", "none")  # but not "with nothing in his hands"
        places = {"of"} if nobody else words.PREPOSITIONS
        planned = words.verb_base(word) in words.MOVING or word in words.DIRECTIONS | places
        if planned or reading.in_mention(after) or reading.in_mention(index):
            raise _negated(f"{token.text}{' longer' if no_longer else ''} {word}")
    for mention in reading.absent:
        verb = reading.skip_adverbs(mention.end)
        if reading.denied_before(verb) and words.verb_base(reading.word(verb)) in words.MOVING:
            end = verb
            while reading.word(end) not in _CLAUSE_ENDS and not _gives_direction(reading, end):
                end += 1
            if reading.word(end) not in _CLAUSE_ENDS:
                raise _negated(f"{reading.word(mention.first)} {mention.phrase} {reading.word(verb)}")


def _negated(text: str) -> UserError:
    return unplannable(f"what is negated: {text!r}", "a prompt that says what is to be seen, and where")


def _gives_direction(reading: Reading, index: int) -> bool:
    return reading.word(index) in words.DIRECTIONS | words.SIDE_WORDS or verb_step(reading.tokens[index]) is not None


def _refuse_unplannable(reading: Reading) -> None:
    for pattern, what, expected in (
        (_TO_AND_FRO, "a motion", "one way, or one after another: right, then left"),
        (_TWO_SIDES, "a place", "one side of a thing: left, right, above or below"),
    ):
        found = pattern.search(reading.text)
        if found:
            raise unplannable(f"{what} {found.group()!r}", expected)


def _refuse_part_of_group(reading: Reading) -> None:
    """Raise UserError where only some of a group move or stand somewhere: "one of which runs left", "one runs left"."""
    for match in _PART_OF_GROUP.finditer(reading.text):
        index = reading.token_at(match.end())
        while reading.word(index) not in ".;!?" and not _is_planned(reading, index):
            index += 1
        if reading.word(index) not in ".;!?":
            raise unplannable(f"a part of a group: {match.group()!r}", _EACH)
    for index, token in enumerate(reading.tokens):
        number, verb = english.NUMBERS.get(token.text), reading.word(index + 1)
        agrees = verb.endswith(("s", "ing")) if number == 1 else verb == words.verb_base(verb)
        if (
            number
            and agrees
            and words.verb_base(verb) in words.MOVING
            and not words.is_content(reading.word(index + 2))
        ):
            raise unplannable(f"a part of a group: {f'{token.text} {verb}'!r}", _EACH)


def _is_planned(reading: Reading, index: int) -> bool:
    word = reading.word(index)
    moves = words.verb_base(word) in words.MOVING and not reading.in_mention(index)
    return moves or word in words.DIRECTIONS | words.PLACES


def _refuse_shared_noun(reading: Reading) -> None:
    """Raise UserError for "a red and a blue balloon", of which only the blue one would get a box."""
    for index in range(len(reading.tokens)):
        first = determiner_at(reading.tokens, index)
        end = first.end
        while words.is_adjective(reading.word(end)) and reading.word(end) not in english.KNOWN_NOUNS:
            end += 1
        joined = reading.word(end) in ("and", "or", ",")
        if first.kind == "bare" or end == first.end or not joined or reading.in_mention(index):
            continue
        if first.kind == "definite" and reading.word(index - 1) in words.PREPOSITIONS:  # "across the plain and a cow"
            continue
        second = determiner_at(reading.tokens, end + 1)
        if second.kind in ("indefinite", "definite", "number"):
            text = reading.text[reading.tokens[index].start : reading.tokens[second.end - 1].end]
            raise unplannable(f"{f'{text} ...'!r}, which names a thing only once", _EACH)


def refuse_unsure(shown: list[Mention]) -> None:
    """Refuse "Football players bump into each other", which may as well be about a football that players something."""
    for mention in shown:
        if mention.noun == "other":  # "and the other runs right"
            raise unplannable(f"{mention.phrase!r} without its noun", _EACH)
        if mention.unsure:
            raise UserError(
                f"the rules planner cannot tell whether {mention.unsure!r} is what {mention.phrase!r} does",
                expected='"a", "the" or a number before the things, such as "the players"',
                remedy=REMEDY,
            )


def unplannable(what: str, expected: str) -> UserError:
    return UserError(f"cannot plan {what}", expected=expected, remedy=REMEDY)
