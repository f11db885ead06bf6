"""Words that training captions lose."""

from __future__ import annotations

import random

from ttom.emojiworld.captions import forget
from ttom.emojiworld.words import UNKNOWN_WORD


def test_only_verbs_adverbs_and_adjectives_are_forgotten() -> None:
    text = "A small cat slowly runs from left to right above a teddy bear while two birds ascend"
    assert forget(random.Random(0), text, rate=0) == text
    gone = forget(random.Random(0), text, rate=1)
    x = UNKNOWN_WORD
    assert gone == f"A {x} cat {x} {x} from left to right above a teddy bear while two birds ascend"


def test_rate_is_about_kept() -> None:
    rng = random.Random(0)
    lost = sum(forget(rng, "The cat runs", rate=0.12).count(UNKNOWN_WORD) for _ in range(3000))
    assert 0.09 < lost / 3000 < 0.15
