"""A small prior of common sense: what flies is above what does not, where the prompt says nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.reading import Reading

_SKY = frozenset("sky skies air heavens clouds".split())


def high_things(reading: Reading, shown: Iterable[Mention]) -> frozenset[Mention]:
    """Those of the things that fly, or are overhead or in the sky; none if all of them are."""
    things = set(shown)
    high = frozenset(mention for mention in things if _is_high(reading, mention))
    return high if high != things else frozenset()


def _is_high(reading: Reading, mention: Mention) -> bool:
    """By the words of its clause, from the phrase to the next subject or mark."""
    starts = {subject.first for subject in reading.subjects}
    index = mention.end
    while index < len(reading.tokens) and index not in starts and (word := reading.word(index)) not in ".;:!?":
        flies = words.verb_base(word) in words.FLYING and not reading.in_mention(index)
        place = reading.mention_from(index + 1)
        overhead = word == "overhead" or (word == "above" and place is None)
        if flies or overhead or (word in ("in", "through", "across") and place is not None and place.head in _SKY):
            return True
        if word in (",", "while", "as", "whereas"):
            return False
        index += 1
    return False
