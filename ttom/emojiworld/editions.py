"""Editions of the world. A checkpoint belongs to the edition that it was trained on: its nouns, kinds and words.

Edition 1 is what the embedded checkpoints know. Edition 2 is larger; every index of edition 1 means the same in it.
When checkpoints of edition 2 are embedded, CURRENT becomes SECOND and edition 1 can go.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ttom.emojiworld import words
from ttom.emojiworld.colors import COLORS, TINTS
from ttom.emojiworld.facts import Facts, Size
from ttom.emojiworld.kinds import FIRST_KINDS, TRAINED_KINDS, Kind
from ttom.emojiworld.nouns import NOUNS, Noun
from ttom.emojiworld.words import Words

SIZES: tuple[Size, ...] = ("big", "small")


@dataclass(frozen=True)
class Edition:
    """What a world holds.

    Attributes:
        number: 1 or 2.
        nouns: The first of NOUNS.
        kinds: Kinds that models are trained on, by name.
        shares: How often each is drawn unless a caller says otherwise.
        words: What captions are made of.
        color_rate: Share of the drawn scenes in which one subject gets a color, if any can take one.
        size_rate: Share of the scenes of kinds with sizes in which one subject is big or small.
    """

    number: int
    nouns: tuple[Noun, ...]
    kinds: Mapping[str, Kind]
    shares: tuple[float, ...]
    words: Words
    color_rate: float = 0.0
    size_rate: float = 0.0

    def vocabulary(self) -> list[str]:
        """Every word that a caption can hold, in lower case, sorted; without the stand-in for unknown words."""
        found = self.words.all_words()
        for noun in self.nouns:
            found |= {*noun.name.split(), *noun.plural.split()}
        return sorted(found | set(COLORS)) if self.color_rate else sorted(found)

    def decorate(self, rng: random.Random, facts: Facts, sized: bool) -> Facts:
        """Give at most one subject a color and at most one a size; edition 1 has neither and draws nothing."""
        subjects = list(facts.subjects)
        if self.color_rate and rng.random() < self.color_rate:
            able = [i for i, subject in enumerate(subjects) if TINTS[subject.noun]]
            if able:
                which = rng.choice(able)
                subjects[which] = replace(subjects[which], color=rng.choice(TINTS[subjects[which].noun]))
        if sized and self.size_rate and rng.random() < self.size_rate:
            which = rng.randrange(len(subjects))
            subjects[which] = replace(subjects[which], size=rng.choice(SIZES))
        return replace(facts, subjects=tuple(subjects))


FIRST = Edition(1, NOUNS[:66], FIRST_KINDS, (0.24, 0.10, 0.12, 0.24, 0.17, 0.13), words.FIRST)
SECOND = Edition(
    2,
    NOUNS,
    TRAINED_KINDS,
    (0.14, 0.10, 0.10, 0.15, 0.12, 0.12, 0.09, 0.05, 0.04, 0.06, 0.03),
    words.SECOND,
    color_rate=0.5,
    size_rate=0.25,
)
EDITIONS = {1: FIRST, 2: SECOND}
CURRENT = FIRST
"""That of the embedded checkpoints."""
