"""Scene abstraction of a prompt: what moves how, how many, where, but not what it is (section 3.3 of the paper)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ttom.layout import english
from ttom.layout.model import Layout, ObjectGroup, check_layout

_PLACEHOLDER = re.compile(r"<object ([A-Z]+)>", re.IGNORECASE)


def _any_of(choices: set[str] | frozenset[str]) -> str:
    """Regular expression of any of the choices; longer ones first, so that "a" does not hide "a few"."""
    return "|".join(sorted(choices, key=lambda choice: (-len(choice), choice)))


# Determiners that say neither how many nor which other one; "some", "every", "another" and "no" stay in the key.
_POINTING = frozenset({"a", "an"}) | (english.OPEN_DETERMINERS - {"some"}) | english.POSSESSIVES
_ONE_WORD = {quantifier for quantifier in english.QUANTIFIERS if " " not in quantifier}
_NUMBER = rf"\d+|{_any_of(english.NUMBERS.keys() | _ONE_WORD)}"
# At the end of the text before a phrase: "the ", or "the two " of which only "two " stays.
_DETERMINER = re.compile(rf"(?<![\w'’-])(?:{_any_of(_POINTING)})\s+((?:(?:{_NUMBER})[\s-]+)*)$", re.IGNORECASE)
# At the start of a phrase that a planner copied with its determiner ("a dog", "three dogs").
_LEADING = re.compile(
    rf"^(?:(?:{_any_of(english.QUANTIFIERS.keys() | english.DETERMINERS)}|{_NUMBER})\s+)*(?=\S)", re.IGNORECASE
)


def abstract(prompt: str, layout: Layout) -> str:
    """The prompt with the layout's objects replaced by ``<object A>``, ``<object B>``, ... in order of occurrence.

    An object's words go together with the determiner in front of them ("a", "the", "his"); words of motion, relation
    and count stay ("the three dogs" -> "three <object A>"), and so do adjectives that the layout's phrase leaves out.
    Every mention of a phrase, singular or plural, gets the same letter; after Z come AA, AB, ... A placeholder that
    the prompt already has stays, and its letter is given to no other object.

    Args:
        prompt: "A vibrant red balloon drifts right to left above a grand statue."
        layout: Its plan, here with the phrases "vibrant red balloon" and "grand statue".

    Returns:
        "<object A> drifts right to left above <object B>."

    Raises:
        UserError: a phrase of the layout does not occur in the prompt, so the layout belongs to another prompt.
    """
    check_layout(layout, prompt)
    phrases = _phrases(layout)
    letters = _free_letters(prompt)
    names: dict[int, str] = {}
    pieces, done = [], 0
    for start, end, group in _mentions(prompt, phrases):
        if group not in names:
            names[group] = next(letters)
        pieces += [_DETERMINER.sub(r"\1", prompt[done:start]), f"<object {names[group]}>"]
        done = end
    return "".join(pieces) + prompt[done:]


def groups_in_order(prompt: str, layout: Layout) -> list[ObjectGroup]:
    """The layout's groups in the order of their letters: <object A> first. Raises UserError as `abstract`."""
    check_layout(layout, prompt)
    groups = layout.groups()
    order = dict.fromkeys(group for _, _, group in _mentions(prompt, _phrases(layout)))
    return [groups[index] for index in order] + [groups[i] for i in range(len(groups)) if i not in order]


def _phrases(layout: Layout) -> list[str]:
    return [_LEADING.sub("", group.phrase) for group in layout.groups()]


def _mentions(prompt: str, phrases: list[str]) -> list[tuple[int, int, int]]:
    """(start, end, index of the phrase) of every mention, in order; of those that overlap, the longest."""
    found = [(*span, index) for index, phrase in enumerate(phrases) for span in english.find_phrase(prompt, phrase)]
    taken = [match.span() for match in _PLACEHOLDER.finditer(prompt)]
    mentions = []
    for start, end, index in sorted(found, key=lambda mention: (mention[0] - mention[1], mention)):
        if all(end <= first or last <= start for first, last in taken):
            taken.append((start, end))
            mentions.append((start, end, index))
    return sorted(mentions)


def _free_letters(prompt: str) -> Iterator[str]:
    """A, B, ..., Z, AA, AB, ... without the letters of placeholders in the prompt."""
    used = {match.group(1).upper() for match in _PLACEHOLDER.finditer(prompt)}
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for length in itertools.count(1):
        for letters in itertools.product(alphabet, repeat=length):
            if (name := "".join(letters)) not in used:
                yield name
