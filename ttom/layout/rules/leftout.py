"""Which things of a prompt got no box, so that nothing is left out without a word."""

from __future__ import annotations

from collections.abc import Sequence

from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import Reading


def things_left_out(reading: Reading, shown: Sequence[Mention]) -> list[str]:
    """Each thing without a box; none on scenery, on a background, or on what no box can hold ("a scent")."""
    named = {reading.first_of(mention).noun for mention in shown if mention.kind != "number"}
    phrases = []
    for mention in reading.mentions:
        first = reading.first_of(mention)
        has_box = any(first.first <= known.first < first.end for known in shown)
        again = mention.kind == "definite" and mention.noun in named
        if not (has_box or again) and _is_thing(mention) and not _is_background(reading, mention.end):
            phrases.append(mention.phrase)
    phrases += _bare_things(reading)
    return [f"{phrase} (no box, left to the video model)" for phrase in dict.fromkeys(phrases)]


def _is_thing(mention: Mention) -> bool:
    if mention.kind == "possessive":  # "its wings" are a part of something, "its puppy" is a thing
        return mention.noun in english.KNOWN_NOUNS | words.COMPOUNDS
    return not (mention.is_frame or mention.is_scenery or mention.head in words.ABSTRACT)


def _is_background(reading: Reading, end: int) -> bool:
    """'with a tree in the background'."""
    following = [reading.word(index) for index in range(end, end + 3)]
    return following[0] in ("in", "at") and bool({"background", "distance"} & set(following))


def _bare_things(reading: Reading) -> list[str]:
    """Known nouns outside all phrases: "a man with dogs"."""
    found = []
    for index, token in enumerate(reading.tokens):
        known = english.singular(token.text) in english.KNOWN_NOUNS and token.text not in words.ADJECTIVES
        known = known and words.verb_base(token.text) is None and reading.word(index - 1) not in english.ABSENCE
        after = reading.word(index + 1)
        modifies = words.is_content(after) and words.verb_base(after) is None and not words.is_participle(after)
        if known and not (modifies or reading.in_mention(index) or _is_background(reading, index + 1)):
            found.append(token.text)
    return found
