"""Checks of a prompt and its seed that need more than one room; each raises a UserError that says what to do."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

from ttom.errors import UserError
from ttom.layout.english import KNOWN_NOUNS, find_phrase
from ttom.layout.model import Layout, ObjectGroup

if TYPE_CHECKING:
    from ttom.backbones.protocol import Backbone

_EXAMPLES = 8  # known nouns named in the message about unknown ones


def check_prompt(prompt: str) -> None:
    """Raise UserError for a prompt without a word."""
    if not any(character.isalnum() for character in prompt):
        raise UserError(
            "the prompt is empty", expected="a sentence", remedy='"A balloon moves from left to right above a house"'
        )


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that torch's generators do not take."""
    if not 0 <= seed < 2**63:
        raise UserError(f"`seed` is {seed}", expected="a whole number from 0 to 2^63 - 1", remedy="`seed=0`")


def check_words(backbone: Backbone, layout: Layout) -> None:
    """Raise UserError if the model has no token for an object's noun; says for which, and near ones.

    Other words of its phrase ("red") may be unknown: its maps are then those of the words that are known.
    """
    unknown = [word for group in layout.groups() for word in _unknown(backbone, group)]
    unknown = list(dict.fromkeys(unknown))
    if not unknown:
        return
    known = backbone.vocabulary.known_words()
    nouns = [word for word in known if word in KNOWN_NOUNS]
    near = {word: difflib.get_close_matches(word.lower(), nouns, n=3, cutoff=0.7) for word in unknown}
    hints = [f"{' or '.join(words)} for {word}" for word, words in near.items() if words]
    examples = ", such as " + ", ".join(nouns[:: math.ceil(len(nouns) / _EXAMPLES)]) if nouns else ""
    raise UserError(
        f"the model {backbone.name} does not know {_listed(unknown)}",
        expected=f"objects named by words of its vocabulary ({len(known)} words){examples}",
        remedy="; ".join(hints) or "another noun, or another model with `model`",
    )


def _unknown(backbone: Backbone, group: ObjectGroup) -> list[str]:
    """Unknown words of the noun as the phrase spells it; where the layout calls the object otherwise, of a phrase
    without any known word."""
    spans = find_phrase(group.phrase, group.noun)
    if spans:
        return backbone.vocabulary.unknown_words(group.phrase[slice(*spans[-1])])
    unknown = backbone.vocabulary.unknown_words(group.phrase)
    return unknown if len(unknown) >= len(set(group.phrase.split())) else []


def _listed(words: list[str]) -> str:
    return ", ".join(repr(word) for word in words)
