"""Words and marks of a prompt, and the determiners and numbers that start a noun phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules import words

MAX_COUNT = 24
_LETTERS = r"[^\W\d_]+(?:['’-][^\W\d_]+)*"
_TOKEN = re.compile(rf"\d*-?{_LETTERS}|\d+|[.,;:!?\n]")  # "3D" and "5-year-old" are one word each
_TENS = range(20, 100, 10)
_MARKS = {"’": "'", "\n": "."}

Kind = Literal["number", "indefinite", "definite", "possessive", "absent", "bare"]


@dataclass(frozen=True)
class Token:
    """A word or punctuation mark; ``start`` and ``end`` are character offsets in the prompt."""

    text: str
    start: int
    end: int


class Determiner(NamedTuple):
    """What a noun phrase starts with: how many things it means, and the index of its first word."""

    kind: Kind
    number: int
    end: int


def tokenize(prompt: str) -> list[Token]:
    """Words, whole numbers and punctuation marks, in order; a new line ends a sentence."""
    return [
        Token(re.sub("[’\n]", lambda mark: _MARKS[mark.group()], match.group().lower()), *match.span())
        for match in _TOKEN.finditer(prompt.rstrip())
    ]


def text_at(tokens: list[Token], index: int) -> str:
    """The token's text; a period beyond either end."""
    return tokens[index].text if 0 <= index < len(tokens) else "."


def determiner_at(tokens: list[Token], index: int) -> Determiner:
    """The determiner of the phrase that may start at index; "bare" if there is none.

    Raises:
        UserError: a number is larger than a picture can show.
    """
    text, following = text_at(tokens, index), text_at(tokens, index + 1)
    if (text, following) in (("each", "other"), ("one", "another")):
        return Determiner("absent", 0, index + 2)
    quantified = _quantifier_at(tokens, index)
    if quantified is not None:
        return quantified
    after = index + 1
    if text == "the" and _number(following) is not None:  # "the two dogs"
        text, after = following, index + 2
    number = _number(text)
    if number is None and text == "a" and following in english.LARGE_NUMBERS:
        number = 1  # "a hundred dogs"
    if number is not None:
        return _counted(tokens, index, after, number)
    for kind, group in _KINDS:
        if text in group:
            both = text == "without" and following in english.DETERMINERS  # "without a hat"
            return Determiner(kind, 1, index + (2 if both else 1))
    return Determiner("bare", 1, index)


_KINDS: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("indefinite", english.SINGULAR_DETERMINERS),
    ("definite", english.OPEN_DETERMINERS),
    ("possessive", english.POSSESSIVES),
    ("absent", english.ABSENCE),
)


def _quantifier_at(tokens: list[Token], index: int) -> Determiner | None:
    for quantifier, count in english.QUANTIFIERS.items():
        parts = quantifier.split()
        if [text_at(tokens, index + k) for k in range(len(parts))] == parts:
            end = index + len(parts)
            following = text_at(tokens, end)
            if parts == ["both"] and not _is_counted_by_both(following):
                return None
            return Determiner("number", count, end)
    return None


def _is_counted_by_both(word: str) -> bool:
    """Whether "both" counts what follows: "both dogs", but not "both enjoying the day" or "both run"."""
    verb = words.verb_base(word) == word and not english.is_same_plural(word)
    return words.is_content(word) and not (verb or words.is_participle(word))


def _counted(tokens: list[Token], index: int, after: int, number: int) -> Determiner:
    unit = english.NUMBERS.get(text_at(tokens, after), 0)
    if number in _TENS and 0 < unit < 10:  # "twenty two dogs"
        number, after = number + unit, after + 1
    beside = [text_at(tokens, index + k) for k in range(3)]
    large = next((word for word in beside if word in english.LARGE_NUMBERS), None)
    if large or not 1 <= number <= MAX_COUNT:
        raise UserError(
            f"the prompt asks for {large or number} objects",
            expected=f"1 to {MAX_COUNT} of a kind",
            remedy="name fewer objects",
        )
    return Determiner("number", number, after)


def _number(text: str) -> int | None:
    if text.isdigit():
        return int(text[:9])  # too many anyway, and Python refuses thousands of digits
    tens, _, unit = text.partition("-")
    if english.NUMBERS.get(tens) in _TENS and english.NUMBERS.get(unit, 10) < 10:  # "twenty-two"
        return english.NUMBERS[tens] + english.NUMBERS[unit]
    return english.NUMBERS.get(text)
