"""A small common-sense prior: things that fly are above things that do not, unless the prompt says otherwise."""

from __future__ import annotations

from collections.abc import Collection

from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import Reading

_SKY = frozenset("sky skies air heavens clouds".split())


def high_things(reading: Reading, things: Collection[Mention]) -> frozenset[Mention]:
    """The things that are overhead or in the sky, that others are below, or that fly; none if that holds for all.

    Stated places take precedence over what a verb implies.
    """
    said = {mention: _said_height(reading, mention) for mention in things}
    high = {mention for mention, height in said.items() if height > 0}
    low = {mention for mention, height in said.items() if height < 0}
    if not high and low:
        high = set(things) - low
    if not high:
        high = {mention for mention in things if _flies(reading, mention)}
    return frozenset(high) if high != set(things) else frozenset()


def _clause(reading: Reading, mention: Mention) -> range:
    """Indices of the tokens from the phrase to the next subject or punctuation mark."""
    starts = {subject.first for subject in reading.subjects}
    end = mention.end
    while end < len(reading.tokens) and end not in starts:
        if reading.word(end) in ".,;:!?" or reading.word(end) in ("while", "as", "whereas"):
            break
        end += 1
    return range(mention.end, end)


def _said_height(reading: Reading, mention: Mention) -> int:
    """1 for "overhead", "above" or "in the sky", -1 for "below", 0 otherwise."""
    for index in _clause(reading, mention):
        word, place = reading.word(index), reading.mention_from(index + 1)
        in_sky = word in ("in", "through", "across") and place is not None and place.head in _SKY
        if word == "overhead" or in_sky or (word == "above" and place is None):
            return 1
        if word in ("below", "underneath", "beneath") and place is None:
            return -1
    return 0


def _flies(reading: Reading, mention: Mention) -> bool:
    return any(
        words.verb_base(reading.word(index)) in words.FLYING and not reading.in_mention(index)
        for index in _clause(reading, mention)
    )
